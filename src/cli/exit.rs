//! Exit codes: a contract with scripts, in one place.
//!
//! Must not know: what was done.

use std::process::ExitCode;

use pgbackfill::engine::EngineError;
use pgbackfill::event::Outcome;

/// For `--help` and the README.
pub(crate) const TABLE: &str = "\
Exit codes:
  0   complete
  1   error, or the run needs a person
  2   wrong usage, or a job that does not fit
  3   stopped, can be resumed
  4   bad rows, or a verification that failed
  5   someone else's run is in the way
  75  no database";

/// One of the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Complete = 0,
    Error = 1,
    Usage = 2,
    Stopped = 3,
    BadRows = 4,
    InTheWay = 5,
    NoDatabase = 75,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Complete | Outcome::AlreadyComplete => Self::Complete,
            Outcome::CompleteWithBadRows => Self::BadRows,
            Outcome::Stopped | Outcome::MaxRows | Outcome::Cancelled => Self::Stopped,
            Outcome::Blocked => Self::Error,
        }
    }
}

impl From<&EngineError> for Exit {
    fn from(error: &EngineError) -> Self {
        match error {
            EngineError::Job(_) => Self::Usage,
            EngineError::InTheWay(_) => Self::InTheWay,
            EngineError::Unreachable(_) => Self::NoDatabase,
            EngineError::Schema(_)
            | EngineError::Standby { .. }
            | EngineError::Store(_)
            | EngineError::Panic(_) => Self::Error,
        }
    }
}

/// An error that has chosen its code; any other is [`Exit::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self { exit: Exit::Error, message: message.into() }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self { exit: Exit::from(&error), message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_code() {
        use Exit::{BadRows, Complete, Error, InTheWay, NoDatabase, Stopped, Usage};
        for exit in [Complete, Error, Usage, Stopped, BadRows, InTheWay, NoDatabase] {
            let start = format!("  {} ", exit as u8);
            assert!(TABLE.lines().any(|line| line.starts_with(&start)), "{exit:?}");
        }
    }

    #[test]
    fn every_outcome_that_can_be_resumed_exits_with_3() {
        for outcome in [Outcome::Stopped, Outcome::MaxRows, Outcome::Cancelled] {
            assert_eq!(Exit::from(outcome), Exit::Stopped);
        }
    }
}
