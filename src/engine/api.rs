//! What a caller of the engine says and hears.
//!
//! Must not know: how a run is worked on.

use std::num::{NonZeroU32, NonZeroU64};

use crate::db::{self, NextAct};
use crate::job::{CustomSignal, JobErrors};
use crate::plan::Refusal;
use crate::run::RunKind;
use crate::store::{SchemaError, StoreError};

/// Connections of a process besides those of its workers: one for the heartbeat, one to read the signals of
/// the server with, and one for the signals that the job brings along, if it has any.
#[must_use]
pub fn connections_beside(signals: &[CustomSignal]) -> usize {
    2 + usize::from(!signals.is_empty())
}

/// What to do about a run that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// Help it, go on with it, or start the first one.
    #[default]
    Current,
    /// Start another one from the beginning.
    New,
}

/// How a process takes part.
#[derive(Clone, Debug)]
pub struct Options {
    /// What for.
    pub kind: RunKind,
    /// Which run.
    pub which: Which,
    /// Workers of this process; by default what the knobs say.
    pub workers: Option<NonZeroU32>,
    /// Leave after about this many rows were changed by this process.
    pub max_rows: Option<NonZeroU64>,
    /// Knobs to set when the run is joined, each a name and a value: the same as `set` from elsewhere.
    pub set: Vec<(String, String)>,
    /// This host's name.
    pub host: String,
    /// Who is asking, for the audit trail: `user@host`.
    pub by: String,
}

/// Why a process could not take part in a run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The job does not fit the database: change the job.
    #[error("{0}")]
    Job(JobErrors),
    /// Another run has to be dealt with first.
    #[error("{0}")]
    InTheWay(String),
    /// The run is not in a state for this, or its table is not the one that was planned.
    #[error("{0}")]
    NotNow(String),
    /// There is no database to work with: try again later, or elsewhere.
    #[error("{0}")]
    Unreachable(String),
    /// The server can be reached, but not for writing.
    #[error("{address} is a standby and cannot be written to\nhint: connect to the primary")]
    Standby {
        /// Which server.
        address: String,
    },
    /// The address leads to another server than the one where the run was entered.
    #[error(
        "{0}\nhint: connect to the run's server; where its database was copied to, --new-run starts from the beginning"
    )]
    Foreign(String),
    /// The control schema is not usable.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A statement on the control schema failed.
    #[error(transparent)]
    Store(StoreError),
    /// A task panicked: a fault of this program.
    #[error(
        "a part of this process failed: {0}\nhint: this is a bug; what was committed is safe, and running the job again goes on"
    )]
    Panic(String),
}

impl From<db::Error> for EngineError {
    fn from(error: db::Error) -> Self {
        match error.next_act() {
            NextAct::Reconnect => Self::Unreachable(error.to_string()),
            // A database that refuses every connection is none.
            _ if matches!(error, db::Error::Refused { .. }) => Self::Unreachable(error.to_string()),
            _ => Self::Store(StoreError::Database(error)),
        }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database(error) => error.into(),
            other => Self::Store(other),
        }
    }
}

impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Job(errors) => Self::Job(errors),
            Refusal::Database(error) if error.next_act() == NextAct::Retry => Self::InTheWay(format!(
                "the job's table cannot be looked at: {error}\nhint: another session has locked it; pg_locks shows which, try again when it has ended"
            )),
            Refusal::Database(error) => error.into(),
        }
    }
}
