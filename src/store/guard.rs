//! What is read of the server for all runs of a database, by one process at a time, and published to the
//! others.
//!
//! Must not know: how much of a signal is too much, what a share is spent on.

use std::time::Duration;

use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::SILENCE_S_MAX;
use crate::db::{Error, Session};
use crate::signal::Reading;
use crate::sql::{fixed, settings};

/// A leader that is silent for so long has lost its place, in seconds. It speaks once a second.
pub(super) const LEASE_S: f64 = 3.0;

/// The longest wait for an answer while leading: the `statement_timeout`, and the way there and back.
const GUARD_ANSWER_MAX: Duration = Duration::from_secs(5);

/// A time in which no worker works, so that the application can be measured without us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuietTime {
    /// Seconds from now to its beginning; negative once it has begun.
    pub in_s: f64,
    /// Seconds from now to its end.
    pub until_s: f64,
}

/// What the leader tells every process.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// Who leads.
    pub leader: Option<String>,
    /// Whether any process may take the lead.
    pub lead_is_free: bool,
    /// The signals.
    pub readings: Vec<Reading>,
    /// When they were read, by the database's clock, in seconds since 1970; none: never.
    pub read_at_s: Option<f64>,
    /// How long ago that was, in seconds.
    pub read_s_ago: Option<f64>,
    /// Batch-seconds a second that all processes in mode auto may spend together; none: not measured yet.
    pub share: Option<f64>,
    /// Why not more.
    pub share_why: Option<String>,
    /// When no worker is to work.
    pub quiet: Option<QuietTime>,
    /// How long a batch takes while others are at work, in milliseconds; none: not measured yet.
    pub batch_ms: Option<f64>,
    /// For how many seconds no session of others has been at work; none: one is, or no process looks.
    pub alone_s: Option<f64>,
}

/// What a leader, or a process that would like to lead, has to say.
#[derive(Clone, Debug)]
pub struct Lead<'a> {
    /// Its process.
    pub process: &'a str,
    /// What all may spend from now on; none: as before.
    pub share: Option<f64>,
    /// Why not more.
    pub why: Option<&'a str>,
    /// The latest quiet time: seconds to its beginning, negative once it has begun, and its length.
    pub quiet: Option<(f64, f64)>,
    /// Commits of the last minutes: the WAL position then, and how many seconds ago.
    pub wal_history: (&'a [String], &'a [f64]),
    /// For how many seconds no session of others has been at work; none: one is.
    pub alone_s: Option<f64>,
    /// How long a batch takes while others are at work, in milliseconds; none: as before.
    pub batch_ms: Option<f64>,
    /// What the application was found to bear; none: as before.
    pub learned: Option<f64>,
    /// How many sessions of others were running a statement meanwhile; none: not known.
    pub load: Option<f64>,
}

/// What the leader gets to know.
#[derive(Clone, Debug)]
pub struct Led {
    /// What they spend.
    pub busy: f64,
    /// How many workers they have.
    pub workers: u32,
    /// The least of what their runs tolerate, in milliseconds; none: no process works in mode auto.
    pub tolerated_ms: Option<f64>,
    /// What a leader has learned last.
    pub learned: Option<Learned>,
}

/// What the application was found to bear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learned {
    /// The effort, as the leader counts it.
    pub effort: f64,
    /// How many sessions of others were running a statement, on average; none: not known.
    pub load: Option<f64>,
    /// How many seconds ago.
    pub s_ago: f64,
}

/// The guard's columns of a heartbeat's answer.
pub(super) fn published(row: &Row) -> Result<Published, String> {
    let quiet = row.get::<_, Option<f64>>("quiet_in_s").zip(row.get::<_, Option<f64>>("quiet_until_s"));
    Ok(Published {
        leader: row.get("leader"),
        lead_is_free: row.get("lead_is_free"),
        readings: readings(row.get("readings"))?,
        read_at_s: row.get("read_at_s"),
        read_s_ago: row.get("read_s_ago"),
        share: row.get("share"),
        share_why: row.get("share_why"),
        quiet: quiet.map(|(in_s, until_s)| QuietTime { in_s, until_s }),
        batch_ms: row.get("batch_ms"),
        alone_s: row.get("alone_s"),
    })
}

fn readings(text: &str) -> Result<Vec<Reading>, String> {
    let all: Vec<serde_json::Value> =
        serde_json::from_str(text).map_err(|error| format!("the guard's readings: {error}"))?;
    // A newer program that leads may know signals that this one does not.
    Ok(all.into_iter().filter_map(|reading| serde_json::from_value(reading).ok()).collect())
}

/// Takes or keeps the lead, reads every signal and publishes them. None: another process leads.
pub async fn read_guard(session: &mut Session, lead: &Lead<'_>) -> Result<Option<Led>, Error> {
    session.answers_within(GUARD_ANSWER_MAX);
    let (quiet_in_s, quiet_s) = lead.quiet.unzip();
    let params = [
        (&lead.process as _, Type::TEXT),
        (&LEASE_S as _, Type::FLOAT8),
        (&lead.share as _, Type::FLOAT8),
        (&lead.why as _, Type::TEXT),
        (&quiet_in_s as _, Type::FLOAT8),
        (&quiet_s as _, Type::FLOAT8),
        (&lead.wal_history.0 as _, Type::TEXT_ARRAY),
        (&lead.wal_history.1 as _, Type::FLOAT8_ARRAY),
        (&SILENCE_S_MAX as _, Type::FLOAT8),
        (&lead.alone_s as _, Type::FLOAT8),
        (&lead.batch_ms as _, Type::FLOAT8),
        (&lead.learned as _, Type::FLOAT8),
        (&lead.load as _, Type::FLOAT8),
    ];
    let rows = session.begin_and_query(settings::SIGNALS, fixed::GUARD_READ, &params).await;
    let rows = session.commit_or_rollback(rows).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Led {
        busy: row.get("busy"),
        workers: u32::try_from(row.get::<_, i64>("workers")).unwrap_or(0),
        tolerated_ms: row.get("tolerated_ms"),
        learned: learned(row),
    }))
}

fn learned(row: &Row) -> Option<Learned> {
    Some(Learned {
        effort: row.get::<_, Option<f64>>("learned")?,
        load: row.get("learned_load"),
        s_ago: row.get::<_, Option<f64>>("learned_s_ago")?,
    })
}

/// The signals as they were read last.
#[derive(Clone, Debug, Serialize)]
pub struct Read {
    /// The process that reads them; none: no process does just now.
    pub leader: Option<String>,
    /// Their age in seconds.
    pub read_s_ago: f64,
    /// All of them.
    pub readings: Vec<Reading>,
    /// For how many seconds no session of others has been at work; none: one is, or no process looks.
    pub alone_s: Option<f64>,
}

/// What the guard of the database has read last; none: there was none yet.
pub async fn guard_now(session: &Session) -> Result<Option<Read>, Error> {
    let row = session.query_opt(fixed::GUARD_NOW, &[]).await?;
    row.map(|row| {
        Ok(Read {
            leader: row.get("leader"),
            read_s_ago: row.get("read_s_ago"),
            readings: readings(row.get("readings")).map_err(Error::Protocol)?,
            alone_s: row.get("alone_s"),
        })
    })
    .transpose()
}

/// Gives the lead back, so that the next one need not wait.
pub async fn leave_guard(session: &mut Session, process: &str) -> Result<(), Error> {
    session.transact(settings::PASSING, fixed::GUARD_LEAVE, &[(&process, Type::TEXT)]).await.map(drop)
}
