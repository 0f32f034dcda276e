//! What can go wrong between us and the server, with the next act in it.
//!
//! Must not know: what was being done.

use super::sqlstate::{self, NextAct, next_act};

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
    /// The server answered, and refused the connection.
    #[error("cannot connect to {address}: {}{}", one_line(.refused), hint(way_in(.refused)))]
    Refused {
        /// Host, port and database.
        address: String,
        /// What the server said.
        refused: Box<ServerError>,
    },
    /// The connection ended without an answer.
    #[error("{0}")]
    Connection(String),
    /// There was none to begin with.
    #[error("cannot connect to {address}: {cause}{}", hint(Some(way_there(.cause))))]
    Unreachable {
        /// Host, port and database.
        address: String,
        /// What the operating system, the resolver or TLS said.
        cause: String,
    },
    /// A value came back in a form that we did not ask for.
    #[error("the server answered with something unexpected: {0}")]
    Protocol(String),
}

fn one_line(error: &ServerError) -> String {
    let detail = error.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    format!("{}{detail} [SQLSTATE {}]", error.message, error.sqlstate)
}

fn hint(advice: Option<&str>) -> String {
    advice.map(|advice| format!("\nhint: {advice}")).unwrap_or_default()
}

const PASSWORD: &str = "give the password in PGPASSWORD or in ~/.pgpass (which is passed over unless chmod 600 hides it from others)";

/// What may open the door.
fn way_in(refused: &ServerError) -> Option<&'static str> {
    match refused.sqlstate.as_str() {
        sqlstate::INVALID_PASSWORD => Some(PASSWORD),
        "28000" if refused.message.contains("pg_hba.conf") => Some(
            "the server's pg_hba.conf decides who may come from where: try another user or sslmode, or ask its owner for a line",
        ),
        "28000" => Some("name the role in the connection string or in PGUSER"),
        "3D000" => Some(
            "psql -l lists the databases of a server; name one in the connection string or in PGDATABASE",
        ),
        sqlstate::INSUFFICIENT_PRIVILEGE => Some("ask the owner of the database for GRANT CONNECT"),
        sqlstate::TOO_MANY_CONNECTIONS => Some(
            "its connections are all taken: fewer workers need fewer, and max_connections is the server's limit",
        ),
        _ => None,
    }
}

/// What may lead to the door.
fn way_there(cause: &str) -> &'static str {
    if cause.contains("password missing") {
        PASSWORD
    } else if cause.contains("lookup address") {
        "is the name of the host right?"
    } else if cause.contains("TLS") || cause.contains("certificate") {
        "sslmode says how much TLS is asked for, sslrootcert whom to trust"
    } else {
        "is the server up, and are host and port right?"
    }
}

impl Error {
    /// What the caller should do next.
    #[must_use]
    pub fn next_act(&self) -> NextAct {
        match self {
            Self::Server(error) => next_act(Some(&error.sqlstate)),
            Self::Refused { refused, .. } => next_act(Some(&refused.sqlstate)),
            Self::Connection(_) | Self::Unreachable { .. } => next_act(None),
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
            Self::Server(error) | Self::Refused { refused: error, .. } => Some(error),
            Self::Connection(_) | Self::Unreachable { .. } | Self::Protocol(_) => None,
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

/// The server said nothing: the connection is lost, unless it was a value that could not be converted on our
/// side.
fn without_answer(error: &tokio_postgres::Error) -> Error {
    let text = causes(error);
    // tokio-postgres keeps its kinds of errors private; these are the texts of the two that a new connection
    // cannot mend.
    let ours = ["error serializing parameter", "error deserializing column", "error retrieving column"];
    if ours.iter().any(|start| text.starts_with(start)) {
        Error::Protocol(text)
    } else {
        Error::Connection(text)
    }
}

/// An error with its causes on one line: the outer text alone ("error connecting to server") says too little.
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
