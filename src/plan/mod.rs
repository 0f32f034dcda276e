//! What will happen: whether the job can run on this table at all, what its statements are, what they cost,
//! and which range comes next.
//!
//! Must not know: workers, pace, who watches.

mod ask;
mod check;
mod compare;
mod estimate;
mod finding;
mod fit;
mod next;
mod order;
mod preflight;
mod refusal;
pub mod review;
mod sample;
mod settings;
mod trial;
mod undo;

pub use check::check;
pub use estimate::{Bottleneck, Estimate, Sizes, estimate, rows_estimated, rows_to_change};
pub use finding::{Code, Finding, Severity};
pub use next::{Planned, RangeCut, next_range};
pub use order::{Ordering, by_block};
pub use preflight::{find_table, preflight};
pub use refusal::Refusal;
pub use sample::Sample;
pub use settings::{answer_max, batch_settings, statement_timeout};
pub use trial::{Measured, Trial, measure, trial};
pub use undo::{Keeps, old_values};

use crate::catalog;
use crate::change::Change;
use crate::key::KeyColumn;
use crate::scan::{Blocks, LeafOrder, Scan, ScanOrder, Walk};
use crate::sql::Qualified;

/// A job that fits its table: everything that statements are made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The table that the job names.
    pub table: catalog::Table,
    /// Its key, also where other rows than its own are walked.
    pub key: Vec<KeyColumn>,
    /// How its rows are walked.
    pub walk: Walk,
    /// What is done to them.
    pub change: Change,
    /// What decides in how many stripes.
    pub order: catalog::OrderFacts,
    /// The tables that hold the rows, at the moment of the plan.
    pub leaves: Vec<catalog::Leaf>,
    /// The table's columns.
    pub columns: Vec<catalog::Column>,
    /// Columns whose new value may differ from one evaluation to the next.
    pub volatile: Vec<String>,
    /// In which order the rows are walked.
    pub ordering: Ordering,
    /// What is walked are the values that a run has kept, not the rows of the table.
    pub walks_kept: bool,
    /// Of a verification: columns that it cannot compare, and why.
    pub left_out: Vec<String>,
    /// Whether the values that are replaced are kept.
    pub keeps: Keeps,
}

impl Plan {
    /// The names of the table's columns.
    fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// The scan of one of its leaves in the order that suits the job.
    #[must_use]
    pub fn scan(&self, leaf: Qualified) -> Scan {
        let known = self.leaves.iter().find(|known| known.name == leaf);
        let order = match (known, self.ordering.order) {
            (Some(known), _) => self.ordering.of(known),
            (None, ScanOrder::Keys) => LeafOrder::Keys,
            (None, ScanOrder::Heap) => LeafOrder::Heap(Blocks { rows: 1.0, are_swept: false }),
        };
        self.walk.leaf(leaf, order)
    }

    /// The table whose rows are walked, with all its leaves.
    fn walked(&self) -> Qualified {
        let kept = self.leaves.first().filter(|_| self.walks_kept);
        kept.map_or_else(|| self.table.name.clone(), |leaf| leaf.name.clone())
    }

    /// The scan that knows its rows by their keys, where they have some.
    #[must_use]
    pub fn scan_by_key(&self, leaf: Qualified) -> Scan {
        if self.walk.has_key() { self.walk.leaf(leaf, LeafOrder::Keys) } else { self.scan(leaf) }
    }
}
