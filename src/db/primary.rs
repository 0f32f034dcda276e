//! The server on which a run was entered: sessions that lead there and nowhere else, and whether the address
//! still does.
//!
//! After a failover the same address leads to the standby that was promoted. It may lack the last
//! transactions, and whatever was read of its predecessor may be wrong: everything is read again. A process
//! that has seen a later timeline never works on an earlier one again, so a predecessor that was not shut
//! down gets no more batches from it.
//!
//! Must not know: how connections are made, who works on them.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Error, Identity, Pool, Session, identity, sqlstate};

/// What a connection led to, seen from the server on which the run was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The same server and timeline.
    Same,
    /// The same on a later timeline: a standby was promoted.
    Promoted(String),
    /// One that writes nothing that lasts: a standby, or the predecessor of a promoted one.
    Stale(String),
    /// A server of another origin.
    Other(String),
}

/// Where the address leads by now, once it has left the run's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// To a standby that was promoted: the run goes on there.
    Promoted(String),
    /// To a server of another origin.
    Other(String),
}

/// The run's server.
pub struct Primary {
    pool: Pool,
    system_identifier: String,
    timeline: i32,
    /// When it answered last.
    answered: Mutex<Instant>,
    elsewhere: Mutex<Option<Elsewhere>>,
    /// Told when the address has left the server.
    exit: CancellationToken,
    /// How often the server had no connection left for a task beside the workers.
    refused: watch::Sender<u64>,
}

impl Primary {
    /// Sessions of `pool` that lead to the server of this identity; `exit` is cancelled once the address
    /// leads elsewhere.
    #[must_use]
    pub fn new(pool: &Pool, system_identifier: &str, timeline: i32, exit: CancellationToken) -> Self {
        Self {
            pool: pool.clone(),
            system_identifier: system_identifier.to_owned(),
            timeline,
            answered: Mutex::new(Instant::now()),
            elsewhere: Mutex::default(),
            exit,
            refused: watch::Sender::new(0),
        }
    }

    /// The pool that the sessions come from.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The same server on this timeline.
    #[must_use]
    pub fn on(&self, timeline: i32) -> Identity {
        Identity { system_identifier: self.system_identifier.clone(), timeline: Some(timeline) }
    }

    /// What this identity is, seen from the run's server.
    #[must_use]
    pub fn judge(&self, found: &Identity) -> Found {
        judge(&self.system_identifier, self.timeline, found)
    }

    /// A connection to the run's server, and to no other.
    pub async fn session(&self) -> Result<Session, Error> {
        let session = self.pool.session().await?;
        let found = identity(&session).await?;
        if let Err(error) = self.check(&found) {
            drop(session);
            self.pool.renew();
            return Err(error);
        }
        Ok(session)
    }

    /// A connection for a task beside the workers: if the server has none left for it, a worker gives up its
    /// own.
    pub async fn session_beside(&self) -> Result<Session, Error> {
        let session = self.session().await;
        if session.as_ref().is_err_and(|error| error.sqlstate() == Some(sqlstate::TOO_MANY_CONNECTIONS)) {
            self.refused.send_modify(|times| *times += 1);
        }
        session
    }

    /// Changes whenever the server had no connection left for a task beside the workers.
    #[must_use]
    pub fn refused(&self) -> watch::Receiver<u64> {
        self.refused.subscribe()
    }

    /// Dials the address once more. An error if it leads to a successor of the run's server, or to another
    /// one, by now: connections that stand never tell. An address that cannot be asked, or leads to a stale
    /// server, says nothing.
    pub async fn dial_again(&self) -> Result<(), Error> {
        let Ok(session) = self.pool.fresh().await else { return Ok(()) };
        let Ok(found) = identity(&session).await else { return Ok(()) };
        match self.judge(&found) {
            Found::Same | Found::Stale(_) => Ok(()),
            Found::Promoted(_) | Found::Other(_) => self.check(&found),
        }
    }

    /// An error if this is not where the run was entered. If the run has moved on from there, or this is
    /// another origin, all leave.
    pub fn check(&self, found: &Identity) -> Result<(), Error> {
        let what = match self.judge(found) {
            Found::Same => {
                *self.answered.lock() = Instant::now();
                return Ok(());
            }
            Found::Stale(what) => what,
            Found::Promoted(what) => self.leave(Elsewhere::Promoted(what.clone()), what),
            Found::Other(what) => self.leave(Elsewhere::Other(what.clone()), what),
        };
        Err(Error::Connection(what))
    }

    fn leave(&self, elsewhere: Elsewhere, what: String) -> String {
        self.elsewhere.lock().get_or_insert(elsewhere);
        self.exit.cancel();
        what
    }

    /// Where the address leads, once it has left the run's server.
    #[must_use]
    pub fn elsewhere(&self) -> Option<Elsewhere> {
        self.elsewhere.lock().clone()
    }

    /// For so long no task of this process has had an answer of the run's server.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        self.answered.lock().elapsed()
    }
}

fn judge(system_identifier: &str, known: i32, found: &Identity) -> Found {
    if found.system_identifier != system_identifier {
        return Found::Other(format!(
            "the address leads to another server now: its system identifier is {}, that of the run's server {system_identifier}",
            found.system_identifier
        ));
    }
    match found.timeline {
        None => Found::Stale("the server is a standby now".into()),
        Some(now) if now == known => Found::Same,
        Some(now) if now > known => {
            Found::Promoted(format!("the server was promoted: timeline {now} instead of {known}"))
        }
        Some(now) => Found::Stale(format!(
            "the server is on timeline {now}, which this process has left for {known}: a standby was promoted in its place"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(system_identifier: &str, timeline: Option<i32>) -> Found {
        judge("7", 2, &Identity { system_identifier: system_identifier.into(), timeline })
    }

    #[test]
    fn a_later_timeline_is_a_promotion() {
        assert_eq!(found("7", Some(2)), Found::Same);
        assert!(matches!(found("7", Some(3)), Found::Promoted(_)));
    }

    #[test]
    fn a_predecessor_and_a_standby_are_stale() {
        assert!(matches!(found("7", Some(1)), Found::Stale(_)));
        assert!(matches!(found("7", None), Found::Stale(_)));
    }

    #[test]
    fn a_server_of_another_origin_is_another_one_whatever_its_timeline() {
        for timeline in [None, Some(2), Some(3)] {
            assert!(matches!(found("8", timeline), Found::Other(_)));
        }
    }
}
