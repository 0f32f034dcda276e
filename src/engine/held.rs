//! A range in a worker's hands: where it stands and which boundary keys lie ahead.
//!
//! Must not know: tokio, the database.

use std::collections::VecDeque;

use crate::key::{Key, KeyRange};
use crate::plan::Cell;
use crate::store::{Claim, Position, RangeState};

/// A claimed range and the cells ahead of its cursor, all or the next of them; never without a cell.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) claim: Claim,
    ahead: VecDeque<Cell>,
}

/// The next batch: the keys of one or more cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) keys: KeyRange,
    /// Keys in it when they were read.
    pub(super) rows: u32,
    cells: usize,
}

impl Held {
    /// None if nothing lies ahead: then the range is done, and its row would say so.
    pub(super) fn new(claim: Claim, cells: Vec<Cell>) -> Option<Self> {
        if cells.is_empty() { None } else { Some(Self { claim, ahead: cells.into() }) }
    }

    /// Where the cursor stands in keys: none at the start of the table.
    fn after(&self) -> Option<Key> {
        self.claim.position.cursor.clone().or_else(|| self.claim.keys.after.clone())
    }

    /// Cells from the front until they have `rows` keys, at least one.
    pub(super) fn piece(&self, rows: u32) -> Piece {
        let mut sum: u32 = 0;
        let mut cells = 0;
        for cell in &self.ahead {
            if cells > 0 && sum.saturating_add(cell.rows) > rows {
                break;
            }
            sum = sum.saturating_add(cell.rows);
            cells += 1;
        }
        // `ahead` is never empty, so at least one cell was taken.
        let through = self.ahead[cells - 1].through.clone();
        Piece { keys: KeyRange { after: self.after(), through }, rows: sum, cells }
    }

    /// The keys of the first cell, if a batch of `rows` would need a part of it.
    pub(super) fn too_coarse(&self, rows: u32) -> Option<KeyRange> {
        let first = self.ahead.front().filter(|cell| cell.rows > rows)?;
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

    /// Where the range will stand once `piece` is committed.
    pub(super) fn position_after(&self, piece: &Piece) -> (Position, RangeState) {
        let position =
            Position { stripe: self.claim.position.stripe, cursor: Some(piece.keys.through.clone()) };
        let at_end = piece.keys.through == self.claim.keys.through;
        let state = if at_end { RangeState::Done } else { RangeState::Open };
        (position, state)
    }

    /// `piece` was committed. Gives the range back unless nothing lies ahead: it is done, or its next cells have to be read.
    pub(super) fn advance(mut self, piece: &Piece) -> Option<Self> {
        self.claim.position = self.position_after(piece).0;
        self.ahead.drain(..piece.cells);
        if self.ahead.is_empty() { None } else { Some(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RangeNo;
    use crate::sql::Qualified;
    use crate::store::LeafNo;
    use proptest::prelude::*;

    fn key(n: u32) -> Key {
        Key(vec![n.to_string()])
    }

    fn held(cells: &[u32]) -> Held {
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
            table: Qualified::new("public", "t"),
            keys: KeyRange { after: None, through: key(through) },
            position: Position { stripe: 0, cursor: None },
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

    proptest! {
        #[test]
        fn pieces_follow_each_other_without_gap_or_overlap(cells in prop::collection::vec(0_u32..50, 1..40), rows in 1_u32..200) {
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
