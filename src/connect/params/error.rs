//! What is wrong with a connection parameter.
//!
//! Must not know: which parameters there are.

/// A connection parameter that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// The text is neither a URI nor `key=value` words.
    #[error(
        "connection string cannot be read: {0}\nhint: write postgresql://user@host:5432/database or host=… dbname=…"
    )]
    Syntax(String),
    /// A parameter that neither libpq nor we know.
    #[error("unknown connection parameter \"{name}\"{}", .near.as_ref().map(|near| format!("\nhint: did you mean \"{near}\"?")).unwrap_or_default())]
    Unknown {
        /// As it was written.
        name: String,
        /// The nearest known one.
        near: Option<&'static str>,
    },
    /// libpq can do what this parameter asks for, and we cannot.
    #[error(
        "connection parameter {name} is not supported\nhint: leave it out if the connection is safe without it"
    )]
    Unsupported {
        /// The parameter.
        name: &'static str,
    },
    /// A value that the parameter does not take.
    #[error("connection parameter {name} cannot be \"{value}\"\nhint: {expected}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// As it was written.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A list that does not fit the list of hosts.
    #[error(
        "{found} values for {name} and {hosts} hosts\nhint: write one port for all, or a value for each host"
    )]
    Count {
        /// The parameter.
        name: &'static str,
        /// How many values it has.
        found: usize,
        /// How many hosts there are.
        hosts: usize,
    },
    /// A service that cannot be found or read.
    #[error(
        "{0}\nhint: PGSERVICEFILE names the file, else it is ~/.pg_service.conf, else pg_service.conf in PGSYSCONFDIR"
    )]
    Service(String),
    /// There is no root certificate to trust.
    #[error(
        "sslmode={mode} needs a root certificate, and there is no {file}\nhint: name it in sslrootcert; sslrootcert=system trusts what this host trusts"
    )]
    NoRoot {
        /// `verify-ca` or `verify-full`.
        mode: &'static str,
        /// Where it was looked for.
        file: String,
    },
}
