//! Everything that is shown of a plan.
//!
//! Must not know: how it is laid out.

use pgbackfill::ddl::OutlinedStep;
use pgbackfill::plan::{Estimate, Finding, Measured, Sample};
use pgbackfill::run::{Knobs, RunId, RunState};
use pgbackfill::scan::ScanOrder;
use serde::Serialize;

/// Everything that is shown.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub(super) schema: u32,
    pub(super) job: String,
    pub(super) table: String,
    pub(super) partitions: usize,
    pub(super) database: String,
    pub(super) role: String,
    pub(super) server_version: String,
    pub(super) key: Vec<String>,
    pub(super) order: ScanOrder,
    pub(super) order_why: String,
    pub(super) stripes: u32,
    pub(super) why: String,
    pub(super) statement: Option<String>,
    pub(super) quiet: Vec<String>,
    /// Whether the values that are replaced are kept, and why, or why not.
    pub(super) keeps_old: bool,
    pub(super) keeps_why: String,
    pub(super) knobs: Knobs,
    pub(super) rows: Rows,
    pub(super) trial: Option<Measured>,
    pub(super) not_tried: Option<String>,
    pub(super) estimate: Option<Estimate>,
    pub(super) findings: Vec<Finding>,
    pub(super) grants: String,
    pub(super) run: Option<Existing>,
    /// What `expand` makes before it, and `contract` after it.
    pub(super) before: Vec<OutlinedStep>,
    pub(super) after: Vec<OutlinedStep>,
}

/// The latest run of the job.
#[derive(Debug, Serialize)]
pub(super) struct Existing {
    pub(super) run: RunId,
    pub(super) state: RunState,
}

#[derive(Debug, Serialize)]
pub(super) struct Rows {
    pub(super) estimated: u64,
    pub(super) sample: Option<Sample>,
    pub(super) to_change: u64,
}
