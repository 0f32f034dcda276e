//! Why a job cannot run on a table.
//!
//! Must not know: how it was found out.

use crate::db::Error;
use crate::job::{Diagnostic, JobErrors};

/// Why a job cannot run here.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The job does not fit the table, or the server does not take an expression.
    #[error("{0}")]
    Job(JobErrors),
    /// The server or the connection failed.
    #[error(transparent)]
    Database(#[from] Error),
}

impl From<Vec<Diagnostic>> for Refusal {
    fn from(found: Vec<Diagnostic>) -> Self {
        // Called with what was found, so never empty.
        Self::Job(found.try_into().expect("a refusal has a reason"))
    }
}
