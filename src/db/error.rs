//! What can go wrong between us and the server, with the next act in it.
//!
//! Must not know: what was being done.

use super::sqlstate::{NextAct, next_act};

/// What the server said, field by field (protocol chapter 55.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// Five characters.
    pub sqlstate: String,
    /// The message.
    pub message: String,
    /// The detail, where there is one.
    pub detail: Option<String>,
    /// The server's own hint.
    pub hint: Option<String>,
    /// Where in the statement, in characters from 1.
    pub position: Option<u32>,
    /// The call stack in the server, innermost first: names the trigger or function at fault.
    pub context: Option<String>,
}

/// An error of the connection or of a statement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused a statement.
    #[error("{}", one_line(.0))]
    Server(Box<ServerError>),
    /// The connection ended without an answer, or never came to be.
    #[error("{0}")]
    Connection(String),
    /// A value came back in a form that we did not ask for.
    #[error("the server answered with something unexpected: {0}")]
    Protocol(String),
}

fn one_line(error: &ServerError) -> String {
    let detail = error.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    format!("{}{detail} [SQLSTATE {}]", error.message, error.sqlstate)
}

impl Error {
    /// What the caller should do next.
    #[must_use]
    pub fn next_act(&self) -> NextAct {
        match self {
            Self::Server(error) => next_act(Some(&error.sqlstate)),
            Self::Connection(_) => next_act(None),
            Self::Protocol(_) => NextAct::Block,
        }
    }

    /// The server's code, where a server answered.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        self.server().map(|error| error.sqlstate.as_str())
    }

    /// What the server said, where it said something.
    #[must_use]
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Server(error) => Some(error),
            Self::Connection(_) | Self::Protocol(_) => None,
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::ErrorPosition;
        let Some(db) = error.as_db_error() else {
            return without_answer(&error);
        };
        Self::Server(Box::new(ServerError {
            sqlstate: db.code().code().to_owned(),
            message: db.message().to_owned(),
            detail: db.detail().map(str::to_owned),
            hint: db.hint().map(str::to_owned),
            position: match db.position() {
                Some(ErrorPosition::Original(at)) => Some(*at),
                Some(ErrorPosition::Internal { .. }) | None => None,
            },
            context: db.where_().map(str::to_owned),
        }))
    }
}

/// The server said nothing: the connection is lost, unless it was a value that could not be converted on our side.
fn without_answer(error: &tokio_postgres::Error) -> Error {
    let text = causes(error);
    // tokio-postgres keeps its kinds of errors private; these are the texts of the two that a new connection cannot mend.
    let ours = ["error serializing parameter", "error deserializing column", "error retrieving column"];
    if ours.iter().any(|start| text.starts_with(start)) {
        Error::Protocol(text)
    } else {
        Error::Connection(text)
    }
}

/// An error with its causes on one line: the outer text alone ("error connecting to server") helps nobody.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
