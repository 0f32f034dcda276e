//! One connection, made as libpq makes it: server by server, address by address, with or without TLS, until
//! one will do.
//!
//! What ends the search and what only moves it on is libpq's: a server that cannot be reached or is still
//! starting moves it on, and so does one of the wrong kind; a server that refuses us ends it (manual,
//! 34.1.1.3 "Specifying Multiple Hosts").
//!
//! Must not know: what the connection is for.

use std::net::{IpAddr, SocketAddr};

use tokio::net::lookup_host;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{SslMode as Offer, SslNegotiation};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::cancel::{Canceller, Route};
use super::params::{Endpoint, Host, Sequence, SslMode, Wanted};
use super::{ConnectParams, Error, sqlstate, tls};
use crate::sql::fixed;

/// A connection, and how to stop what it runs.
pub struct Link {
    /// The driver's client.
    pub client: Client,
    /// What stops its statements.
    pub canceller: Canceller,
    /// The task that reads and writes the socket.
    pub driver: JoinHandle<()>,
}

/// Knows the way to the database.
pub struct Dialer {
    params: ConnectParams,
    /// Why there is no TLS matters only to a connection that needs it.
    tls: Result<MakeRustlsConnect, String>,
}

/// Why a server did not do.
enum Miss {
    /// Try the next.
    Next(String),
    /// It speaks for all of them.
    End(Error),
}

/// What may be on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Plain,
    TlsIfOffered,
    Tls,
}

impl Dialer {
    /// To the database of these parameters.
    #[must_use]
    pub fn new(params: &ConnectParams) -> Self {
        Self { params: params.clone(), tls: tls::connector(&params.tls) }
    }

    /// A connection to the first server that will do.
    pub async fn dial(&self) -> Result<Link, Error> {
        match self.params.wanted {
            Wanted::PreferStandby => match self.round(Wanted::Standby).await {
                Err(Miss::Next(_)) => self.round(Wanted::Any).await,
                other => other,
            },
            wanted => self.round(wanted).await,
        }
        .map_err(|miss| match miss {
            Miss::End(error) => error,
            Miss::Next(cause) => Error::Unreachable { address: self.params.address(), cause },
        })
    }

    async fn round(&self, wanted: Wanted) -> Result<Link, Miss> {
        let mut causes: Vec<String> = Vec::new();
        for endpoint in self.in_sequence(&self.params.endpoints) {
            match self.dial_endpoint(endpoint, wanted).await {
                Err(Miss::Next(cause)) if self.params.endpoints.len() > 1 => {
                    causes.push(format!("{endpoint}: {cause}"));
                }
                Err(Miss::Next(cause)) => causes.push(cause),
                other => return other,
            }
        }
        Err(Miss::Next(causes.join("; ")))
    }

    fn in_sequence<'a, T>(&self, all: &'a [T]) -> Vec<&'a T> {
        let mut all: Vec<_> = all.iter().collect();
        if self.params.sequence == Sequence::Shuffled {
            fastrand::shuffle(&mut all);
        }
        all
    }

    async fn dial_endpoint(&self, endpoint: &Endpoint, wanted: Wanted) -> Result<Link, Miss> {
        let addresses = match &endpoint.host {
            Host::Socket(_) => vec![None],
            Host::Address(address, _) => vec![Some(*address)],
            Host::Name(name) => self.resolve(name, endpoint.port).await?,
        };
        let mut last = Miss::Next("the name of the host has no address".into());
        for address in self.in_sequence(&addresses) {
            let attempt = self.dial_address(endpoint, *address, wanted);
            match timeout(self.params.timeout, attempt).await {
                Ok(Err(Miss::Next(cause))) => last = Miss::Next(cause),
                Ok(other) => return other,
                Err(_) => last = Miss::Next("no answer in time".into()),
            }
        }
        Err(last)
    }

    async fn resolve(&self, name: &str, port: u16) -> Result<Vec<Option<IpAddr>>, Miss> {
        let found = timeout(self.params.timeout, lookup_host((name, port))).await;
        let found = found.map_err(|_| Miss::Next(format!("nobody answers what the address of {name} is")))?;
        let found = found.map_err(|error| Miss::Next(error.to_string()))?;
        Ok(found.map(|address: SocketAddr| Some(address.ip())).collect())
    }

    /// The ways that `sslmode` allows, one after the other; the second is for a server that refuses the
    /// first.
    async fn dial_address(
        &self,
        endpoint: &Endpoint,
        address: Option<IpAddr>,
        wanted: Wanted,
    ) -> Result<Link, Miss> {
        let (first, second) = match (&endpoint.host, self.params.tls.mode) {
            (Host::Socket(_), _) | (_, SslMode::Disable) => (Wire::Plain, None),
            (_, SslMode::Allow) => (Wire::Plain, Some(Wire::Tls)),
            (_, SslMode::Prefer) => (Wire::TlsIfOffered, Some(Wire::Plain)),
            _ => (Wire::Tls, None),
        };
        let refused = match self.open(endpoint, address, first).await {
            Ok(link) => return self.accept(link, wanted).await,
            Err(error) => error,
        };
        let Some(second) = second.filter(|_| may_do_otherwise(&refused)) else {
            return Err(self.miss(refused));
        };
        match self.open(endpoint, address, second).await {
            Ok(link) => self.accept(link, wanted).await,
            // Of two refusals the first is the one that was meant.
            Err(_) => Err(self.miss(refused)),
        }
    }

    async fn open(&self, endpoint: &Endpoint, address: Option<IpAddr>, wire: Wire) -> Result<Link, Error> {
        let config = self.config(endpoint, address, wire)?;
        let (client, driver) = match (&self.tls, wire) {
            (Ok(tls), _) => connect(&config, tls.clone()).await?,
            (Err(_), Wire::Plain) => connect(&config, NoTls).await?,
            (Err(why), _) => return Err(Error::Connection(format!("error performing TLS handshake: {why}"))),
        };
        let route = match (&self.tls, wire, address) {
            (Ok(tls), Wire::Tls, ..) => Route::Tls(tls.clone()),
            (.., Some(address)) => Route::Plain((address, endpoint.port).into()),
            (.., None) => Route::Socket(endpoint.to_string().into()),
        };
        Ok(Link { canceller: Canceller { token: client.cancel_token(), route }, client, driver })
    }

    fn config(&self, endpoint: &Endpoint, address: Option<IpAddr>, wire: Wire) -> Result<Config, Error> {
        let mut config = self.params.common.clone();
        config.port(endpoint.port).ssl_mode(match wire {
            Wire::Plain => Offer::Disable,
            Wire::TlsIfOffered => Offer::Prefer,
            Wire::Tls => Offer::Require,
        });
        if self.params.tls.direct {
            config.ssl_negotiation(SslNegotiation::Direct);
        }
        endpoint.password.as_ref().map(|password| config.password(password));
        address.map(|address| config.hostaddr(address));
        match &endpoint.host {
            Host::Socket(dir) => config.host_path(dir),
            Host::Name(name) | Host::Address(_, Some(name)) => config.host(name),
            Host::Address(_, None) if self.params.tls.mode == SslMode::VerifyFull => {
                let what =
                    "error performing TLS handshake: verify-full needs the name of the host beside hostaddr";
                return Err(Error::Connection(what.into()));
            }
            Host::Address(address, None) => config.host(address.to_string()),
        };
        Ok(config)
    }

    /// Looks whether the server is of the kind that is wanted.
    async fn accept(&self, link: Link, wanted: Wanted) -> Result<Link, Miss> {
        if wanted == Wanted::Any {
            return Ok(link);
        }
        let row = link
            .client
            .query_typed(fixed::SESSION_KIND, &[])
            .await
            .map_err(|error| self.miss(error.into()))?;
        let (standby, read_only) =
            row.first().map(|row| (row.get("standby"), row.get("read_only"))).unwrap_or_default();
        match unwanted(wanted, standby, read_only) {
            None => Ok(link),
            Some(why) => Err(Miss::Next(why.into())),
        }
    }

    fn miss(&self, error: Error) -> Miss {
        let address = self.params.address();
        match error {
            // It starts, or recovers.
            Error::Server(refused)
                if refused.sqlstate == sqlstate::CANNOT_CONNECT_NOW && self.params.endpoints.len() > 1 =>
            {
                Miss::Next(refused.message)
            }
            Error::Server(refused) => Miss::End(Error::Refused { address, refused }),
            Error::Connection(text) if is_tls(&text) || is_ours(&text) => {
                Miss::End(Error::Unreachable { address, cause: text })
            }
            Error::Connection(text) => {
                // tokio-postgres begins with what we say ourselves.
                Miss::Next(text.strip_prefix("error connecting to server: ").unwrap_or(&text).into())
            }
            other => Miss::End(other),
        }
    }
}

/// The server wants it the other way, or TLS did not work out.
fn may_do_otherwise(error: &Error) -> bool {
    match error {
        Error::Server(refused) => refused.sqlstate.starts_with("28"),
        Error::Connection(text) => is_tls(text),
        _ => false,
    }
}

// tokio-postgres keeps its kinds of errors private; these are their texts.
fn is_tls(text: &str) -> bool {
    text.starts_with("error performing TLS handshake")
}

/// A parameter does not fit the server: a password that is missing, a channel that cannot be bound.
fn is_ours(text: &str) -> bool {
    text.starts_with("invalid configuration") || text.starts_with("authentication error")
}

fn unwanted(wanted: Wanted, standby: bool, read_only: bool) -> Option<&'static str> {
    match wanted {
        Wanted::ReadWrite if standby || read_only => Some("the server cannot be written to"),
        Wanted::ReadOnly if !standby && !read_only => Some("the server can be written to"),
        Wanted::Primary if standby => Some("the server is a standby"),
        Wanted::Standby if !standby => Some("the server is no standby"),
        _ => None,
    }
}

async fn connect<T>(config: &Config, tls: T) -> Result<(Client, JoinHandle<()>), Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended");
        }
    });
    Ok((client, driver))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_server_is_told_from_the_others() {
        // Standbys are read-only, too.
        let kinds = [(false, false), (false, true), (true, true)];
        let taken = |wanted| kinds.map(|(standby, read_only)| unwanted(wanted, standby, read_only).is_none());
        assert_eq!(taken(Wanted::ReadWrite), [true, false, false]);
        assert_eq!(taken(Wanted::ReadOnly), [false, true, true]);
        assert_eq!(taken(Wanted::Primary), [true, true, false]);
        assert_eq!(taken(Wanted::Standby), [false, false, true]);
    }
}
