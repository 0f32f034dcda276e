//! The pool: as many connections as workers, and those that are needed beside them.
//!
//! It is deadpool-postgres' with a way to connect of our own. What that crate's types have no room for
//! travels beside them: why a connection could not be made, and how a connection's statements are cancelled
//! and the connection itself is closed at once.
//!
//! Must not know: what the connections are for.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use deadpool_postgres::{
    Connect, Manager, ManagerConfig, Object, PoolError, RecyclingMethod, Runtime, StatementCache, TimeoutType,
};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config};

use super::Error;
use super::handles::Handles;
use super::session::{Lost, Session, has_lost};
use crate::connect::{ConnectParams, Dialer, Link};

/// What [`Connector`] has to say beside what [`Connect`] lets it return, to the task that asked the pool for
/// a connection.
type Aside = Arc<Mutex<Option<Result<Handles, Error>>>>;

tokio::task_local! {
    static ASIDE: Aside;
}

/// Dials as libpq does.
struct Connector(Dialer);

type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + 'a>>;

impl Connect for Connector {
    fn connect(&self, _: &Config) -> Connecting<'_> {
        Box::pin(async {
            let dialled = self.0.dial().await;
            let (made, aside) = match dialled {
                Ok(Link { client, canceller, driver }) => {
                    let handles = Handles { canceller, driver: driver.abort_handle() };
                    // The pool aborts the task that it is given as soon as it drops the client. The driver
                    // itself is left to say good-bye to the server, as it does once its client is gone.
                    let waits = tokio::spawn(async move { drop(driver.await) });
                    (Ok((client, waits)), Ok(handles))
                }
                Err(error) => (Err(placeholder()), Err(error)),
            };
            // Connections are only made in `Pool::take`, which has set it.
            ASIDE.with(|slot| *slot.lock() = Some(aside));
            made
        })
    }
}

/// An error of the type that the pool wants; what has really happened is beside it.
fn placeholder() -> tokio_postgres::Error {
    // A port is a number.
    "port=none".parse::<Config>().expect_err("none is no port")
}

/// The handles of the pool's connections. A connection is known by its statement cache, which is its own as
/// long as it stands; a `Weak` keeps that address from being given to another one.
type Known = Arc<Mutex<Vec<(Weak<StatementCache>, Handles)>>>;

/// Hands out sessions.
#[derive(Clone)]
pub struct Pool {
    inner: deadpool_postgres::Pool,
    params: ConnectParams,
    address: String,
    known: Known,
    lost: Lost,
}

impl Pool {
    /// A pool of at most `size` connections; none is made before the first is asked for.
    pub fn new(params: &ConnectParams, size: usize) -> Result<Self, Error> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(Config::new(), Connector(Dialer::new(params)), config);
        let inner = deadpool_postgres::Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            // Making one has limits of its own; a task that waits may wait for that.
            .wait_timeout(Some(params.timeout + Duration::from_secs(5)))
            .build()
            .map_err(|error| Error::Connection(error.to_string()))?;
        let address = params.address();
        Ok(Self { inner, params: params.clone(), address, known: Known::default(), lost: Lost::default() })
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

    /// Ends the transactions that lost answers have left open, as far as the server can be reached; every new
    /// session does that, too.
    pub async fn end_lost(&self) {
        if has_lost(&self.lost) {
            // A server that cannot be reached cannot be told.
            let _ = self.session().await;
        }
    }

    async fn take(&self) -> Result<Session, Error> {
        let aside = Aside::default();
        // TLS makes the future large, and every task that asks for a session would carry it.
        let got = ASIDE.scope(aside.clone(), Box::pin(self.inner.get())).await;
        let told = aside.lock().take();
        match (got, told) {
            (Ok(object), Some(Ok(handles))) => {
                self.remember(&object, handles.clone());
                Ok(Session::new(object, handles, self.lost.clone()))
            }
            (Ok(object), _) => {
                let handles = self.handles(&object);
                let handles =
                    handles.ok_or_else(|| Error::Connection("a connection of unknown origin".into()))?;
                Ok(Session::new(object, handles, self.lost.clone()))
            }
            (Err(_), Some(Err(error))) => Err(error),
            (Err(PoolError::Timeout(TimeoutType::Wait)), _) => {
                Err(Error::Connection("no connection became free in the pool".into()))
            }
            (Err(other), _) => Err(Error::Connection(other.to_string())),
        }
    }

    fn remember(&self, object: &Object, handles: Handles) {
        let mut known = self.known.lock();
        known.retain(|(cache, _)| cache.strong_count() > 0);
        known.push((Arc::downgrade(&object.statement_cache), handles));
    }

    fn handles(&self, object: &Object) -> Option<Handles> {
        let cache = Arc::as_ptr(&object.statement_cache);
        self.known
            .lock()
            .iter()
            .find(|(known, _)| known.as_ptr() == cache)
            .map(|(_, handles)| handles.clone())
    }

    /// Closes the idle connections: the server behind them may not be the one to work with.
    pub fn renew(&self) {
        self.inner.retain(|_, _| false);
    }

    /// Makes room for another number of workers.
    pub fn resize(&self, size: usize) {
        self.inner.resize(size);
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &str {
        self.params.database()
    }

    /// Hosts, ports and database, without user or password.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_an_error_to_return_beside_the_real_one() {
        assert!(placeholder().as_db_error().is_none());
    }
}
