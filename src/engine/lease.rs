//! The lock of a claimed range, which is the lease: what it finds decides, not what the worker remembers.
//!
//! Must not know: what is done behind it.

use super::claimed::ClaimedRange;
use super::part::Part;
use crate::db::{Error, Session};
use crate::plan;
use crate::run::RunState;
use crate::scan::Scan;
use crate::store;

/// Why a batch was not committed.
#[derive(Debug)]
pub(super) enum BatchError {
    /// Another worker has the range, or has moved it: claim again.
    ClaimLost,
    /// The run is not running any more.
    RunNotRunning(RunState),
    /// The table is not the one that was planned.
    TableChanged(String),
    /// The file that the range's marks are of was replaced: VACUUM FULL, CLUSTER, or an ALTER TABLE.
    Rewritten,
    /// Walked by block, and what was changed still matches: why, in words.
    NotRepeatable(String),
    /// The server or the connection failed.
    Failed(Error),
}

impl From<Error> for BatchError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// BEGIN, and the range's row lock; goes on only if all is as the worker remembers it. Gives the counter of
/// HOT updates. `more` is set in the transaction, too.
pub(super) async fn lock_in_txn(
    part: &Part,
    session: &mut Session,
    range: &ClaimedRange,
    scan: &Scan,
    more: &str,
) -> Result<i64, BatchError> {
    let (facts, timeout) = (&part.facts, part.statement_timeout());
    session.answers_within(plan::answer_max(timeout));
    let mut settings = facts.settings(timeout);
    if !more.is_empty() {
        settings = format!("{settings}; {more}");
    }
    let (walked, key) = (scan.source(), facts.plan.walk.key_names());
    let fence = store::lock_range(session, &settings, facts.run_id(), &range.claim, &walked, &key).await?;
    let fence = fence.ok_or(BatchError::ClaimLost)?;
    part.primary.check(&part.primary.on(fence.timeline))?;
    if fence.run_state != RunState::Running {
        return Err(BatchError::RunNotRunning(fence.run_state));
    }
    if let Some(why) = fence.changed {
        return Err(BatchError::TableChanged(changed(scan, why)));
    }
    if fence.span != range.claim.span || fence.striping != range.claim.striping {
        return Err(BatchError::ClaimLost);
    }
    if fence.done || fence.position != range.claim.position {
        return Err(BatchError::ClaimLost);
    }
    if fence.is_rewritten {
        return Err(BatchError::Rewritten);
    }
    Ok(fence.hot_before)
}

/// The table is not the one that was planned.
pub(super) fn changed(scan: &Scan, why: &str) -> String {
    format!("table {} changed under the run: {why}", scan.table())
}
