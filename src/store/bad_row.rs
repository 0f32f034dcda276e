//! The quarantine: rows whose own data made the change fail.
//!
//! Must not know: how a bad row is found.

use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::leaf::LeafNo;
use super::range::change;
use crate::db::{Error, Param, Session};
use crate::key::Key;
use crate::run::{RangeNo, RunId, RunState};
use crate::sql::{self, Qualified, fixed};

/// A row in the quarantine.
#[derive(Clone, Debug, Serialize)]
pub struct BadRow {
    /// Its key.
    pub key: Key,
    /// Five characters.
    pub sqlstate: String,
    /// What the server said.
    pub message: String,
}

/// Which row of the quarantine.
#[derive(Clone, Debug)]
pub struct BadKey {
    /// Its leaf.
    pub leaf: LeafNo,
    /// The leaf's name.
    pub table: Qualified,
    /// Its key.
    pub key: Key,
    /// The range that has it; none: put aside by a version that did not store it.
    pub range: Option<RangeNo>,
}

/// What the lock of a row of the quarantine found.
#[derive(Clone, Copy, Debug)]
pub struct BadRowFence {
    /// The run's state at this moment.
    pub run_state: RunState,
    /// Why the table is not the one that was planned, if it is not.
    pub changed: Option<&'static str>,
}

/// BEGIN with `settings`, and the lock of a row of the quarantine behind the fence of the walked table, in
/// one round trip. None: another process has it, or it is there no more. `walked` is the table as a FROM
/// item, `columns` its key's.
pub async fn lock_bad_row(
    session: &mut Session,
    settings: &str,
    run: RunId,
    bad: &BadKey,
    walked: &str,
    columns: &[String],
) -> Result<Option<BadRowFence>, Error> {
    let [run, leaf, key] = place(&run, bad);
    let table = bad.table.to_string();
    let params = [run, leaf, key, (&table as _, Type::TEXT), (&columns as _, Type::TEXT_ARRAY)];
    let rows = session.begin_and_query(settings, &sql::bad_row_lock(walked), &params).await?;
    Ok(rows.first().map(fence))
}

fn fence(row: &Row) -> BadRowFence {
    // An unknown state is a later program's, as for a range.
    let run_state = RunState::parse(row.get("run_state")).unwrap_or(RunState::Blocked);
    BadRowFence { run_state, changed: change(row) }
}

/// Takes a row that was changed out of the quarantine and counts it in its range.
pub async fn settle_bad_row_in_txn(
    session: &Session,
    run: RunId,
    bad: &BadKey,
    range: RangeNo,
) -> Result<(), Error> {
    let [run, leaf, key] = place(&run, bad);
    let params = [run, leaf, key, (&range.0 as _, Type::INT8)];
    // There is exactly one row of this number, or the run's bookkeeping is broken.
    session.query_one(fixed::BAD_ROW_SETTLE, &params).await.map(drop)
}

/// The next of them, in the order of leaves and keys.
pub async fn next_bad_rows(
    session: &Session,
    run: RunId,
    after: Option<&BadKey>,
    limit: i64,
) -> Result<Vec<BadKey>, Error> {
    let (leaf, key) = after.map(|after| (after.leaf.0, &after.key.0)).unzip();
    let params = [
        (&run.0 as _, Type::INT8),
        (&leaf as _, Type::INT4),
        (&key as _, Type::TEXT_ARRAY),
        (&limit as _, Type::INT8),
    ];
    let rows = session.query(fixed::BAD_ROW_NEXT, &params).await?;
    Ok(rows
        .iter()
        .map(|row| BadKey {
            leaf: LeafNo(row.get("leaf")),
            table: Qualified::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
            key: Key(row.get("key")),
            range: row.get::<_, Option<i64>>("range").map(RangeNo),
        })
        .collect())
}

/// Whether it is still there.
pub async fn is_bad_row(session: &Session, run: RunId, bad: &BadKey) -> Result<bool, Error> {
    Ok(session.query_one(fixed::BAD_ROW_EXISTS, &place(&run, bad)).await?.get(0))
}

/// Whether a row of this key is there.
pub async fn has_bad_row_in_txn(
    session: &Session,
    run: RunId,
    leaf: LeafNo,
    key: &Key,
) -> Result<bool, Error> {
    let params = [(&run.0 as _, Type::INT8), (&leaf.0 as _, Type::INT4), (&key.0 as _, Type::TEXT_ARRAY)];
    Ok(session.query_one(fixed::BAD_ROW_EXISTS, &params).await?.get(0))
}

/// Takes all rows of a leaf out: it is walked again, and will meet them.
pub async fn forget_bad_rows_in_txn(session: &Session, run: RunId, leaf: LeafNo) -> Result<(), Error> {
    let params = [(&run.0 as _, Type::INT8), (&leaf.0 as _, Type::INT4)];
    session.execute(fixed::BAD_ROW_FORGET, &params).await.map(drop)
}

/// How many rows of a leaf are there.
pub async fn bad_rows_of_leaf_in_txn(session: &Session, run: RunId, leaf: LeafNo) -> Result<i64, Error> {
    let params = [(&run.0 as _, Type::INT8), (&leaf.0 as _, Type::INT4)];
    Ok(session.query_one(fixed::BAD_ROW_LEAF, &params).await?.get(0))
}

/// Takes a row out of the quarantine that nothing is to be done about.
pub async fn drop_bad_row_in_txn(session: &Session, run: RunId, bad: &BadKey) -> Result<(), Error> {
    session.execute(fixed::BAD_ROW_DELETE, &place(&run, bad)).await.map(drop)
}

/// Records what was wrong with a row that was tried again.
pub async fn bad_row_again_in_txn(
    session: &Session,
    run: RunId,
    bad: &BadKey,
    sqlstate: &str,
    message: &str,
) -> Result<(), Error> {
    let [run, leaf, key] = place(&run, bad);
    let params = [run, leaf, key, (&sqlstate as _, Type::TEXT), (&message as _, Type::TEXT)];
    session.execute(fixed::BAD_ROW_AGAIN, &params).await.map(drop)
}

fn place<'a>(run: &'a RunId, bad: &'a BadKey) -> [Param<'a>; 3] {
    [(&run.0, Type::INT8), (&bad.leaf.0, Type::INT4), (&bad.key.0, Type::TEXT_ARRAY)]
}

/// Records a row, in the transaction that moves the cursor past it.
pub async fn add_bad_row_in_txn(
    session: &Session,
    run: RunId,
    (leaf, range): (LeafNo, RangeNo),
    row: &BadRow,
) -> Result<(), Error> {
    let params = [
        (&run.0 as _, Type::INT8),
        (&leaf.0 as _, Type::INT4),
        (&row.key.0 as _, Type::TEXT_ARRAY),
        (&row.sqlstate as _, Type::TEXT),
        (&row.message as _, Type::TEXT),
        (&range.0 as _, Type::INT8),
    ];
    session.execute(fixed::BAD_ROW_INSERT, &params).await.map(drop)
}

/// How many there are, and there will be none more before this transaction ends but its own.
pub async fn lock_and_count_bad_rows_in_txn(session: &Session, run: RunId) -> Result<u64, Error> {
    session.query_one(fixed::RUN_HOLD, &[(&run.0, Type::INT8)]).await?;
    // In a statement of its own, so that it sees what was added while we waited for the lock.
    bad_rows_count(session, run).await
}

/// How many there are.
pub async fn bad_rows_count(session: &Session, run: RunId) -> Result<u64, Error> {
    let row = session.query_one(fixed::BAD_ROW_COUNT, &[(&run.0, Type::INT8)]).await?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

/// The latest of them.
pub async fn bad_rows(session: &Session, run: RunId, limit: i64) -> Result<Vec<BadRow>, Error> {
    let rows = session.query(fixed::BAD_ROW_LIST, &[(&run.0, Type::INT8), (&limit, Type::INT8)]).await?;
    Ok(rows
        .iter()
        .map(|row| BadRow {
            key: Key(row.get("key")),
            sqlstate: row.get("sqlstate"),
            message: row.get("message"),
        })
        .collect())
}
