//! A range in a worker's hands: where it stands and which boundary keys lie ahead.
//!
//! Must not know: tokio, the database.

use std::collections::VecDeque;

use crate::key::{Key, KeyRange};
use crate::plan::{Cell, SLICES};
use crate::store::{Claim, Position, RangeState};
use crate::stripe::Runs;

/// A claimed range and the cells ahead of its cursor in the present stripe, all or the next of them; never without a cell.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) claim: Claim,
    ahead: VecDeque<Cell>,
    /// The cells of the whole range, for the stripes to come, if they were read from its start.
    whole: Option<Vec<Cell>>,
}

/// The next batch: one stripe of the keys of one or more cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) keys: KeyRange,
    /// Keys in it when they were read, of all stripes.
    pub(super) rows: u32,
    /// The present stripe's part of them; the parts of all stripes add up to the whole.
    pub(super) stripe_rows: u32,
    cells: usize,
}

impl Held {
    /// None if nothing lies ahead: then the range is done, and its row would say so.
    pub(super) fn new(claim: Claim, cells: Vec<Cell>) -> Option<Self> {
        if cells.is_empty() {
            return None;
        }
        let from_start = claim.position.cursor.is_none();
        let to_end = cells.last().is_some_and(|cell| cell.through == claim.keys.through);
        let striped = claim.striping.stripes().get() > 1;
        let whole = (striped && from_start && to_end).then(|| cells.clone());
        Some(Self { claim, ahead: cells.into(), whole })
    }

    /// The present stripe, from 0.
    pub(super) fn stripe(&self) -> u32 {
        self.claim.position.stripe as u32
    }

    /// The runs of the present stripe in `piece`, if they are few enough that looking each up is less work than reading all rows.
    pub(super) fn runs(&self, piece: &Piece) -> Option<Runs> {
        let integer = |key: &Key| key.0.first()?.parse().ok();
        let (after, through) = (integer(piece.keys.after.as_ref()?)?, integer(&piece.keys.through)?);
        let runs = self.claim.striping.runs(self.stripe(), after, through)?;
        (self.stripes() > 1 && runs.pay(piece.stripe_rows)).then_some(runs)
    }

    fn stripes(&self) -> u32 {
        self.claim.striping.stripes().get()
    }

    /// Where the cursor stands in keys: none at the start of the table.
    fn after(&self) -> Option<Key> {
        self.claim.position.cursor.clone().or_else(|| self.claim.keys.after.clone())
    }

    /// Cells from the front until one stripe of them has `rows` keys, at least one cell.
    pub(super) fn piece(&self, rows: u32) -> Piece {
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
    pub(super) fn smallest(&self) -> Piece {
        self.first(1, self.ahead.front().map_or(0, |cell| cell.rows))
    }

    fn first(&self, cells: usize, rows: u32) -> Piece {
        // `ahead` is never empty, so there is a first cell.
        let through = self.ahead[cells.max(1) - 1].through.clone();
        let keys = KeyRange { after: self.after(), through };
        Piece { keys, rows, stripe_rows: self.part(rows), cells: cells.max(1) }
    }

    /// The keys of the first cell, if a batch that is to pass `keys` of them would need a part of it.
    pub(super) fn too_coarse(&self, keys: u32) -> Option<KeyRange> {
        let first = self.ahead.front().filter(|cell| cell.rows > keys)?;
        Some(KeyRange { after: self.after(), through: first.through.clone() })
    }

    /// Puts finer cells in the place of the first one.
    pub(super) fn refine(&mut self, cells: Vec<Cell>) {
        if cells.is_empty() {
            return;
        }
        self.ahead.pop_front();
        for cell in cells.into_iter().rev() {
            self.ahead.push_front(cell);
        }
    }

    fn part(&self, rows: u32) -> u32 {
        let (stripes, stripe) = (u64::from(self.stripes()), self.claim.position.stripe as u64);
        let upto = |stripe: u64| u64::from(rows) * stripe / stripes;
        (upto(stripe + 1) - upto(stripe)) as u32
    }

    /// Where the range will stand once `piece` is committed.
    pub(super) fn position_after(&self, piece: &Piece) -> (Position, RangeState) {
        let stripe = self.claim.position.stripe;
        let at_end = piece.keys.through == self.claim.keys.through;
        if at_end && stripe + 1 < self.stripes() as i32 {
            return (Position { stripe: stripe + 1, cursor: None }, RangeState::Open);
        }
        let position = Position { stripe, cursor: Some(piece.keys.through.clone()) };
        (position, if at_end { RangeState::Done } else { RangeState::Open })
    }

    /// `piece` was committed. Gives the range back unless nothing lies ahead: it is done, or its next cells have to be read.
    pub(super) fn advance(mut self, piece: &Piece) -> Option<Self> {
        let (position, state) = self.position_after(piece);
        self.ahead.drain(..piece.cells);
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
    use crate::sql::Qualified;
    use crate::store::LeafNo;
    use crate::stripe::{StripeBy, Striping};
    use proptest::prelude::*;

    fn key(n: u32) -> Key {
        Key(vec![n.to_string()])
    }

    fn held(cells: &[u32]) -> Held {
        striped(cells, 1)
    }

    fn striped(cells: &[u32], stripes: u32) -> Held {
        let mut through = 0;
        let cells: Vec<_> = cells
            .iter()
            .map(|rows| {
                through += rows;
                Cell { through: key(through), rows: *rows }
            })
            .collect();
        let claim = Claim {
            number: RangeNo(1),
            leaf: LeafNo(1),
            relation: 1,
            striping: Striping::new(stripes, StripeBy::Hash).unwrap(),
            table: Qualified::new("public", "t"),
            keys: KeyRange { after: None, through: key(through) },
            position: Position { stripe: 0, cursor: None },
            rested: false,
        };
        Held::new(claim, cells).unwrap()
    }

    #[test]
    fn a_piece_is_at_least_one_cell_and_else_no_more_than_asked() {
        let held = held(&[10, 10, 10]);
        assert_eq!(held.piece(1).rows, 10);
        assert_eq!(held.piece(25).rows, 20);
        assert_eq!(held.piece(30).rows, 30);
    }

    #[test]
    fn a_cell_larger_than_the_batch_is_made_finer() {
        let mut held = held(&[10, 10]);
        assert_eq!(held.too_coarse(10), None);
        assert_eq!(held.too_coarse(4).unwrap().through, key(10));
        held.refine(vec![Cell { through: key(4), rows: 4 }, Cell { through: key(10), rows: 6 }]);
        assert_eq!(held.piece(4).keys.through, key(4));
        assert_eq!(held.piece(100).rows, 20);
    }

    #[test]
    fn runs_are_looked_up_only_where_keys_are_dense() {
        let piece_of = |keys: u32, rows: u32| {
            let mut held = striped(&[rows], 8);
            held.claim.striping = Striping::new(8, StripeBy::Bits { shift: 3 }).unwrap();
            let mut piece = held.piece(rows);
            piece.keys = KeyRange { after: Some(key(1000)), through: key(1000 + keys) };
            (held.runs(&piece).map(Runs::count), piece)
        };
        assert_eq!(piece_of(6400, 6400).0, Some(100));
        assert_eq!(piece_of(64_000, 6400).0, None);
        let from_the_start =
            Piece { keys: KeyRange { after: None, ..piece_of(6400, 6400).1.keys }, ..piece_of(6400, 6400).1 };
        assert_eq!(striped(&[6400], 8).runs(&from_the_start), None);
    }

    proptest! {
        #[test]
        fn every_stripe_passes_every_key_once(
            cells in prop::collection::vec(1_u32..50, 1..40),
            power in 0_u32..5,
            rows in 1_u32..50,
        ) {
            let mut current = Some(striped(&cells, 1 << power));
            let (mut after, mut stripe, mut passed) = (None, 0, 0);
            while let Some(held) = current {
                prop_assert_eq!(held.claim.position.stripe, stripe);
                let piece = held.piece(rows);
                prop_assert_eq!(&piece.keys.after, &after);
                passed += u64::from(piece.stripe_rows);
                let (position, state) = held.position_after(&piece);
                (after, stripe) = (position.cursor, position.stripe);
                current = held.advance(&piece);
                prop_assert_eq!(state == RangeState::Done, current.is_none());
            }
            prop_assert_eq!(stripe, (1 << power) - 1);
            let all: u64 = cells.iter().copied().map(u64::from).sum();
            prop_assert!(passed.abs_diff(all) <= cells.len() as u64 * u64::from(1_u32 << power));
        }

        #[test]
        fn pieces_follow_each_other_without_gap_or_overlap(cells in prop::collection::vec(1_u32..50, 1..40), rows in 1_u32..200) {
            let mut current = Some(held(&cells));
            let mut last: Option<Key> = None;
            let mut sum = 0;
            while let Some(held) = current {
                let piece = held.piece(rows);
                prop_assert_eq!(&piece.keys.after, &last);
                let done = held.position_after(&piece).1 == RangeState::Done;
                last = Some(piece.keys.through.clone());
                sum += piece.rows;
                current = held.advance(&piece);
                prop_assert_eq!(done, current.is_none());
            }
            prop_assert_eq!(sum, cells.iter().sum::<u32>());
        }
    }
}
