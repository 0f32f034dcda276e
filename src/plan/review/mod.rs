//! The review: what a careful colleague would say about this job on this table and this server before it runs.
//!
//! Facts are read first, in a few short queries; findings are plain functions of them.
//!
//! Must not know: who reads it, and whether a run follows.

mod code;
mod expressions;
mod facts;
mod replication;
mod sample;
mod server;
mod table;

pub use code::{Code, Severity};
pub use facts::{Facts, look};
pub use sample::Sample;

use serde::Serialize;

use super::{Estimate, Measured, Plan};
use crate::catalog::Server;
use crate::db::{Error, NextAct};
use crate::job::{Diagnostic, Job};

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its stable name.
    pub code: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// What was seen, in a sentence.
    pub fact: String,
    /// What may be done about it.
    pub remedy: String,
}

impl Finding {
    fn new(code: Code, fact: String, remedy: &str) -> Self {
        Self { code: code.as_str(), severity: code.severity(), fact, remedy: remedy.to_owned() }
    }
}

/// What is refused before anything is looked at is found, too.
impl From<&Diagnostic> for Finding {
    fn from(refused: &Diagnostic) -> Self {
        Self {
            code: refused.code().unwrap_or(Code::BadExpression.as_str()),
            severity: Severity::Error,
            fact: refused.message().to_owned(),
            remedy: refused.hint().unwrap_or_default().to_owned(),
        }
    }
}

/// Everything that is judged. What was measured is there only if a batch was.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
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

impl Scene<'_> {
    /// What a trigger, or the one behind a foreign key, was measured to cost a row, in microseconds.
    fn trigger_us(&self, name: &str) -> Option<f64> {
        self.measured?.trigger_us(name)
    }
}

/// The findings, the heaviest first.
#[must_use]
pub fn judge(scene: &Scene<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    table::judge(scene, &mut found);
    expressions::judge(scene, &mut found);
    sample::judge(scene, &mut found);
    replication::judge(scene, &mut found);
    server::judge(scene, &mut found);
    found.extend(scene.facts.unseen.iter().map(|what| {
        Finding::new(
            Code::Incomplete,
            format!("the review is incomplete: {what}"),
            "look at that yourself, or try again later",
        )
    }));
    found.sort_by_key(|finding| finding.severity);
    found
}

/// A batch that was tried and failed would fail in the run, too.
#[must_use]
pub fn failed_trial(error: &Error) -> Finding {
    let remedy = match error.next_act() {
        NextAct::Retry => {
            "somebody else holds locks or snapshots in the way; the run would wait: try again later"
        }
        NextAct::Halve => {
            "are the rows slow to find, or a trigger slow to run? The run makes its batches smaller, down to one row"
        }
        NextAct::Bisect => {
            "a row's own data makes the change fail: mend it, leave it out with where, or allow for it with max_bad_rows"
        }
        _ => "the run would block with the same error",
    };
    Finding::new(Code::FailedTrial, format!("the batch that was tried failed: {error}"), remedy)
}

/// A right that only a first run needs: to make the control schema.
#[must_use]
pub fn missing_create(server: &Server, facts: &Facts) -> Option<Finding> {
    let missing = !server.may_create && !facts.installed() && facts.server.is_some();
    missing.then(|| {
        Finding::new(
            Code::MissingRight,
            format!(
                "role \"{}\" may not make the schema pgbackfill in database \"{}\"",
                server.user, server.database
            ),
            "let somebody make it who may, as the script below does",
        )
    })
}
