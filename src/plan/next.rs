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
    let scan = plan.walk.leaf(leaf.table.clone(), leaf.order);
    let rest = Span { after: leaf.frontier, through: leaf.bound };
    let step = cut.step_of(leaf.rows_left);
    let mut cells = scan.cells_in_txn(session, &rest, step, cut.cells).await?;
    cells.truncate(enough(&cells, step.saturating_mul(cut.cells)));
    // There is at least the tail.
    let through = cells.last().map_or_else(|| rest.through.clone(), |cell| cell.through.clone());
    let span = Span { after: rest.after, through };
    let rows_planned = cells.iter().map(|cell| i64::from(cell.rows)).sum();
    let Layout { striping, why } = scan.layout(session, &span, &cut.choice).await?;
    let (pass, is_sweep) = (leaf.pass, leaf.order.is_sweep());
    let new = NewRange { leaf: leaf.number, span: &span, striping, why: &why, rows_planned, pass, is_sweep };
    let number = store::add_range_in_txn(session, run, &new, hint).await?;
    store::move_frontier_in_txn(session, run, leaf.number, &span.through).await?;
    let position = Position { stripe: 0, cursor: None };
    let (leaf, relation, table, order) = (leaf.number, leaf.relation, leaf.table, leaf.order);
    let claim = Claim { number, leaf, relation, table, order, span, striping, position, rested: false };
    Ok(Some(Planned { claim, cells, why }))
}

/// How many cells have so many rows together: a cell may have more than a step.
fn enough(cells: &[Cell], rows_max: u32) -> usize {
    let mut rows = 0_u32;
    let are_few = |cell: &&Cell| {
        let are_few = rows < rows_max;
        rows = rows.saturating_add(cell.rows);
        are_few
    };
    cells.iter().take_while(are_few).count().max(1)
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
    fn cells_that_are_larger_than_a_step_make_no_longer_ranges() {
        let cells = |rows: &[u32]| {
            let cell = |rows: &u32| Cell { through: crate::scan::Mark(vec![]), rows: *rows };
            rows.iter().map(cell).collect::<Vec<_>>()
        };
        assert_eq!(enough(&cells(&[10, 10, 10]), 30), 3);
        assert_eq!(enough(&cells(&[150, 150, 150, 150]), 300), 2);
        assert_eq!(enough(&cells(&[150, 150]), 1), 1);
        assert_eq!(enough(&[], 1), 1);
    }

    #[test]
    fn statistics_that_are_too_old_do_not_make_ranges_tiny() {
        assert_eq!(step_of(-5), 500);
    }
}
