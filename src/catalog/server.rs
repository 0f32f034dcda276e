//! The server: its version, its clock of checkpoints, and what keeps dead rows from being removed.
//!
//! Must not know: tables.

use crate::db::{Error, Identity, Session};
use crate::sql::fixed;

/// The server and our place in it.
#[derive(Clone, Debug)]
pub struct Server {
    /// `server_version_num`, for example 150018.
    pub version: i32,
    /// True on a standby: nothing can be written.
    pub standby: bool,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// Whether the role may create a schema.
    pub may_create: bool,
    /// Which cluster this is; a restored copy has the same, a dump loaded elsewhere another.
    pub system_identifier: String,
    /// The timeline; a promoted standby has another.
    pub timeline: i32,
    /// In milliseconds.
    pub deadlock_timeout_ms: i32,
    /// When it makes checkpoints.
    pub checkpoints: Checkpoints,
    /// The settings that decide what an expression means, as JSON.
    pub settings: String,
}

/// When a server makes a checkpoint: whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Checkpoints {
    /// After this time, in seconds (`checkpoint_timeout`).
    pub timeout_s: f64,
    /// After this much WAL, in bytes (from `max_wal_size` and `checkpoint_completion_target`).
    pub wal_bytes: f64,
}

/// Who keeps dead rows from being removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// A session, a prepared transaction or a replication slot, with its name.
    pub who: String,
    /// For how long, in seconds; none if the server does not tell.
    pub held_s: Option<f64>,
}

/// What the server is.
pub async fn server(session: &Session) -> Result<Server, Error> {
    let row = session.query_one(fixed::SERVER, &[]).await?;
    Ok(Server {
        version: row.get("version"),
        standby: row.get("standby"),
        database: row.get("database"),
        user: row.get("user"),
        may_create: row.get("may_create"),
        system_identifier: row.get("system_identifier"),
        timeline: row.get("timeline"),
        deadlock_timeout_ms: row.get("deadlock_timeout_ms"),
        checkpoints: Checkpoints {
            timeout_s: row.get("checkpoint_timeout_s"),
            wal_bytes: row.get("checkpoint_wal_bytes"),
        },
        settings: row.get("settings"),
    })
}

impl Server {
    /// Which one it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let timeline = (!self.standby).then_some(self.timeline);
        Identity { system_identifier: self.system_identifier.clone(), timeline }
    }
}

/// What has kept dead rows of this database from being removed for more than two seconds, the oldest of all.
pub async fn horizon(session: &Session) -> Result<Option<Holder>, Error> {
    let row = session.query_opt(fixed::HORIZON, &[]).await?;
    Ok(row.map(|row| Holder { who: row.get("who"), held_s: row.get("held_s") }))
}
