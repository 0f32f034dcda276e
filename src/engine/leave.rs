//! The end of a process's part in a run: it tells the database that it is gone, and adds up.
//!
//! Must not know: why it leaves.

use std::time::{Duration, Instant};

use super::heartbeat::LastProgress;
use super::part::Part;
use super::supervisor::Left;
use crate::event::{Outcome, Progress, Summary};
use crate::run::Totals;
use crate::store;

/// A process that is asked to stop does not wait for longer than this to say so.
const GOOD_BYE_MAX: Duration = Duration::from_secs(5);

/// Tells the database, if it can be reached in time, that this process is gone; and reads how far the run has
/// got.
pub(super) async fn say_good_bye(part: &Part) -> Option<Totals> {
    tokio::time::timeout(GOOD_BYE_MAX, good_bye(part)).await.ok().flatten()
}

async fn good_bye(part: &Part) -> Option<Totals> {
    let (facts, retries) = (&part.facts, part.counters.retries());
    let mut session = part.primary.session().await.ok()?;
    // If that is lost, the others find a process that is silent; that is as good.
    let _ = store::leave(&mut session, facts.run_id(), &facts.process, retries).await;
    let _ = store::leave_guard(&mut session, &facts.process).await;
    store::totals(&session, facts.run_id()).await.ok()
}

/// Says good-bye and adds up.
pub(super) async fn leave(part: &Part, left: Left, began: Instant, last: &LastProgress) -> Summary {
    let progress = match say_good_bye(part).await {
        Some(totals) => Progress { kind: part.facts.run.kind, totals, ..Progress::default() },
        None => last.lock().clone(),
    };
    let outcome = match left.outcome {
        Outcome::Complete if progress.totals.bad_rows > 0 => Outcome::CompleteWithBadRows,
        outcome => outcome,
    };
    Summary {
        run: part.facts.run_id(),
        job: part.facts.run.job.clone(),
        outcome,
        reason: left.reason,
        rows_changed_here: part.counters.rows_changed(),
        batches_here: part.counters.batches(),
        retries_here: part.counters.retries(),
        elapsed_ms: began.elapsed().as_millis() as u64,
        halted_ms: part.counters.halted_ms(),
        progress,
    }
}
