//! One batch, one transaction: lock the range, change the rows, advance the cursor, COMMIT.
//!
//! Nothing here sleeps, waits for a permit or talks to an observer.
//!
//! Must not know: how rows are found, what is done to them, which batch comes next, what follows an error.

use std::time::{Duration, Instant};

use super::claimed::{ClaimedRange, NextBatch};
use super::lease::{self, BatchError};
use super::part::Part;
use crate::catalog;
use crate::change::{Answer, Measure};
use crate::db::Session;
use crate::human;
use crate::scan::Scan;
use crate::sql::settings::NOTHING_DEFERRED;
use crate::store::{self, Checkpoint, Hint, RangeCounters};

/// A batch that was committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committed {
    pub(super) rows_changed: u64,
    pub(super) wal_bytes: Option<u64>,
    pub(super) took: Duration,
    /// Of it, the statement: what more rows make longer.
    pub(super) statement_took: Duration,
    /// The range's counters from now on.
    pub(super) counters: RangeCounters,
}

/// Runs one batch and commits it with its checkpoint.
pub(super) async fn run(
    part: &Part,
    session: &mut Session,
    range: &ClaimedRange,
    batch: &NextBatch,
    measure: Measure,
    hint: &Hint,
) -> Result<Committed, BatchError> {
    let began = Instant::now();
    match run_in_txn(part, session, range, batch, measure, hint).await {
        Ok((answer, statement_took, counters)) => {
            let wal_bytes = answer.wal.map(|(records, bytes)| wal_growth(records, bytes));
            let (rows_changed, took) = (answer.rows, began.elapsed());
            Ok(Committed { rows_changed, wal_bytes, took, statement_took, counters })
        }
        Err(error) => {
            // The first error is the one to tell; a session whose rollback fails too is closed when it is
            // dropped.
            let _ = session.rollback().await;
            Err(error)
        }
    }
}

async fn run_in_txn(
    part: &Part,
    session: &mut Session,
    range: &ClaimedRange,
    batch: &NextBatch,
    measure: Measure,
    hint: &Hint,
) -> Result<(Answer, Duration, RangeCounters), BatchError> {
    let facts = &part.facts;
    let scan = part.scan(&range.claim);
    may_be_repeated(part, &scan)?;
    let rows = scan.rows(&batch.span, range.stripe(), batch.stripe_rows);
    let hot_before =
        lease::lock_in_txn(part, session, range, &scan, &facts.plan.change.settings(&rows)).await?;
    let afterwards = Afterwards::look_in_txn(part, session, range, &scan).await?;
    let statement = facts.plan.change.statement(&rows);
    let began = Instant::now();
    let answer = statement.run_in_txn(session, measure).await?;
    let statement_took = began.elapsed();
    if answer.rows_still_selected > 0 {
        return Err(BatchError::NotRepeatable(format!(
            "{} of {} rows match again right after they were changed",
            answer.rows_still_selected, answer.rows
        )));
    }
    if let Some(afterwards) = afterwards {
        afterwards.check_in_txn(session, answer.rows).await?;
    }
    if !answer.mismatches.is_empty() {
        store::add_suspects_in_txn(session, facts.run_id(), &range.claim, &answer.mismatches).await?;
    }
    let mut checkpoint = checkpoint(range, batch, answer.rows, hot_before);
    checkpoint.rows_wrong = answer.rows_wrong as i64;
    let counters = checkpoint.commit(session, facts.run_id(), &range.claim, hint).await?;
    Ok((answer, statement_took, counters))
}

/// Triggers fire when RETURNING has counted: what they do to the table is seen by the server's own counters.
/// Where these count no more than the rows that were changed, RETURNING has had the last word.
struct Afterwards<'a> {
    trigger: &'a str,
    relation: u32,
    before: i64,
}

impl<'a> Afterwards<'a> {
    /// None: there is no such trigger, or what it does is of no account.
    async fn look_in_txn(
        part: &'a Part,
        session: &Session,
        range: &ClaimedRange,
        scan: &Scan,
    ) -> Result<Option<Self>, BatchError> {
        let trigger = part.facts.plan.ordering.after_trigger.as_deref().filter(|_| scan.is_repeated());
        let Some(trigger) = trigger else { return Ok(None) };
        let relation = range.claim.relation;
        let before = catalog::row_changes_in_txn(session, relation).await?;
        Ok(Some(Self { trigger, relation, before }))
    }

    async fn check_in_txn(self, session: &Session, rows: u64) -> Result<(), BatchError> {
        session.batch_execute(NOTHING_DEFERRED).await?;
        let after = catalog::row_changes_in_txn(session, self.relation).await?;
        let more = after - self.before - rows as i64;
        if more == 0 {
            return Ok(());
        }
        let more = human::counted(more.unsigned_abs(), "row", "rows");
        Err(BatchError::NotRepeatable(format!(
            "trigger \"{}\" changes rows of the table, too ({more} in this batch), which may set back what was changed",
            self.trigger
        )))
    }
}

/// A leaf that is walked by block may have been begun by a process that knew of nothing against it.
fn may_be_repeated(part: &Part, scan: &Scan) -> Result<(), BatchError> {
    match &part.facts.plan.ordering.unrepeatable {
        Some(why) if scan.is_repeated() => Err(BatchError::NotRepeatable(why.clone())),
        _ => Ok(()),
    }
}

/// What a batch leaves behind in its range.
pub(super) fn checkpoint(
    range: &ClaimedRange,
    batch: &NextBatch,
    rows_changed: u64,
    hot_before: i64,
) -> Checkpoint {
    let (position, state) = range.position_after(batch);
    Checkpoint {
        position,
        state,
        rows_passed: batch.stripe_rows.into(),
        rows_changed: rows_changed as i64,
        hot_before,
        rows_wrong: 0,
    }
}

/// What the range's new row and the COMMIT write.
const CHECKPOINT_WAL_BYTES: u64 = 256;
/// A page of the WAL and the header in it.
const WAL_PAGE_BYTES: u64 = 8192;
const WAL_PAGE_HEADER_BYTES: u64 = 24;

/// How much the WAL grows by a batch. EXPLAIN counts the bytes of the records alone, which is 3 to 5 % less:
/// each record is padded to a multiple of eight bytes, by three and a half on average, and each page has its
/// header.
fn wal_growth(records: u64, bytes: u64) -> u64 {
    let padded = bytes + records * 7 / 2 + CHECKPOINT_WAL_BYTES;
    padded * WAL_PAGE_BYTES / (WAL_PAGE_BYTES - WAL_PAGE_HEADER_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_page_headers_and_the_checkpoint_count_as_wal() {
        assert_eq!(wal_growth(2_000, 160_640), 168_389);
    }
}
