//! What will happen: whether the job can run on this table at all, what its statements are, what they cost,
//! and which range comes next.
//!
//! Must not know: workers, pace, who watches.

mod ask;
mod check;
mod estimate;
mod finding;
mod fit;
mod next;
mod preflight;
mod refusal;
pub mod review;
mod sample;
mod settings;
mod trial;

pub use check::check;
pub use estimate::{Bottleneck, Estimate, Sizes, estimate, rows_estimated, rows_to_change};
pub use finding::{Code, Finding, Severity};
pub use next::{Planned, RangeCut, next_range};
pub use preflight::preflight;
pub use refusal::Refusal;
pub use sample::Sample;
pub use settings::{answer_max, batch_settings, statement_timeout};
pub use trial::{Measured, Trial, measure, trial};

use crate::catalog;
use crate::change::Change;
use crate::scan::{Scan, Walk};
use crate::sql::Qualified;

/// A job that fits its table: everything that statements are made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The table that the job names.
    pub table: catalog::Table,
    /// How its rows are walked.
    pub walk: Walk,
    /// What is done to them.
    pub change: Change,
    /// What decides in how many stripes.
    pub order: catalog::OrderFacts,
    /// The tables that hold the rows, at the moment of the plan.
    pub leaves: Vec<catalog::Leaf>,
}

impl Plan {
    /// The scan of one of its leaves.
    #[must_use]
    pub fn scan(&self, leaf: Qualified) -> Scan {
        self.walk.leaf(leaf)
    }
}
