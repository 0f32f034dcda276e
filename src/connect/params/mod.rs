//! Connection parameters as every libpq tool takes them: text → words → service → password file → TLS → what
//! is dialled.
//!
//! tokio-postgres rejects several of libpq's parameters and reads no variable and no file, so this layer
//! stands before it. The environment is looked up through the caller: a library reads none.
//!
//! Must not know: the process's environment, the terminal, how a connection is made.

mod config;
mod environment;
mod error;
mod passfile;
mod service;
mod text;
mod tls;
mod words;

use std::time::Duration;

use tokio_postgres::Config;

pub use environment::Lookup;
pub use error::ParamsError;

pub(super) use config::{Endpoint, Host, Sequence, Wanted};
pub(super) use tls::{Roots, SslMode, TlsParams, Verify, Versions};

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
    /// From a connection string (a URI, `key=value` words, a database's name, or nothing), a service and the
    /// environment.
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

    /// Whether a connection string has a password in it; a string that cannot be read may have one.
    #[must_use]
    pub fn names_password(text: &str) -> bool {
        text::parse(text).map_or(true, |words| words.contains_key("password"))
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
    fn a_password_in_a_connection_string_is_noticed() {
        for text in ["postgres://u:secret@h/db", "host=h password=x", "postgres://h/db?password=x"] {
            assert!(ConnectParams::names_password(text), "{text}");
        }
        for text in ["postgres://u@h:5432/db", "postgres://h:5432/db?sslmode=require", "shop"] {
            assert!(!ConnectParams::names_password(text), "{text}");
        }
    }

    #[test]
    fn no_debug_shows_the_password() {
        let params = ConnectParams::resolve("host=h password=hunter2", &|_| None).unwrap();
        assert!(!format!("{params:?}").contains("hunter2"));
    }
}
