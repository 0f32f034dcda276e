//! Connection parameters as every libpq tool takes them: text → words → service → password file → TLS → what is dialled.
//!
//! tokio-postgres rejects several of libpq's parameters and reads no variable and no file, so this layer stands before it. The
//! environment is looked up through the caller: a library reads none.
//!
//! Must not know: the process's environment, the terminal, how a connection is made.

mod config;
mod passfile;
mod service;
mod text;
mod tls;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;

pub(super) use config::{Endpoint, Host, Sequence, Wanted};
pub(super) use tls::{Roots, SslMode, TlsParams, Verify, Versions};

/// Looks up one environment variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A connection parameter that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// The text is neither a URI nor `key=value` words.
    #[error(
        "connection string cannot be read: {0}\nhint: write postgresql://user@host:5432/database or host=… dbname=…"
    )]
    Syntax(String),
    /// A parameter that nobody knows.
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
    /// Nobody to trust.
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

/// Everything needed to connect. `Debug` does not show the password.
#[derive(Clone)]
pub struct ConnectParams {
    /// In the order in which they were written; at least one.
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) common: Config,
    pub(super) tls: TlsParams,
    pub(super) wanted: Wanted,
    pub(super) sequence: Sequence,
    /// For each server.
    pub(crate) timeout: Duration,
    warning: Option<String>,
}

impl std::fmt::Debug for ConnectParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut all = f.debug_struct("ConnectParams");
        all.field("address", &self.address()).field("sslmode", &self.tls.mode).finish_non_exhaustive()
    }
}

impl ConnectParams {
    /// From a connection string (a URI, `key=value` words, a database's name, or nothing), a service and the environment.
    pub fn resolve(text: &str, environment: Lookup<'_>) -> Result<Self, ParamsError> {
        let words = words::complete(text::parse(text)?, environment)?;
        let (endpoints, warning) = config::endpoints(&words, environment)?;
        Ok(Self {
            common: config::common(&words)?,
            tls: TlsParams::read(&words, environment)?,
            wanted: config::wanted(&words, endpoints.len())?,
            sequence: config::sequence(&words)?,
            timeout: config::connect_timeout(&words)?,
            endpoints,
            warning,
        })
    }

    /// What `pg_stat_activity` shows, unless the parameters say it.
    pub fn application_name(&mut self, name: &str) {
        if self.common.get_application_name() == Some(config::NAME) {
            self.common.application_name(name);
        }
    }

    /// What a person should know before the first connection: a password file that is passed over.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &str {
        self.common.get_dbname().unwrap_or_default()
    }

    /// Hosts, ports and database, without user or password.
    #[must_use]
    pub fn address(&self) -> String {
        let endpoints: Vec<_> = self.endpoints.iter().map(ToString::to_string).collect();
        format!("{}, database \"{}\"", endpoints.join(","), self.database())
    }
}

/// The person's directory, in which libpq has its files.
fn home_directory(environment: Lookup<'_>) -> Option<PathBuf> {
    environment("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_becomes_an_address() {
        let text = "postgres://ada:s%40cret@db1:6000,[::1]:6001/app?sslmode=disable";
        let params = ConnectParams::resolve(text, &|_| None).unwrap();
        assert_eq!(params.address(), "db1:6000,::1:6001, database \"app\"");
        assert_eq!(params.endpoints[1].password.as_deref(), Some("s@cret"));
        assert_eq!(params.common.get_user(), Some("ada"));
    }

    #[test]
    fn no_debug_shows_the_password() {
        let params = ConnectParams::resolve("host=h password=hunter2", &|_| None).unwrap();
        assert!(!format!("{params:?}").contains("hunter2"));
    }
}
