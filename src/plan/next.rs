//! Lazy planning: the next range is looked up when a worker needs one, from where the last one ended.
//!
//! So the first batch runs at once on a table of any size, gaps cost nothing, and the size of a range follows the speed that was
//! measured.
//!
//! Must not know: batches.

use super::Plan;
use super::grid::{Cell, PLANNING, cells};
use crate::db::{Error, Session};
use crate::key::KeyRange;
use crate::run::RunId;
use crate::store::{self, Claim, Hint, NewRange, Position};
use crate::stripe::Striping;

/// How a range is cut: `cells` cells of `step` keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Keys in a cell.
    pub step: u32,
    /// Cells in a range.
    pub cells: u32,
    /// How the range is striped.
    pub striping: Striping,
}

/// A range that was planned and is the worker's at once.
#[derive(Debug)]
pub struct Planned {
    /// The range.
    pub claim: Claim,
    /// Its boundary keys.
    pub cells: Vec<Cell>,
}

/// Plans the next range of the run and claims it. `None`: every leaf is planned to its end.
pub async fn next_range(
    session: &mut Session,
    run: RunId,
    plan: &Plan,
    slice: Slice,
    hint: &Hint,
) -> Result<Option<Planned>, Error> {
    session.begin(PLANNING).await?;
    match next_range_in_txn(session, run, plan, slice, hint).await {
        Ok(planned) => {
            session.commit().await?;
            Ok(planned)
        }
        Err(error) => {
            // The first error is the one to tell; a session whose rollback fails too is closed when it is dropped.
            let _ = session.rollback().await;
            Err(error)
        }
    }
}

async fn next_range_in_txn(
    session: &Session,
    run: RunId,
    plan: &Plan,
    slice: Slice,
    hint: &Hint,
) -> Result<Option<Planned>, Error> {
    let Some(leaf) = store::next_leaf_in_txn(session, run).await? else {
        return Ok(None);
    };
    let target = plan.target(leaf.table.clone());
    let rest = KeyRange { after: leaf.frontier, through: leaf.bound };
    let cells = cells(session, &target, &rest, slice.step, slice.cells).await?;
    // `cells` gives at least the tail.
    let through = cells.last().map_or_else(|| rest.through.clone(), |cell| cell.through.clone());
    let keys = KeyRange { after: rest.after, through };
    let rows_planned = cells.iter().map(|cell| i64::from(cell.rows)).sum();
    let striping = slice.striping;
    let new = NewRange { leaf: leaf.number, keys: &keys, striping, rows_planned };
    let number = store::add_range_in_txn(session, run, &new, hint).await?;
    store::move_frontier_in_txn(session, run, leaf.number, &keys.through).await?;
    let position = Position { stripe: 0, cursor: None };
    let (leaf, relation, table) = (leaf.number, leaf.relation, leaf.table);
    let claim = Claim { number, leaf, relation, table, keys, striping, position };
    Ok(Some(Planned { claim, cells }))
}
