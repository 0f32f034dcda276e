//! Everything that is judged: a job, its plan, and what was seen of table and server.
//!
//! Must not know: what is a problem.

use super::Facts;
use crate::catalog::Server;
use crate::job::Job;
use crate::plan::{Estimate, Measured, Plan};

/// Everything that is judged. What was measured is there only if a batch was.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The job.
    pub job: &'a Job,
    /// Its plan.
    pub plan: &'a Plan,
    /// The server.
    pub server: &'a Server,
    /// What was seen.
    pub facts: &'a Facts,
    /// What a batch cost.
    pub measured: Option<&'a Measured>,
    /// What the run will cost.
    pub estimate: Option<&'a Estimate>,
}

impl Subject<'_> {
    /// What a trigger, or the one behind a foreign key, was measured to cost a row, in microseconds.
    pub(super) fn trigger_us(&self, name: &str) -> Option<f64> {
        self.measured?.trigger_us(name)
    }
}
