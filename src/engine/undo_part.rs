//! A part of the kept values in which a value cannot be put back: the others of it are, and the rows at fault
//! go to the quarantine, all in one transaction.
//!
//! Must not know: how a value is put back.

use super::batch;
use super::claimed::{ClaimedRange, NextBatch};
use super::lease::{self, BatchError};
use super::part::Part;
use crate::change::Measure;
use crate::db::{Error, NextAct, Session};
use crate::key::Key;
use crate::scan::{Rows, Stripe};
use crate::sql::settings::{SAVEPOINT, TO_SAVEPOINT};
use crate::store::{self, BadRow, Hint};

/// A part has no more rows than that.
const PLACES: u32 = 1 << 21;

/// What has become of a part.
pub(super) struct PutBack {
    pub(super) rows_changed: u64,
    pub(super) bad: Vec<BadRow>,
}

/// Puts back what can be, and moves the cursor past the part.
pub(super) async fn put_back_one_by_one(
    part: &Part,
    session: &mut Session,
    range: &ClaimedRange,
    batch: &NextBatch,
    hint: &Hint,
) -> Result<PutBack, BatchError> {
    let done = put_back_in_txn(part, session, range, batch, hint).await;
    if done.is_err() {
        // The first error is the one to tell, as for a batch.
        let _ = session.rollback().await;
    }
    done
}

async fn put_back_in_txn(
    part: &Part,
    session: &mut Session,
    range: &ClaimedRange,
    batch: &NextBatch,
    hint: &Hint,
) -> Result<PutBack, BatchError> {
    let (facts, claim) = (&part.facts, &range.claim);
    let scan = part.scan(claim);
    let rows = scan.rows(&batch.span, Stripe::ALL, batch.stripe_rows);
    let hot_before = lease::lock_in_txn(part, session, range, &scan, rows.settings).await?;
    let mut done = PutBack { rows_changed: 0, bad: Vec::new() };
    // Halves of what fails, until a row is alone.
    let mut ahead = vec![(1, PLACES)];
    while let Some((from, to)) = ahead.pop() {
        match try_in_txn(part, session, &rows, (from, to)).await? {
            Ok(changed) => done.rows_changed += changed,
            Err(refused) if from == to => {
                if let Some(key) = key_in_txn(part, session, &rows, from).await? {
                    let sqlstate = refused.sqlstate().unwrap_or_default().to_owned();
                    let bad = BadRow { key, sqlstate, message: refused.to_string() };
                    store::add_bad_row_in_txn(session, facts.run_id(), (claim.leaf, claim.number), &bad)
                        .await?;
                    done.bad.push(bad);
                }
            }
            Err(_) => {
                let middle = from + (to - from) / 2;
                ahead.extend([(middle + 1, to), (from, middle)]);
            }
        }
    }
    tracing::info!(bad_rows = done.bad.len(), "values that could not be put back");
    batch::checkpoint(range, batch, done.rows_changed, hot_before)
        .commit(session, facts.run_id(), claim, hint)
        .await?;
    Ok(done)
}

/// Puts back some of them; gives the server's refusal if a value is at fault.
async fn try_in_txn(
    part: &Part,
    session: &Session,
    rows: &Rows,
    places: (u32, u32),
) -> Result<Result<u64, Error>, Error> {
    let Some(statement) = part.facts.plan.change.undo_among(rows, places) else { return Ok(Ok(0)) };
    session.batch_execute(SAVEPOINT).await?;
    match statement.run_in_txn(session, Measure::Rows).await {
        Ok(answer) => Ok(Ok(answer.rows)),
        Err(error) if error.next_act() == NextAct::Bisect => {
            session.batch_execute(TO_SAVEPOINT).await?;
            Ok(Err(error))
        }
        Err(error) => Err(error),
    }
}

async fn key_in_txn(part: &Part, session: &Session, rows: &Rows, place: u32) -> Result<Option<Key>, Error> {
    let Some(sql) = part.facts.plan.change.undo_key_at(rows, place) else { return Ok(None) };
    let row = session.query_opt(&sql, &rows.params()).await?;
    Ok(row.map(|row| Key(row.get(0))))
}
