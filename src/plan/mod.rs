//! What will happen: whether the job can run on this table at all, what its statements are, and which keys come next.
//!
//! Must not know: workers, pace, who watches.

mod check;
mod cycle;
mod estimate;
mod grid;
mod layout;
mod next;
mod order;
mod preflight;
pub mod review;
mod table;
mod trial;

pub use check::check;
pub use cycle::cycle_max;
pub use estimate::{Estimate, Held, Sizes, estimate, rows_estimated, rows_to_change};
pub use grid::{CELLS_MAX, Cell, PLANNING, last_key, probe_last_key, read_cells};
pub use next::{Planned, Slice, next_range};
pub use order::{Choice, Order, SLICES, Told};
pub use preflight::{Refusal, preflight};
pub use trial::{Measured, Trial, measure, trial};

use crate::catalog;
use crate::job::Job;
use crate::key::KeyColumn;
use crate::sql::{Change, Ident, Qualified, Target};

/// A job that fits its table: everything that statements are made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The table that the job names.
    pub table: catalog::Table,
    /// The key.
    pub key: Vec<KeyColumn>,
    /// What is set, where.
    pub change: Change,
    /// What decides the order.
    pub order: catalog::OrderFacts,
    /// The tables that hold the rows, at the moment of the plan.
    pub leaves: Vec<catalog::Leaf>,
    alias: Ident,
    /// Whether runs of keys can stand beside the table in one statement.
    joins_runs: bool,
}

impl Plan {
    /// Whether a batch may look its stripe up run by run. Beside a lookup the server would have to join three sources, and a batch
    /// must not depend on how it goes about that.
    #[must_use]
    pub fn joins_runs(&self) -> bool {
        self.joins_runs && self.change.lookup.is_none()
    }

    /// The target of statements on one of its leaves.
    #[must_use]
    pub fn target(&self, table: Qualified) -> Target {
        Target { table, alias: self.alias.clone(), key: self.key.clone() }
    }

    /// The key's column names.
    #[must_use]
    pub fn key_names(&self) -> Vec<String> {
        self.key.iter().map(|column| column.name.clone()).collect()
    }
}

/// The SQL of a job.
fn change(job: &Job, quiet: Vec<String>) -> Change {
    Change {
        set: job.set.iter().map(|a| (Ident(a.column.clone()), a.expression.clone())).collect(),
        quiet: quiet.into_iter().map(Ident).collect(),
        filter: job.filter.clone(),
        lookup: job.lookup.as_ref().map(|lookup| (lookup.from.clone(), lookup.on.clone())),
    }
}
