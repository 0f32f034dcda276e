//! Boundary keys of a range, read from the index.
//!
//! Must not know: how large a batch will be; it is given a step.

use tokio_postgres::types::Type;

use crate::db::{Bound, Error, Session};
use crate::key::{Key, KeyRange};
use crate::sql::{self, Target};

/// Settings of a transaction that plans: keys are read as ISO text in UTC whatever the role's settings say; an index is there, so
/// statistics that are missing must not talk the server out of using it; compiling (`jit`) takes ten times as long as the
/// whole query; and a plan that is lost in a crash is planned again.
pub const PLANNING: &str = "SET LOCAL datestyle = 'ISO, MDY'; SET LOCAL timezone = 'UTC'; SET LOCAL search_path = pg_catalog, pg_temp; \
     SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off; \
     SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '60s'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// The keys above the cell before and up to `through`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The last key of the cell.
    pub through: Key,
    /// How many keys it had when it was read.
    pub rows: u32,
}

/// At most `cells_max` cells of `step` keys each from the start of `range`. Once they reach its end, the last one is cut to end with
/// the range and counts the keys that it has.
pub(super) async fn cells(
    session: &Session,
    target: &Target,
    range: &KeyRange,
    step: u32,
    cells_max: u32,
) -> Result<Vec<Cell>, Error> {
    let bound = Bound::of(range);
    let (skip, cells_max_i4) = (i64::from(step) - 1, cells_max as i32);
    let mut params = bound.params(&target.key);
    params.extend([(&skip as _, Type::INT8), (&cells_max_i4 as _, Type::INT4)]);
    let rows = session.query(&sql::grid(target, bound.bounds()), &params).await?;
    let mut cells: Vec<_> = rows.iter().map(|row| Cell { through: Key(row.get(0)), rows: step }).collect();
    let at_end = cells.last().is_some_and(|cell| cell.through == range.through);
    if cells.len() < cells_max as usize && !at_end {
        cells.push(tail(session, target, range, cells.last()).await?);
    }
    Ok(cells)
}

/// Cells that a worker keeps in memory at the most (some 100 bytes each); a range with more is read in parts.
pub const CELLS_MAX: u32 = 4096;

/// The same in a transaction of its own.
pub async fn read_cells(
    session: &mut Session,
    target: &Target,
    range: &KeyRange,
    step: u32,
    cells_max: u32,
) -> Result<Vec<Cell>, Error> {
    session.begin(PLANNING).await?;
    let read = cells(session, target, range, step, cells_max).await;
    session.commit_or_rollback(read).await
}

/// What lies between the last whole cell and the end of the range: fewer keys than a step, so counting them is cheap.
async fn tail(
    session: &Session,
    target: &Target,
    range: &KeyRange,
    last: Option<&Cell>,
) -> Result<Cell, Error> {
    let after = last.map(|cell| cell.through.clone()).or_else(|| range.after.clone());
    let rest = KeyRange { after, through: range.through.clone() };
    let bound = Bound::of(&rest);
    let row = session.query_one(&sql::count(target, bound.bounds()), &bound.params(&target.key)).await?;
    Ok(Cell { through: rest.through, rows: u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX) })
}

/// The last key of a table, none if it is empty.
pub async fn last_key(session: &Session, target: &Target) -> Result<Option<Key>, Error> {
    let row = session.query_opt(&sql::max_key(target), &[]).await?;
    Ok(row.map(|row| Key(row.get(0))))
}

/// The same in a transaction of its own that waits for nobody.
///
/// # Errors
/// What the server says: that the table is locked, or gone.
pub async fn probe_last_key(session: &mut Session, target: &Target) -> Result<Option<Key>, Error> {
    let impatient = "SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '1s'";
    let settings = format!("{PLANNING}; {impatient}");
    let rows = session.probe(&settings, &sql::max_key(target), &[]).await?;
    Ok(rows.first().map(|row| Key(row.get(0))))
}
