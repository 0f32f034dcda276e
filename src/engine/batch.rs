//! One batch, one transaction: lock the range, change the rows, advance the cursor, COMMIT.
//!
//! Nothing here sleeps, waits for a permit or talks to an observer.
//!
//! Must not know: which batch comes next, what follows an error.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use super::held::{Held, Piece};
use super::shared::Shared;
use crate::db::{Bound, Error, Session};
use crate::key::KeyRange;
use crate::run::RunState;
use crate::sql::{self, Stripe, Target};
use crate::store::{self, BadRow, Checkpoint, Counters, Hint};

/// How the UPDATE is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gauge {
    /// As it is.
    Rows,
    /// So that it tells the bytes of WAL that it wrote.
    RowsAndWal,
}

/// A batch that was committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) rows_changed: u64,
    pub(super) wal_bytes: Option<u64>,
    pub(super) took: Duration,
    /// Of it, the UPDATE: what more rows make longer.
    pub(super) update_took: Duration,
    /// The range's counters from now on.
    pub(super) counters: Counters,
}

/// Why a batch was not run.
#[derive(Debug)]
pub(super) enum Halt {
    /// Somebody else has the range, or has moved it: claim again.
    Lost,
    /// The run is not running any more.
    Ordered(RunState),
    /// The table is not the one that was planned.
    Changed(String),
    /// The server or the connection failed.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs one batch and commits it with its checkpoint.
pub(super) async fn batch(
    shared: &Shared,
    session: &mut Session,
    held: &Held,
    piece: &Piece,
    gauge: Gauge,
    hint: &Hint,
) -> Result<Done, Halt> {
    let began = Instant::now();
    match batch_in_txn(shared, session, held, piece, gauge, hint).await {
        Ok((rows_changed, wal_bytes, update_took, counters)) => {
            Ok(Done { rows_changed, wal_bytes, took: began.elapsed(), update_took, counters })
        }
        Err(halt) => {
            // The first error is the one to tell; a session whose rollback fails too is closed when it is dropped.
            let _ = session.rollback().await;
            Err(halt)
        }
    }
}

async fn batch_in_txn(
    shared: &Shared,
    session: &mut Session,
    held: &Held,
    piece: &Piece,
    gauge: Gauge,
    hint: &Hint,
) -> Result<(u64, Option<u64>, Duration, Counters), Halt> {
    let target = shared.plan.target(held.claim.table.clone());
    let bound = Bound::of(&piece.keys);
    let runs = if shared.plan.joins_runs() { held.runs(piece) } else { None };
    let finding = runs.map_or("", |_| sql::LOOKING_UP);
    let hot_before = lock_in_txn(shared, session, held, &target, finding).await?;
    let stripe = Stripe { striping: held.claim.striping, number: held.stripe(), runs };
    let update = sql::update(&target, &shared.plan.change, bound.bounds(), stripe);
    let mut params = bound.params(&target.key);
    if let Some(runs) = &stripe.runs {
        params.extend([(&runs.first as _, Type::INT8), (&runs.last as _, Type::INT8)]);
    }
    let began = Instant::now();
    let (rows_changed, wal_bytes) = match gauge {
        Gauge::Rows => (session.execute(&update, &params).await?, None),
        Gauge::RowsAndWal => {
            let row = session.query_one(&sql::measured(&update), &params).await?;
            let (rows, bytes) = measured(&row.get(0)).ok_or_else(unreadable)?;
            (rows, Some(bytes))
        }
    };
    let update_took = began.elapsed();
    let checkpoint = checkpoint(held, piece, rows_changed, hot_before);
    let counters = checkpoint.commit(session, shared.run.id, &held.claim, hint).await?;
    Ok((rows_changed, wal_bytes, update_took, counters))
}

fn unreadable() -> Error {
    Error::Protocol("EXPLAIN told neither rows nor WAL bytes".into())
}

fn checkpoint(held: &Held, piece: &Piece, rows_changed: u64, hot_before: i64) -> Checkpoint {
    let (position, state) = held.position_after(piece);
    Checkpoint {
        position,
        state,
        rows_passed: piece.stripe_rows.into(),
        rows_changed: rows_changed as i64,
        hot_before,
    }
}

/// BEGIN, and the range's row lock; goes on only if all is as the worker remembers it. Gives the counter of HOT updates.
async fn lock_in_txn(
    shared: &Shared,
    session: &mut Session,
    held: &Held,
    target: &Target,
    more: &str,
) -> Result<i64, Halt> {
    let (table, key) = (target.table.to_string(), shared.plan.key_names());
    let params = [
        (&shared.run.id.0 as _, Type::INT8),
        (&held.claim.number.0 as _, Type::INT8),
        (&table as _, Type::TEXT),
        (&key as _, Type::TEXT_ARRAY),
    ];
    session.answers_within(shared.answer_max());
    let settings = format!("{}; {more}", shared.batch_settings());
    let rows = session.begin_and_query(&settings, &sql::lock(target), &params).await?;
    let fence = store::fence(&rows)?.ok_or(Halt::Lost)?;
    shared.at_home(&shared.home.on(fence.timeline))?;
    if fence.run_state != RunState::Running {
        return Err(Halt::Ordered(fence.run_state));
    }
    if let Some(why) = fence.changed {
        return Err(Halt::Changed(format!("table {table} changed under the run: {why}")));
    }
    if fence.keys != held.claim.keys || fence.striping != held.claim.striping {
        return Err(Halt::Lost);
    }
    if fence.done || fence.position != held.claim.position {
        return Err(Halt::Lost);
    }
    Ok(fence.hot_before)
}

/// What became of a row at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aside {
    /// It is in the quarantine.
    Kept,
    /// It is of another stripe, which will meet it. The server looks at a cheap predicate before the stripe's condition, so the
    /// predicate can fail for rows that the batch does not even select.
    Passed,
    /// The quarantine is full already.
    Full,
}

/// Puts the only row of `piece` into the quarantine and moves the cursor past it, in one transaction.
pub(super) async fn quarantine(
    shared: &Shared,
    session: &mut Session,
    held: &Held,
    piece: &Piece,
    row: &BadRow,
    hint: &Hint,
) -> Result<Aside, Halt> {
    match quarantine_in_txn(shared, session, held, piece, row, hint).await {
        Ok(aside @ (Aside::Kept | Aside::Passed)) => Ok(aside),
        other => {
            // As in `batch`.
            let _ = session.rollback().await;
            other
        }
    }
}

async fn quarantine_in_txn(
    shared: &Shared,
    session: &mut Session,
    held: &Held,
    piece: &Piece,
    row: &BadRow,
    hint: &Hint,
) -> Result<Aside, Halt> {
    let target = shared.plan.target(held.claim.table.clone());
    let hot_before = lock_in_txn(shared, session, held, &target, "").await?;
    let stripe = Stripe { striping: held.claim.striping, number: held.stripe(), runs: None };
    let (exists, alone) =
        (sql::exists_in(&target, stripe), KeyRange { after: None, through: row.key.clone() });
    let is_ours = session.query_one(&exists, &Bound::of(&alone).params(&target.key)).await?.get(0);
    let aside = if is_ours { Aside::Kept } else { Aside::Passed };
    if aside == Aside::Kept {
        if store::bad_rows_hold_in_txn(session, shared.run.id).await? >= shared.limits.max_bad_rows {
            return Ok(Aside::Full);
        }
        store::bad_row_in_txn(session, shared.run.id, held.claim.leaf, row).await?;
    }
    checkpoint(held, piece, 0, hot_before).commit(session, shared.run.id, &held.claim, hint).await?;
    Ok(aside)
}

/// Rows and WAL bytes of the top node of an EXPLAIN (ANALYZE, WAL, FORMAT JSON): with RETURNING its rows are those changed.
fn measured(explain: &serde_json::Value) -> Option<(u64, u64)> {
    let node = explain.get(0)?.get("Plan")?;
    // PostgreSQL 18 writes rows with decimals.
    let rows = node.get("Actual Rows")?.as_f64()?;
    let (records, bytes) = (node.get("WAL Records")?.as_u64()?, node.get("WAL Bytes")?.as_u64()?);
    Some((rows as u64, wal_growth(records, bytes)))
}

/// What the range's new row and the COMMIT write.
const CHECKPOINT_WAL_BYTES: u64 = 256;
/// A page of the log and the header in it.
const WAL_PAGE_BYTES: u64 = 8192;
const WAL_PAGE_HEADER_BYTES: u64 = 24;

/// How much the log grows by a batch. EXPLAIN counts the bytes of the records alone, which is 3 to 5 % less: each record is
/// padded to a multiple of eight bytes, by three and a half on average, and each page has its header.
fn wal_growth(records: u64, bytes: u64) -> u64 {
    let padded = bytes + records * 7 / 2 + CHECKPOINT_WAL_BYTES;
    padded * WAL_PAGE_BYTES / (WAL_PAGE_BYTES - WAL_PAGE_HEADER_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_wal_are_read_from_the_top_node() {
        let explain = serde_json::json!([{"Plan": {"Node Type": "ModifyTable", "Actual Rows": 12.00, "WAL Records": 36,
            "WAL Bytes": 3456, "Plans": [{"Actual Rows": 99, "WAL Records": 0, "WAL Bytes": 0}]}}]);
        assert_eq!(measured(&explain), Some((12, wal_growth(36, 3456))));
        assert_eq!(measured(&serde_json::json!([])), None);
    }

    #[test]
    fn padding_page_headers_and_the_checkpoint_count_as_wal() {
        assert_eq!(wal_growth(2_000, 160_640), 168_389);
    }
}
