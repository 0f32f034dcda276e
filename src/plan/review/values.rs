//! What the expressions of a job tell: values that differ each time, and values that may be stale.
//!
//! Must not know: how the server was asked.

use super::Subject;
use crate::plan::{Code, Finding};

pub(super) fn judge(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for column in &subject.plan.volatile {
        found.push(Finding::new(
            Code::VolatileSet,
            format!("the expression for column \"{column}\" has another value each time it is asked"),
            "a batch that is repeated after an error computes other values, and values of sequences are lost: make sure that this does not matter",
        ));
    }
    let Some(reads) = &subject.facts.reads else { return };
    if subject.job.lookup.is_some() || !reads.is_empty() {
        let names: Vec<_> = reads.iter().map(ToString::to_string).collect();
        let names = if names.is_empty() { "another table".to_owned() } else { names.join(", ") };
        found.push(Finding::new(
            Code::StaleLookup,
            format!("the new values come from {names}"),
            "a batch that waits for a row keeps what it had read there before: let the application write both sides, or check them after the run",
        ));
    }
}
