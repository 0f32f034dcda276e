//! Lazy planning: the next range is looked up when a worker needs one, from where the last one ended.
//!
//! So the first batch runs at once on a table of any size, gaps cost nothing, and the size of a range follows
//! the speed that was measured.
//!
//! Must not know: batches.

use super::Plan;
use crate::db::{Error, Session};
use crate::run::RunId;
use crate::scan::{Cell, Choice, Layout, Span};
use crate::sql::settings;
use crate::store::{self, Claim, Hint, NewRange, Position};

/// How a range is cut off: `cells` cells of at most `step` keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeCut {
    /// Keys in a cell.
    pub step: u32,
    /// No fewer, however little is left.
    pub step_min: u32,
    /// A range is at most this part of what is left, so that the workers end together.
    pub parts: u32,
    /// Cells in a range.
    pub cells: u32,
    /// How it is to be striped.
    pub choice: Choice,
}

impl RangeCut {
    /// Keys in a cell where the run has this many rows left.
    fn step_of(&self, rows_left: i64) -> u32 {
        let fair =
            u32::try_from(rows_left.max(0)).unwrap_or(u32::MAX) / self.cells.max(1) / self.parts.max(1);
        fair.max(self.step_min).min(self.step).max(1)
    }
}

/// A range that was planned and is the worker's at once.
#[derive(Debug)]
pub struct Planned {
    /// The range.
    pub claim: Claim,
    /// Its boundary keys.
    pub cells: Vec<Cell>,
    /// Why it has so many stripes.
    pub why: String,
}

/// Plans the next range of the run and claims it. `None`: every leaf is planned to its end.
pub async fn next_range(
    session: &mut Session,
    run: RunId,
    plan: &Plan,
    cut: &RangeCut,
    hint: &Hint,
) -> Result<Option<Planned>, Error> {
    session.begin(settings::PLANNING).await?;
    let planned = next_range_in_txn(session, run, plan, cut, hint).await;
    session.commit_or_rollback(planned).await
}

async fn next_range_in_txn(
    session: &Session,
    run: RunId,
    plan: &Plan,
    cut: &RangeCut,
    hint: &Hint,
) -> Result<Option<Planned>, Error> {
    let Some(leaf) = store::next_leaf_in_txn(session, run).await? else {
        return Ok(None);
    };
    let scan = plan.scan(leaf.table.clone());
    let rest = Span { after: leaf.frontier, through: leaf.bound };
    let cells = scan.cells_in_txn(session, &rest, cut.step_of(leaf.rows_left), cut.cells).await?;
    // There is at least the tail.
    let through = cells.last().map_or_else(|| rest.through.clone(), |cell| cell.through.clone());
    let span = Span { after: rest.after, through };
    let rows_planned = cells.iter().map(|cell| i64::from(cell.rows)).sum();
    let Layout { striping, why } = scan.layout(session, &span, &cut.choice).await?;
    let new = NewRange { leaf: leaf.number, span: &span, striping, why: &why, rows_planned };
    let number = store::add_range_in_txn(session, run, &new, hint).await?;
    store::move_frontier_in_txn(session, run, leaf.number, &span.through).await?;
    let position = Position { stripe: 0, cursor: None };
    let (leaf, relation, table) = (leaf.number, leaf.relation, leaf.table);
    let claim = Claim { number, leaf, relation, table, span, striping, position, rested: false };
    Ok(Some(Planned { claim, cells, why }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::Wanted;

    fn step_of(rows_left: i64) -> u32 {
        let choice = Choice { wanted: Wanted::AtMost(8), why: String::new() };
        RangeCut { step: 8_000, step_min: 500, parts: 4, cells: 128, choice }.step_of(rows_left)
    }

    #[test]
    fn ranges_get_shorter_towards_the_end_so_that_all_workers_end_together() {
        assert_eq!(step_of(500_000_000), 8_000);
        assert_eq!(step_of(1_024_000), 2_000);
        assert_eq!(step_of(1_000), 500);
    }

    #[test]
    fn statistics_that_are_too_old_do_not_make_ranges_tiny() {
        assert_eq!(step_of(-5), 500);
    }
}
