//! The pool: at most as many connections as workers, and one to steer by.
//!
//! Must not know: what the connections are for.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime, TimeoutType};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::session::Session;
use super::{ConnectParams, Error};

/// Hands out sessions.
#[derive(Clone)]
pub struct Pool {
    inner: deadpool_postgres::Pool,
    tls: MakeRustlsConnect,
    address: String,
}

impl Pool {
    /// A pool of at most `size` connections; none is made before the first is asked for.
    pub fn new(params: &ConnectParams, size: usize) -> Result<Self, Error> {
        let tls = params.tls_connector().map_err(Error::Connection)?;
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(params.config().clone(), tls.clone(), config);
        let timeout = params.connect_timeout();
        let inner = deadpool_postgres::Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            // A server that is in the middle of its recovery accepts the connection and then says nothing for a while.
            .create_timeout(Some(timeout))
            .wait_timeout(Some(timeout + Duration::from_secs(5)))
            .build()
            .map_err(|error| Error::Connection(error.to_string()))?;
        Ok(Self { inner, tls, address: params.address() })
    }

    /// A connection of one's own until it is dropped.
    pub async fn session(&self) -> Result<Session, Error> {
        match self.inner.get().await {
            Ok(client) => Ok(Session::new(client, self.tls.clone())),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// Makes room for another number of workers.
    pub fn resize(&self, size: usize) {
        self.inner.resize(size);
    }

    /// Host, port and database, without user or password.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    fn explain(&self, error: PoolError) -> Error {
        let unreachable =
            |cause: &str| Error::Unreachable { address: self.address.clone(), cause: cause.into() };
        match error {
            PoolError::Backend(error) => match Error::from(error) {
                Error::Server(refused) => Error::Refused { address: self.address.clone(), refused },
                // tokio-postgres begins with what we say ourselves.
                Error::Connection(text) => {
                    unreachable(text.strip_prefix("error connecting to server: ").unwrap_or(&text))
                }
                other => other,
            },
            PoolError::Timeout(TimeoutType::Wait) => {
                Error::Connection("no connection became free in the pool".into())
            }
            PoolError::Timeout(_) => unreachable("no answer in time"),
            other => Error::Connection(other.to_string()),
        }
    }
}
