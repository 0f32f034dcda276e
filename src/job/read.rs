//! From a text or from flags to a job, or to everything that is wrong with it.
//!
//! Must not know: the rules; the draft checks itself.

use super::diagnostic::{Faults, JobErrors};
use super::file;
use super::model::Job;
use super::name::JobName;
use super::parts::{self, JobParts};

impl Job {
    /// Reads a job file; `path` is only for the messages. Returns everything that is wrong with it.
    pub fn from_toml(name: JobName, path: &str, text: &str) -> Result<Self, JobErrors> {
        let (mut draft, mut faults, mut later) = file::read(path, text);
        draft.name = Some(name);
        let job = draft.check(&mut later);
        faults.add_unless_consequence(later);
        settle(job, faults)
    }

    /// Reads a job from flags. Returns everything that is wrong, each with its flag.
    pub fn from_parts(parts: JobParts) -> Result<Self, JobErrors> {
        let (draft, mut faults) = parts::read(parts);
        let job = draft.check(&mut faults);
        settle(job, faults)
    }
}

fn settle(job: Option<Job>, faults: Faults) -> Result<Job, JobErrors> {
    match faults.into_errors() {
        Some(errors) => Err(errors),
        // `check` gives a job unless it found a fault, and a fault is dropped only when a syntax error stays.
        None => Ok(job.expect("a job without a fault exists")),
    }
}
