//! How many stripes the ranges of a run have, settled by what the batches report.
//!
//! The catalog says when stripes cannot help; whether they do is measured:
//! `pg_stat_get_xact_tuples_hot_updated` inside a batch tells how many of its rows cost no index an entry.
//!
//! Must not know: sessions, workers.

use std::num::NonZeroU32;

use crate::catalog::{Holder, OrderFacts};
use crate::stripe::Wanted;

/// Stripes of a table with the key's index and at most one other. Measured with none: 2, 4 and 8 stripes made
/// 0.96, 0.95 and 1.06 M rows/s; with one: 4, 8 and 16 made 0.59, 0.76 and 0.65 M rows/s.
const STRIPES: u32 = 8;
/// Stripes of a table with more of them: an update that is not HOT costs an entry in each. Measured with
/// three: 8, 16 and 32 made 421, 536 and 486 k rows/s. And of one that is walked by block and whose indexes
/// do not fit into memory, so that an entry costs a page.
const STRIPES_OF_MANY_INDEXES: u32 = 16;
/// So many other indexes are many.
const MANY_INDEXES: i64 = 2;
/// Time between two visits of a page is this many batches, so that other workers' snapshots have moved on.
pub const SLICES: u32 = 4;
/// With this share of HOT updates in key order, pages have room already.
const ROOMY: f64 = 0.7;
/// With less than this share, stripes do not pay for reading a slice several times.
const FUTILE: f64 = 0.35;
/// So many changed rows say something.
const TELLING_ROWS: u64 = 2_000;
/// Ranges in order before stripes are tried again: an old snapshot, such as that of autovacuum's ANALYZE, may
/// be gone by then. So many at first, and twice as many each time that they were tried in vain, for a range
/// in stripes is read as often as there are stripes.
const REST_MIN: u32 = 2;
const REST_MAX: u32 = 16;

const IN_TURNS: &str = "a page's rows are changed in turns, so that most updates are HOT";

/// A number of stripes and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Stripes of the next range.
    pub wanted: Wanted,
    /// In words, for a person.
    pub why: String,
}

/// What one range showed when it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its stripes.
    pub stripes: u32,
    /// Rows changed.
    pub rows_changed: u64,
    /// Of them, HOT.
    pub rows_hot: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    /// Nothing can change it.
    Fixed,
    /// Room on the pages is to be found out by a range in key order.
    Trying,
    /// Stripes help, as far as is known.
    Striped,
    /// They do not at present; so many ranges are left of those until the next try.
    Waiting {
        /// Until then.
        left: u32,
        /// All of them.
        rest: u32,
    },
    /// Pages have room of their own.
    Roomy,
}

/// Chooses for one process.
#[derive(Clone, Debug)]
pub struct Strategy {
    mode: Mode,
    stripes: u32,
    /// How long they rest if the next try is in vain.
    rest: u32,
    why: String,
}

impl Strategy {
    /// From what the catalog says and what the job forces.
    #[must_use]
    pub fn new(facts: &OrderFacts, forced: Option<NonZeroU32>) -> Self {
        let fixed = |stripes: u32, why: String| Self { mode: Mode::Fixed, stripes, rest: REST_MIN, why };
        if let Some(stripes) = forced {
            return fixed(stripes.get(), "the job says so".into());
        }
        if let Some(index) = &facts.set_index {
            return fixed(1, format!("index {index} uses a column that is set, so no update can be HOT"));
        }
        let saves_entries = facts.other_indexes >= MANY_INDEXES || facts.large_indexes;
        let stripes = if saves_entries { STRIPES_OF_MANY_INDEXES } else { STRIPES };
        if facts.fillfactor < 90 {
            let why = format!(
                "fillfactor {} may have left room on the pages: one range finds out",
                facts.fillfactor
            );
            return Self { mode: Mode::Trying, stripes, rest: REST_MIN, why };
        }
        Self { mode: Mode::Striped, stripes, rest: REST_MIN, why: IN_TURNS.into() }
    }

    /// For the next range.
    #[must_use]
    pub fn choice(&self) -> Choice {
        let wanted = match self.mode {
            Mode::Fixed => Wanted::Exactly(self.stripes),
            Mode::Striped => Wanted::AtMost(self.stripes),
            Mode::Trying | Mode::Waiting { .. } | Mode::Roomy => Wanted::Exactly(1),
        };
        Choice { wanted, why: self.why.clone() }
    }

    /// Whether stripes have just turned out to be of no use: then a snapshot may keep dead rows from being
    /// removed.
    #[must_use]
    pub fn is_futile(&self) -> bool {
        matches!(self.mode, Mode::Waiting { left, rest } if left == rest)
    }

    /// Adds to the reason what keeps dead rows from being removed.
    pub fn name_holder(&mut self, holder: &Holder) {
        let time = holder.held_s.map(|s| format!(" for {s:.0} s")).unwrap_or_default();
        self.why = format!("{}: {} has held an old snapshot{time}", self.why, holder.who);
    }

    /// Learns from a range that is done.
    pub fn learn(&mut self, observed: Observed) {
        let share = observed.rows_hot as f64 / observed.rows_changed.max(1) as f64;
        let telling = observed.rows_changed >= TELLING_ROWS;
        match self.mode {
            Mode::Trying if telling && observed.stripes == 1 && share >= ROOMY => {
                self.mode = Mode::Roomy;
                self.why =
                    format!("pages have room: {:.0} % of the updates are HOT in key order", share * 100.0);
            }
            Mode::Trying if telling && observed.stripes == 1 => {
                self.mode = Mode::Striped;
                self.why = format!(
                    "pages are full: only {:.0} % of the updates are HOT in key order",
                    share * 100.0
                );
            }
            Mode::Striped if telling && observed.stripes > 1 && share < FUTILE => {
                let rest = self.rest;
                self.mode = Mode::Waiting { left: rest, rest };
                self.rest = (rest * 2).min(REST_MAX);
                self.why = format!(
                    "only {:.0} % of the striped updates were HOT, so stripes rest for {rest} ranges",
                    share * 100.0
                );
            }
            Mode::Striped if telling && observed.stripes > 1 && self.rest > REST_MIN => {
                self.rest = REST_MIN;
                self.why = IN_TURNS.into();
            }
            Mode::Waiting { left: 0, .. } => {
                self.mode = Mode::Striped;
                self.why = "stripes are tried again".into();
            }
            Mode::Waiting { left, rest } => self.mode = Mode::Waiting { left: left - 1, rest },
            Mode::Fixed | Mode::Trying | Mode::Striped | Mode::Roomy => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> OrderFacts {
        OrderFacts { set_index: None, fillfactor: 100, other_indexes: 1, large_indexes: false }
    }

    fn observed(stripes: u32, hot_percent: u64) -> Observed {
        Observed { stripes, rows_changed: 10_000, rows_hot: hot_percent * 100 }
    }

    fn stripes(strategy: &Strategy) -> u32 {
        strategy.choice().wanted.most()
    }

    #[test]
    fn full_pages_are_striped() {
        let mut strategy = Strategy::new(&facts(), None);
        assert_eq!(stripes(&strategy), 8);
        strategy.learn(observed(8, 78));
        assert_eq!(stripes(&strategy), 8);
    }

    #[test]
    fn an_index_on_a_set_column_forbids_stripes_for_good() {
        let mut strategy = Strategy::new(&OrderFacts { set_index: Some("t_n".into()), ..facts() }, None);
        strategy.learn(observed(1, 0));
        assert_eq!(stripes(&strategy), 1);
        assert!(strategy.choice().why.contains("t_n"));
    }

    #[test]
    fn an_old_snapshot_makes_stripes_futile_until_it_is_gone() {
        let mut strategy = Strategy::new(&facts(), None);
        strategy.learn(observed(8, 5));
        assert_eq!(stripes(&strategy), 1);
        for _ in 0..=REST_MIN {
            strategy.learn(observed(1, 0));
        }
        assert_eq!(stripes(&strategy), 8);
    }

    /// Ranges until stripes are tried again.
    fn rests(strategy: &mut Strategy) -> u32 {
        strategy.learn(observed(8, 5));
        let mut ranges = 0;
        while stripes(strategy) == 1 {
            strategy.learn(observed(1, 0));
            ranges += 1;
        }
        ranges - 1
    }

    #[test]
    fn stripes_that_are_tried_in_vain_rest_twice_as_long_each_time_until_they_help() {
        let mut strategy = Strategy::new(&facts(), None);
        let found: Vec<_> = (0..5).map(|_| rests(&mut strategy)).collect();
        assert_eq!(found, [2, 4, 8, 16, 16]);
        strategy.learn(observed(8, 80));
        assert_eq!(rests(&mut strategy), 2);
    }

    #[test]
    fn the_holder_of_the_old_snapshot_is_named() {
        let mut strategy = Strategy::new(&facts(), None);
        assert!(!strategy.is_futile());
        strategy.learn(observed(8, 5));
        assert!(strategy.is_futile());
        strategy.name_holder(&Holder { who: "session 4711 of bob (psql)".into(), held_s: Some(720.4) });
        insta::assert_snapshot!(
            strategy.choice().why,
            @"only 5 % of the striped updates were HOT, so stripes rest for 2 ranges: session 4711 of bob (psql) has held an old snapshot for 720 s"
        );
        strategy.learn(observed(1, 0));
        assert!(!strategy.is_futile());
    }

    #[test]
    fn room_on_the_pages_is_found_out_by_one_range() {
        let probing = Strategy::new(&OrderFacts { fillfactor: 50, ..facts() }, None);
        assert_eq!(stripes(&probing), 1);
        let (mut roomy, mut full) = (probing.clone(), probing);
        roomy.learn(observed(1, 95));
        full.learn(observed(1, 10));
        assert_eq!((stripes(&roomy), stripes(&full)), (1, 8));
    }

    #[test]
    fn many_indexes_make_more_stripes_worth_their_while() {
        assert_eq!(stripes(&Strategy::new(&OrderFacts { other_indexes: 0, ..facts() }, None)), 8);
        assert_eq!(stripes(&Strategy::new(&OrderFacts { other_indexes: 3, ..facts() }, None)), 16);
        assert_eq!(stripes(&Strategy::new(&OrderFacts { large_indexes: true, ..facts() }, None)), 16);
    }

    #[test]
    fn what_the_job_says_is_not_argued_with() {
        let mut strategy = Strategy::new(&facts(), NonZeroU32::new(32));
        strategy.learn(observed(32, 0));
        assert_eq!(stripes(&strategy), 32);
    }

    #[test]
    fn a_handful_of_rows_says_nothing() {
        let mut strategy = Strategy::new(&facts(), None);
        strategy.learn(Observed { stripes: 8, rows_changed: 100, rows_hot: 0 });
        assert_eq!(stripes(&strategy), 8);
    }
}
