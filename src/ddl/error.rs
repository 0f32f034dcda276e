//! Why a step was not made.
//!
//! Must not know: exit codes.

use std::time::Duration;

use crate::db::Error;
use crate::human;
use crate::job::JobErrors;
use crate::store::SchemaError;

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Its turn did not come: everything is as it was before.
    #[error(
        "{step}: its turn did not come within {}, and nothing was changed: {who}\n\
         hint: once that is over, type the command again: it goes on where it was",
        human::duration(*waited)
    )]
    Closed {
        /// The step.
        step: String,
        /// How long it waited.
        waited: Duration,
        /// Who was in the way.
        who: String,
    },
    /// It does more than change the catalog.
    #[error(
        "{step}: it was not done {} after it had queued for its lock, which it would keep from the application, and was rolled back\n\
         hint: it may have to read or rewrite the table; if it is only slow, stall = \"…\" in [limits] gives it more time", human::duration(*stall)
    )]
    TooSlow {
        /// The step.
        step: String,
        /// The limit.
        stall: Duration,
    },
    /// What the job says cannot be made so.
    #[error("{message}")]
    Job {
        /// Which step, from 0.
        number: usize,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The rows do not allow it.
    #[error("{step}: {message}\nhint: {hint}")]
    Rows {
        /// The step.
        step: String,
        /// The server's words.
        message: String,
        /// What to do.
        hint: String,
    },
    /// Another process makes it.
    #[error("{step} is being made by {who}\nhint: wait for it, and type the command again")]
    InTheWay {
        /// The step.
        step: String,
        /// Who.
        who: String,
    },
    /// It is not the time for it.
    #[error("{0}")]
    TooEarly(String),
    /// What stands before the server does not let it be made.
    #[error("{step}: {message}\nhint: {hint}")]
    Cannot {
        /// The step.
        step: String,
        /// Why.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The job does not fit the table.
    #[error("{0}")]
    Refused(JobErrors),
    /// A person stopped it.
    #[error("stopped; what was begun is rolled back or removed, and the same command goes on where it was")]
    Stopped,
    /// The control schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The server or the connection failed.
    #[error(transparent)]
    Database(#[from] Error),
}

impl StepError {
    /// Its turn did not come.
    pub(super) fn closed(step: String, waited: Duration, who: String) -> Self {
        Self::Closed { step, waited, who }
    }
}
