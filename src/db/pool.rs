//! The pool: at most as many connections as workers, and one to steer by.
//!
//! Must not know: what the connections are for.

use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Object, PoolError, RecycleError, RecycleResult, TimeoutType};

use super::dial::{Dialer, Link};
use super::session::{Lost, Session, has_lost};
use super::{ConnectParams, Error};

/// Makes connections, and keeps those that still stand.
pub(super) struct Manager(Dialer);

impl managed::Manager for Manager {
    type Type = Link;
    type Error = Error;

    async fn create(&self) -> Result<Link, Error> {
        // TLS makes it large, and whoever asks for a session would carry it.
        Box::pin(self.0.dial()).await
    }

    async fn recycle(&self, link: &mut Link, _: &Metrics) -> RecycleResult<Error> {
        if link.client.is_closed() { Err(RecycleError::message("the connection is closed")) } else { Ok(()) }
    }
}

/// A connection of the pool.
pub(super) type Pooled = Object<Manager>;

/// Hands out sessions.
#[derive(Clone)]
pub struct Pool {
    inner: managed::Pool<Manager>,
    params: ConnectParams,
    address: String,
    lost: Lost,
}

impl Pool {
    /// A pool of at most `size` connections; none is made before the first is asked for.
    pub fn new(params: &ConnectParams, size: usize) -> Result<Self, Error> {
        let inner = managed::Pool::builder(Manager(Dialer::new(params)))
            .max_size(size)
            .runtime(Runtime::Tokio1)
            // Making one has limits of its own; somebody who waits may wait for that.
            .wait_timeout(Some(params.timeout + Duration::from_secs(5)))
            .build()
            .map_err(|error| Error::Connection(error.to_string()))?;
        Ok(Self { inner, params: params.clone(), address: params.address(), lost: Lost::default() })
    }

    /// A connection of one's own until it is dropped.
    pub async fn session(&self) -> Result<Session, Error> {
        let session = self.take().await?;
        session.end_lost().await?;
        Ok(session)
    }

    /// A connection that is made now, beside those of the pool: to where the address leads at this moment.
    pub async fn fresh(&self) -> Result<Session, Error> {
        Self::new(&self.params, 1)?.session().await
    }

    /// Ends the transactions that lost answers have left open, as far as the server can be reached; every new session does that, too.
    pub async fn end_lost(&self) {
        if has_lost(&self.lost) {
            // Who cannot be reached cannot be told.
            let _ = self.session().await;
        }
    }

    async fn take(&self) -> Result<Session, Error> {
        match self.inner.get().await {
            Ok(link) => Ok(Session::new(link, self.lost.clone())),
            Err(PoolError::Backend(error)) => Err(error),
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                Err(Error::Connection("no connection became free in the pool".into()))
            }
            Err(other) => Err(Error::Connection(other.to_string())),
        }
    }

    /// Closes the connections that nobody uses just now: the server behind them may not be the one to work with.
    pub fn renew(&self) {
        self.inner.retain(|_, _| false);
    }

    /// Makes room for another number of workers.
    pub fn resize(&self, size: usize) {
        self.inner.resize(size);
    }

    /// Hosts, ports and database, without user or password.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}
