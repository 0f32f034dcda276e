//! The server on which a run was entered, and whether a new connection still leads there.
//!
//! After a failover the same address leads to the standby that was promoted. It may lack the last transactions, and whatever was read
//! of its predecessor may be wrong: everything is read again. Whoever has seen a later timeline never works on an earlier one again, so a
//! predecessor that was not shut down gets no more batches from it.
//!
//! Must not know: how connections are made.

use super::shared::Shared;
use super::worker::End;
use crate::catalog::Server;
use crate::db::{Identity, identity};
use crate::db::{Error, Session};

/// `too_many_connections`: of the server, the database or the role.
pub(super) const FULL: &str = "53300";

/// What there was when the run was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home {
    system_identifier: String,
    timeline: i32,
}

/// Where a new connection leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To the same server and timeline.
    Home,
    /// To the same on a later timeline.
    Later(String),
    /// To one that writes nothing that lasts: a standby, or a predecessor.
    Behind(String),
    /// To a server of another origin.
    Foreign(String),
}

impl Home {
    pub(super) fn of(server: &Server) -> Self {
        Self { system_identifier: server.system_identifier.clone(), timeline: server.timeline }
    }

    /// The same server on this timeline.
    pub(super) fn on(&self, timeline: i32) -> Identity {
        Identity { system_identifier: self.system_identifier.clone(), timeline: Some(timeline) }
    }

    pub(super) fn place(&self, found: &Identity) -> Place {
        let Self { system_identifier, timeline: known } = self;
        if found.system_identifier != *system_identifier {
            return Place::Foreign(format!(
                "the address leads to another server now: its system identifier is {}, that of the run's server {system_identifier}",
                found.system_identifier
            ));
        }
        match found.timeline {
            None => Place::Behind("the server is a standby now".into()),
            Some(now) if now == *known => Place::Home,
            Some(now) if now > *known => {
                Place::Later(format!("the server was promoted: timeline {now} instead of {known}"))
            }
            Some(now) => Place::Behind(format!(
                "the server is on timeline {now}, which this process has left for {known}: a standby was promoted in its place"
            )),
        }
    }
}

impl Shared {
    /// A connection to the run's server, and to no other.
    pub(super) async fn session(&self) -> Result<Session, Error> {
        let session = self.pool.session().await?;
        let found = identity(&session).await?;
        if let Err(error) = self.at_home(&found) {
            drop(session);
            self.pool.renew();
            return Err(error);
        }
        Ok(session)
    }

    /// The same for what is done beside the workers: if the server has no connection left for it, a worker gives up its own.
    pub(super) async fn session_beside(&self) -> Result<Session, Error> {
        let session = self.session().await;
        if session.as_ref().is_err_and(|error| error.sqlstate() == Some(FULL)) {
            self.lacks_connection();
        }
        session
    }

    /// An error if the address leads to a successor of the run's server, or to another one, by now: connections that stand never tell.
    /// Where nobody can be asked, or only a predecessor, there is nothing to hear.
    pub(super) async fn ask_the_address(&self) -> Result<(), Error> {
        let Ok(session) = self.pool.fresh().await else { return Ok(()) };
        let Ok(found) = identity(&session).await else { return Ok(()) };
        match self.home.place(&found) {
            Place::Home | Place::Behind(_) => Ok(()),
            Place::Later(_) | Place::Foreign(_) => self.at_home(&found),
        }
    }

    /// An error if this is not where the run was entered. If it has moved on from there, or this is another origin, all leave.
    pub(super) fn at_home(&self, found: &Identity) -> Result<(), Error> {
        let what = match self.home.place(found) {
            Place::Home => {
                self.reached();
                return Ok(());
            }
            Place::Behind(what) => what,
            Place::Later(what) => {
                self.leave(End::Moved(what.clone()));
                what
            }
            Place::Foreign(what) => {
                self.leave(End::Foreign(what.clone()));
                what
            }
        };
        Err(Error::Connection(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(system_identifier: &str, timeline: Option<i32>) -> Place {
        let home = Home { system_identifier: "7".into(), timeline: 2 };
        home.place(&Identity { system_identifier: system_identifier.into(), timeline })
    }

    #[test]
    fn the_same_timeline_is_home_and_a_later_one_a_promotion() {
        assert_eq!(place("7", Some(2)), Place::Home);
        assert!(matches!(place("7", Some(3)), Place::Later(_)));
    }

    #[test]
    fn nobody_goes_back_to_a_predecessor_or_writes_to_a_standby() {
        assert!(matches!(place("7", Some(1)), Place::Behind(_)));
        assert!(matches!(place("7", None), Place::Behind(_)));
    }

    #[test]
    fn a_server_of_another_origin_is_none_of_ours_whatever_its_timeline() {
        for timeline in [None, Some(2), Some(3)] {
            assert!(matches!(place("8", timeline), Place::Foreign(_)));
        }
    }
}
