//! Puts a bad row aside: records it and moves the cursor past it, in one transaction.
//!
//! Must not know: how the row was found to be bad.

use super::batch;
use super::claimed::{ClaimedRange, NextBatch};
use super::lease::{self, BatchError};
use super::part::Part;
use crate::db::Session;
use crate::store::{self, BadRow, Hint};

/// What became of a row at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quarantined {
    /// It is in the quarantine.
    Kept,
    /// It is of another stripe, which will meet it. The server looks at a cheap predicate before the stripe's
    /// condition, so the predicate can fail for rows that the batch does not even select.
    OfAnotherStripe,
    /// The quarantine is full already.
    Full,
}

/// Puts the only row of `batch` into the quarantine and moves the cursor past it.
pub(super) async fn put_aside(
    part: &Part,
    session: &mut Session,
    range: &ClaimedRange,
    batch: &NextBatch,
    row: &BadRow,
    hint: &Hint,
) -> Result<Quarantined, BatchError> {
    match put_aside_in_txn(part, session, range, batch, row, hint).await {
        Ok(done @ (Quarantined::Kept | Quarantined::OfAnotherStripe)) => Ok(done),
        other => {
            // The first error is the one to tell, as for a batch.
            let _ = session.rollback().await;
            other
        }
    }
}

async fn put_aside_in_txn(
    part: &Part,
    session: &mut Session,
    range: &ClaimedRange,
    batch: &NextBatch,
    row: &BadRow,
    hint: &Hint,
) -> Result<Quarantined, BatchError> {
    let (facts, claim) = (&part.facts, &range.claim);
    let scan = facts.plan.scan(claim.table.clone());
    let hot_before = lease::lock_in_txn(part, session, range, &scan, "").await?;
    let found = scan.row_in(&row.key, range.stripe());
    let is_ours = found.exist_in_txn(session).await?;
    let done = if is_ours { Quarantined::Kept } else { Quarantined::OfAnotherStripe };
    if done == Quarantined::Kept {
        if store::lock_and_count_bad_rows_in_txn(session, facts.run_id()).await? >= facts.limits.max_bad_rows
        {
            return Ok(Quarantined::Full);
        }
        store::add_bad_row_in_txn(session, facts.run_id(), (claim.leaf, claim.number), row).await?;
    }
    batch::checkpoint(range, batch, 0, hot_before).commit(session, facts.run_id(), claim, hint).await?;
    Ok(done)
}
