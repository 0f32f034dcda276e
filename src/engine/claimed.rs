//! A range that a worker has claimed: where it stands, which boundaries lie ahead, and the next batch of it.
//!
//! Must not know: tokio, the database.

use std::collections::VecDeque;

use crate::scan::{Cell, Mark, SLICES, Span, Stripe};
use crate::store::{Claim, Position, RangeState};

/// A claimed range and the cells ahead of its cursor in the present stripe, all or the next of them; never
/// without a cell.
#[derive(Debug)]
pub(super) struct ClaimedRange {
    pub(super) claim: Claim,
    ahead: VecDeque<Cell>,
    /// The cells of the whole range, for the stripes to come, if they were read from its start.
    whole: Option<Vec<Cell>>,
}

/// The next batch: one stripe of the rows of one or more cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NextBatch {
    pub(super) span: Span,
    /// Rows in it when they were read, of all stripes.
    pub(super) rows: u32,
    /// The present stripe's part of them; the parts of all stripes add up to the whole.
    pub(super) stripe_rows: u32,
    cells: usize,
}

impl ClaimedRange {
    /// None if nothing lies ahead: then the range is done, and its row would say so.
    pub(super) fn new(claim: Claim, cells: Vec<Cell>) -> Option<Self> {
        if cells.is_empty() {
            return None;
        }
        let from_start = claim.position.cursor.is_none();
        let to_end = cells.last().is_some_and(|cell| cell.through == claim.span.through);
        let striped = claim.striping.stripes().get() > 1;
        let whole = (striped && from_start && to_end).then(|| cells.clone());
        Some(Self { claim, ahead: cells.into(), whole })
    }

    /// The present stripe.
    pub(super) fn stripe(&self) -> Stripe {
        Stripe { striping: self.claim.striping, number: self.claim.position.stripe as u32 }
    }

    fn stripes(&self) -> u32 {
        self.claim.striping.stripes().get()
    }

    /// Where the cursor stands: none at the start of the table.
    fn after(&self) -> Option<Mark> {
        self.claim.ahead().after
    }

    /// Cells from the front until one stripe of them has `rows` rows, at least one cell.
    pub(super) fn next_batch(&self, rows: u32) -> NextBatch {
        let wanted = rows.saturating_mul(self.stripes());
        // Other batches must come between two visits of a page.
        let cells_max = self.whole.as_ref().map_or(usize::MAX, |whole| whole.len().div_ceil(SLICES as usize));
        let mut sum: u32 = 0;
        let mut cells = 0;
        for cell in self.ahead.iter().take(cells_max.max(1)) {
            if cells > 0 && sum.saturating_add(cell.rows) > wanted {
                break;
            }
            sum = sum.saturating_add(cell.rows);
            cells += 1;
        }
        self.first(cells, sum)
    }

    /// The first cell alone: when a single row is looked for.
    pub(super) fn smallest_batch(&self) -> NextBatch {
        self.first(1, self.ahead.front().map_or(0, |cell| cell.rows))
    }

    fn first(&self, cells: usize, rows: u32) -> NextBatch {
        // `ahead` is never empty, so there is a first cell.
        let through = self.ahead[cells.max(1) - 1].through.clone();
        let span = Span { after: self.after(), through };
        NextBatch { span, rows, stripe_rows: self.part(rows), cells: cells.max(1) }
    }

    /// The span of the first cell, if a batch that is to pass `rows` of its rows would need a part of it.
    pub(super) fn too_coarse(&self, rows: u32) -> Option<Span> {
        let first = self.ahead.front().filter(|cell| cell.rows > rows)?;
        Some(Span { after: self.after(), through: first.through.clone() })
    }

    /// Puts finer cells in the place of the first one.
    pub(super) fn refine(&mut self, cells: Vec<Cell>) {
        self.refine_first(1, cells);
    }

    /// Puts finer cells in the place of those of this batch.
    pub(super) fn refine_batch(&mut self, batch: &NextBatch, cells: Vec<Cell>) {
        self.refine_first(batch.cells, cells);
    }

    fn refine_first(&mut self, count: usize, cells: Vec<Cell>) {
        if cells.is_empty() {
            return;
        }
        self.ahead.drain(..count.min(self.ahead.len()));
        for cell in cells.into_iter().rev() {
            self.ahead.push_front(cell);
        }
    }

    fn part(&self, rows: u32) -> u32 {
        let (stripes, stripe) = (u64::from(self.stripes()), self.claim.position.stripe as u64);
        let upto = |stripe: u64| u64::from(rows) * stripe / stripes;
        (upto(stripe + 1) - upto(stripe)) as u32
    }

    /// Where the range will stand once `batch` is committed.
    pub(super) fn position_after(&self, batch: &NextBatch) -> (Position, RangeState) {
        let stripe = self.claim.position.stripe;
        let at_end = batch.span.through == self.claim.span.through;
        if at_end && stripe + 1 < self.stripes() as i32 {
            return (Position { stripe: stripe + 1, cursor: None }, RangeState::Open);
        }
        let position = Position { stripe, cursor: Some(batch.span.through.clone()) };
        (position, if at_end { RangeState::Done } else { RangeState::Open })
    }

    /// `batch` was committed. Gives the range back unless nothing lies ahead: it is done, or its next cells
    /// have to be read.
    pub(super) fn advance(mut self, batch: &NextBatch) -> Option<Self> {
        let (position, state) = self.position_after(batch);
        self.ahead.drain(..batch.cells);
        if self.ahead.is_empty() && state == RangeState::Open && position.cursor.is_none() {
            self.ahead = self.whole.iter().flatten().cloned().collect();
        }
        self.claim.position = position;
        if self.ahead.is_empty() { None } else { Some(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RangeNo;
    use crate::scan::LeafOrder;
    use crate::sql::Qualified;
    use crate::store::LeafNo;
    use crate::stripe::{StripeBy, Striping};
    use proptest::prelude::*;

    fn mark(n: u32) -> Mark {
        Mark(vec![n.to_string()])
    }

    fn claimed(cells: &[u32]) -> ClaimedRange {
        striped(cells, 1)
    }

    fn striped(cells: &[u32], stripes: u32) -> ClaimedRange {
        let mut through = 0;
        let cells: Vec<_> = cells
            .iter()
            .map(|rows| {
                through += rows;
                Cell { through: mark(through), rows: *rows }
            })
            .collect();
        let claim = Claim {
            number: RangeNo(1),
            leaf: LeafNo(1),
            relation: 1,
            striping: Striping::new(stripes, StripeBy::Hash).unwrap(),
            table: Qualified::new("public", "t"),
            order: LeafOrder::Keys,
            span: Span { after: None, through: mark(through) },
            position: Position { stripe: 0, cursor: None },
            rested: false,
        };
        ClaimedRange::new(claim, cells).unwrap()
    }

    #[test]
    fn a_batch_is_at_least_one_cell_and_else_no_more_than_asked() {
        let range = claimed(&[10, 10, 10]);
        assert_eq!(range.next_batch(1).rows, 10);
        assert_eq!(range.next_batch(25).rows, 20);
        assert_eq!(range.next_batch(30).rows, 30);
    }

    #[test]
    fn a_cell_larger_than_the_batch_is_made_finer() {
        let mut range = claimed(&[10, 10]);
        assert_eq!(range.too_coarse(10), None);
        assert_eq!(range.too_coarse(4).unwrap().through, mark(10));
        range.refine(vec![Cell { through: mark(4), rows: 4 }, Cell { through: mark(10), rows: 6 }]);
        assert_eq!(range.next_batch(4).span.through, mark(4));
        assert_eq!(range.next_batch(100).rows, 20);
    }

    #[test]
    fn finer_cells_of_a_batch_take_the_place_of_all_of_its_cells() {
        let mut range = claimed(&[1, 0, 10]);
        let batch = range.next_batch(1);
        assert_eq!((batch.rows, batch.cells), (1, 2));
        let finer = [(0, 0), (1, 1)].map(|(through, rows)| Cell { through: mark(through), rows });
        range.refine_batch(&batch, finer.to_vec());
        assert_eq!(range.ahead.iter().map(|cell| cell.rows).collect::<Vec<_>>(), [0, 1, 10]);
    }

    proptest! {
        #[test]
        fn every_stripe_passes_every_row_once(
            cells in prop::collection::vec(1_u32..50, 1..40),
            power in 0_u32..5,
            rows in 1_u32..50,
        ) {
            let mut current = Some(striped(&cells, 1 << power));
            let (mut after, mut stripe, mut passed) = (None, 0, 0);
            while let Some(range) = current {
                prop_assert_eq!(range.claim.position.stripe, stripe);
                let batch = range.next_batch(rows);
                prop_assert_eq!(&batch.span.after, &after);
                passed += u64::from(batch.stripe_rows);
                let (position, state) = range.position_after(&batch);
                (after, stripe) = (position.cursor, position.stripe);
                current = range.advance(&batch);
                prop_assert_eq!(state == RangeState::Done, current.is_none());
            }
            prop_assert_eq!(stripe, (1 << power) - 1);
            let all: u64 = cells.iter().copied().map(u64::from).sum();
            prop_assert!(passed.abs_diff(all) <= cells.len() as u64 * u64::from(1_u32 << power));
        }

        #[test]
        fn batches_follow_each_other_without_gap_or_overlap(cells in prop::collection::vec(1_u32..50, 1..40), rows in 1_u32..200) {
            let mut current = Some(claimed(&cells));
            let mut last: Option<Mark> = None;
            let mut sum = 0;
            while let Some(range) = current {
                let batch = range.next_batch(rows);
                prop_assert_eq!(&batch.span.after, &last);
                let done = range.position_after(&batch).1 == RangeState::Done;
                last = Some(batch.span.through.clone());
                sum += batch.rows;
                current = range.advance(&batch);
                prop_assert_eq!(done, current.is_none());
            }
            prop_assert_eq!(sum, cells.iter().sum::<u32>());
        }
    }
}
