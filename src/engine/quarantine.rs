//! Puts a bad row aside: records it and moves the cursor past it, in one transaction.
//!
//! Must not know: how the row was found to be bad.

use super::batch;
use super::claimed::{ClaimedRange, NextBatch};
use super::lease::{self, BatchError};
use super::part::Part;
use crate::db::{Error, Session};
use crate::scan::Scan;
use crate::sql::settings;
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

/// Puts the only row of `batch` into the quarantine, with what was wrong with it, and moves the cursor past
/// it. Tells the row, if there is one.
pub(super) async fn put_aside(
    part: &Part,
    session: &mut Session,
    range: &ClaimedRange,
    batch: &NextBatch,
    error: &Error,
    hint: &Hint,
) -> Result<(Quarantined, Option<BadRow>), BatchError> {
    match put_aside_in_txn(part, session, range, batch, error, hint).await {
        done @ Ok((Quarantined::Kept | Quarantined::OfAnotherStripe, _)) => done,
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
    error: &Error,
    hint: &Hint,
) -> Result<(Quarantined, Option<BadRow>), BatchError> {
    let (facts, claim) = (&part.facts, &range.claim);
    let (run, scan) = (facts.run_id(), part.scan(claim));
    let hot_before = lease::lock_in_txn(part, session, range, &scan, "").await?;
    let row = bad_row_in_txn(session, range, batch, &scan, error).await?;
    if let Some(row) = &row {
        let bad_rows = store::lock_and_count_bad_rows_in_txn(session, run).await?;
        // In a sweep a row may be met that was put aside before.
        let is_known =
            scan.is_repeated() && store::has_bad_row_in_txn(session, run, claim.leaf, &row.key).await?;
        if bad_rows >= facts.limits.max_bad_rows && !is_known {
            return Ok((Quarantined::Full, Some(row.clone())));
        }
        store::add_bad_row_in_txn(session, run, (claim.leaf, claim.number), row).await?;
    }
    batch::checkpoint(range, batch, 0, hot_before).commit(session, run, claim, hint).await?;
    Ok((if row.is_some() { Quarantined::Kept } else { Quarantined::OfAnotherStripe }, row))
}

/// The row of the batch, which is at its end; none if it is gone, or of another stripe.
async fn bad_row_in_txn(
    session: &Session,
    range: &ClaimedRange,
    batch: &NextBatch,
    scan: &Scan,
    error: &Error,
) -> Result<Option<BadRow>, Error> {
    let at = &batch.span.through;
    if !scan.row_at(at, range.stripe()).exist_in_txn(session).await? {
        return Ok(None);
    }
    session.batch_execute(settings::AS_MARKS).await?;
    let key = scan.key_at_in_txn(session, at).await?;
    let sqlstate = error.sqlstate().unwrap_or_default().to_owned();
    Ok(key.map(|key| BadRow { key, sqlstate, message: error.to_string() }))
}
