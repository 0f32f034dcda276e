//! Exit codes: a contract with scripts, in one place.
//!
//! Must not know: what was done.

use std::process::ExitCode;

use pgbackfill::db::{self, NextAct};
use pgbackfill::engine::EngineError;
use pgbackfill::event::Outcome;
use pgbackfill::operate::OperateError;
use pgbackfill::status::FindError;
use pgbackfill::store::{SchemaError, StoreError};

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
            EngineError::Schema(error) => error.into(),
            EngineError::Store(error) => error.into(),
            EngineError::NotNow(_)
            | EngineError::Standby { .. }
            | EngineError::Foreign(_)
            | EngineError::Panic(_) => Self::Error,
        }
    }
}

impl From<&StoreError> for Exit {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Database(error) => error.into(),
            StoreError::Illegal(_) | StoreError::NoRun(_) | StoreError::Unreadable { .. } => Self::Error,
        }
    }
}

impl From<&SchemaError> for Exit {
    fn from(error: &SchemaError) -> Self {
        match error {
            SchemaError::Database(error) => error.into(),
            SchemaError::Newer { .. }
            | SchemaError::Older { .. }
            | SchemaError::NotAllowed { .. }
            | SchemaError::Foreign(_) => Self::Error,
        }
    }
}

impl From<&db::Error> for Exit {
    fn from(error: &db::Error) -> Self {
        let never_came_in = error.sqlstate().is_some_and(|code| code == "3D000" || code.starts_with("28"));
        match error.next_act() {
            NextAct::Reconnect => Self::NoDatabase,
            // No such database, or it does not let us in.
            _ if never_came_in => Self::NoDatabase,
            _ => Self::Error,
        }
    }
}

impl From<&anyhow::Error> for Exit {
    fn from(error: &anyhow::Error) -> Self {
        let chosen = error.downcast_ref::<Failure>().map(|failure| failure.exit);
        chosen
            .or_else(|| error.downcast_ref::<StoreError>().map(Self::from))
            .or_else(|| error.downcast_ref::<SchemaError>().map(Self::from))
            .or_else(|| error.downcast_ref::<db::Error>().map(Self::from))
            .unwrap_or(Self::Error)
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

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        let exit = match &error {
            OperateError::Refused(_) => Exit::Error,
            OperateError::Usage(_) => Exit::Usage,
            OperateError::Store(error) => error.into(),
        };
        Self { exit, message: error.to_string() }
    }
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        let exit = match &error {
            FindError::NeverRun { .. } | FindError::NothingRun => Exit::Error,
            FindError::Store(error) => error.into(),
        };
        Self { exit, message: error.to_string() }
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
    fn a_lost_connection_is_no_database_however_deep_it_is() {
        let lost = || db::Error::Connection("connection closed".into());
        for error in [
            anyhow::Error::from(lost()),
            StoreError::from(lost()).into(),
            SchemaError::from(lost()).into(),
            Failure::from(EngineError::from(StoreError::from(lost()))).into(),
        ] {
            assert_eq!(Exit::from(&error), Exit::NoDatabase, "{error:?}");
        }
    }

    #[test]
    fn a_server_that_refuses_a_statement_is_still_a_database() {
        let refused = |sqlstate: &str| {
            db::Error::Server(Box::new(db::ServerError {
                sqlstate: sqlstate.into(),
                message: "refused".into(),
                detail: None,
                hint: None,
                position: None,
                context: None,
            }))
        };
        assert_eq!(Exit::from(&refused("42501")), Exit::Error);
        assert_eq!(Exit::from(&refused("3D000")), Exit::NoDatabase);
        assert_eq!(Exit::from(&refused("28P01")), Exit::NoDatabase);
    }

    #[test]
    fn every_outcome_that_can_be_resumed_exits_with_3() {
        for outcome in [Outcome::Stopped, Outcome::MaxRows, Outcome::Cancelled] {
            assert_eq!(Exit::from(outcome), Exit::Stopped);
        }
    }
}
