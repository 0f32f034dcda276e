//! The review: what a careful colleague would say about this job on this table and this server before it
//! runs.
//!
//! Facts are read first, in a few short queries; findings are plain functions of them.
//!
//! Must not know: who reads it, and whether a run follows.

mod expressions;
mod facts;
mod queries;
mod replication;
mod sample;
mod server;
mod subject;
mod table;
mod values;

pub use facts::{Facts, look};
pub use subject::Subject;

use super::{Code, Finding};
use crate::catalog::Server;
use crate::db::{Error, NextAct};

/// The findings, the heaviest first.
#[must_use]
pub fn judge(subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    table::judge(subject, &mut found);
    values::judge(subject, &mut found);
    sample::judge(subject, &mut found);
    replication::judge(subject, &mut found);
    server::judge(subject, &mut found);
    found.extend(subject.facts.unseen.iter().map(|what| {
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

/// A privilege that only a first run needs: to make the control schema.
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
