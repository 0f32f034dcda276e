//! Processes: the heartbeat that brings back what the run asks, and who is here.
//!
//! Nothing but shares of a rate and what a person sees depends on a heartbeat.
//!
//! Must not know: what the workers are doing.

use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::guard::{self, Published};
use super::run::{StoreError, totals};
use super::{ANSWER_MAX, SILENCE_S_MAX};
use crate::db::Identity;
use crate::db::{Error, Session};
use crate::run::{Hold, Knobs, RunId, RunState, Times, Totals};
use crate::sql::fixed;
use crate::sql::settings::PASSING;

/// What a process tells of itself.
#[derive(Clone, Debug)]
pub struct Beat<'a> {
    /// Unique name of the process.
    pub process: &'a str,
    /// The host's name.
    pub host: &'a str,
    /// The operating system's number.
    pub pid: i32,
    /// Live workers.
    pub workers: i32,
    /// Changed rows per second, over the last seconds.
    pub rows_per_s: f64,
    /// Rows passed per second, changed or not, over the last seconds.
    pub rows_passed_per_s: f64,
    /// What it waits for, how, and for how many seconds it has.
    pub waiting: Option<(&'a str, Option<Hold>, f64)>,
    /// The last error, if there was one since the last beat.
    pub last_error: Option<&'a str>,
    /// What its workers spent their time on.
    pub times: Times,
    /// How often they had to try again.
    pub retries: u64,
    /// Workers that make way for the application; none in mode full.
    pub auto_workers: i32,
    /// Batch-seconds a second, lately.
    pub busy: f64,
}

/// What the run asks of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The run's state.
    pub state: RunState,
    /// Why.
    pub reason: Option<String>,
    /// The knobs in force.
    pub knobs: Knobs,
    /// Live workers of the other processes.
    pub other_workers: u32,
    /// The other live processes.
    pub other_processes: u32,
}

/// What a heartbeat brings back.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Which server answers.
    pub identity: Identity,
    /// What the run asks.
    pub assignment: Assignment,
    /// Where the run stands.
    pub totals: Totals,
    /// All WAL that the server has ever written, in bytes.
    pub wal_bytes: f64,
    /// The database's clock, in seconds since 1970.
    pub clock_s: f64,
    /// Workers in mode auto of the other processes, over all runs of the database.
    pub other_auto_workers: u32,
    /// What these spend: batch-seconds a second.
    pub other_busy: f64,
    /// Changed rows per second of the run's other processes.
    pub other_rows_per_s: f64,
    /// Rows passed per second by the run's other processes.
    pub other_rows_passed_per_s: f64,
    /// What the guard has published.
    pub guard: Published,
}

/// A live process.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Unique name.
    pub process: String,
    /// Host.
    pub host: String,
    /// Process id.
    pub pid: i32,
    /// Version of the program.
    pub version: String,
    /// Live workers.
    pub workers: i32,
    /// Changed rows per second.
    pub rows_per_s: f64,
    /// Rows passed per second, changed or not.
    pub rows_passed_per_s: f64,
    /// What it waits for.
    pub waiting: Option<String>,
    /// How that holds it back: `throttled`, `paused`, `blocked`.
    pub hold: Option<String>,
    /// For how long it has been waiting, in seconds.
    pub waiting_s: Option<f64>,
    /// Its last error.
    pub last_error: Option<String>,
    /// RFC 3339, UTC, by the database's clock.
    pub started_at: String,
    /// Seconds since its last beat.
    pub seen_s_ago: f64,
}

/// Says that the process is here and reads what the run asks and the counters, in a transaction whose COMMIT
/// is not waited for: a flush twice a second would hold up the batches' WAL (measured: 9 % of their speed),
/// and a lost beat is soon followed by another.
pub async fn beat(session: &mut Session, run: RunId, beat: &Beat<'_>) -> Result<Heard, StoreError> {
    session.answers_within(ANSWER_MAX);
    let told = beat_in_txn(session, run, beat).await;
    session.commit_or_rollback(told).await
}

async fn beat_in_txn(session: &mut Session, run: RunId, beat: &Beat<'_>) -> Result<Heard, StoreError> {
    let version = env!("CARGO_PKG_VERSION");
    let times = [beat.times.working_ms, beat.times.throttled_ms, beat.times.paused_ms, beat.times.blocked_ms]
        .map(stored);
    let retries = stored(beat.retries);
    let reason = beat.waiting.map(|(reason, ..)| reason);
    let hold = beat.waiting.and_then(|(_, hold, _)| hold).map(Hold::as_str);
    let waiting_s = beat.waiting.map(|(.., waiting_s)| waiting_s);
    let params = [
        (&run.0 as _, Type::INT8),
        (&beat.process as _, Type::TEXT),
        (&beat.host as _, Type::TEXT),
        (&beat.pid as _, Type::INT4),
        (&version as _, Type::TEXT),
        (&beat.workers as _, Type::INT4),
        (&beat.rows_per_s as _, Type::FLOAT8),
        (&reason as _, Type::TEXT),
        (&beat.last_error as _, Type::TEXT),
        (&SILENCE_S_MAX as _, Type::FLOAT8),
        (&waiting_s as _, Type::FLOAT8),
        (&hold as _, Type::TEXT),
        (&times[0] as _, Type::INT8),
        (&times[1] as _, Type::INT8),
        (&times[2] as _, Type::INT8),
        (&times[3] as _, Type::INT8),
        (&beat.auto_workers as _, Type::INT4),
        (&beat.busy as _, Type::FLOAT8),
        (&guard::LEASE_S as _, Type::FLOAT8),
        (&retries as _, Type::INT8),
        (&beat.rows_passed_per_s as _, Type::FLOAT8),
    ];
    let rows = session.begin_and_query(PASSING, fixed::PROCESS_BEAT, &params).await?;
    let row = rows.first().ok_or_else(|| StoreError::Unreadable { run, what: "its row is gone".into() })?;
    Ok(Heard {
        identity: Identity {
            system_identifier: row.get("system_identifier"),
            timeline: Some(row.get("timeline")),
        },
        assignment: assignment(run, row)?,
        totals: totals(session, run).await?,
        wal_bytes: row.get("wal_bytes"),
        clock_s: row.get("clock_s"),
        other_auto_workers: u32::try_from(row.get::<_, i64>("other_auto_workers")).unwrap_or(0),
        other_busy: row.get("other_busy"),
        other_rows_per_s: row.get("other_rows_per_s"),
        other_rows_passed_per_s: row.get("other_rows_passed_per_s"),
        guard: guard::published(row).map_err(|what| StoreError::Unreadable { run, what })?,
    })
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn assignment(run: RunId, row: &Row) -> Result<Assignment, StoreError> {
    let unreadable = |what: String| StoreError::Unreadable { run, what };
    let state: &str = row.get("state");
    let count = |column: &str| u32::try_from(row.get::<_, i64>(column)).unwrap_or(0);
    Ok(Assignment {
        state: RunState::parse(state).ok_or_else(|| unreadable(format!("state \"{state}\"")))?,
        reason: row.get("reason"),
        knobs: serde_json::from_str(row.get("knobs"))
            .map_err(|error| unreadable(format!("knobs: {error}")))?,
        other_workers: count("other_workers"),
        other_processes: count("other_processes"),
    })
}

/// Says that the process has left, and how often it had to try again.
pub async fn leave(session: &mut Session, run: RunId, process: &str, retries: u64) -> Result<(), Error> {
    let retries = stored(retries);
    let params = [(&run.0 as _, Type::INT8), (&process as _, Type::TEXT), (&retries as _, Type::INT8)];
    session.transact(PASSING, fixed::PROCESS_LEAVE, &params).await.map(drop)
}

/// The processes that were seen in the last seconds.
pub async fn live(session: &Session, run: RunId) -> Result<Vec<Process>, Error> {
    let params = [(&run.0 as _, Type::INT8), (&SILENCE_S_MAX as _, Type::FLOAT8)];
    let rows = session.query(fixed::PROCESS_LIVE, &params).await?;
    Ok(rows
        .iter()
        .map(|row| Process {
            process: row.get("process"),
            host: row.get("host"),
            pid: row.get("pid"),
            version: row.get("version"),
            workers: row.get("workers"),
            rows_per_s: row.get("rows_per_s"),
            rows_passed_per_s: row.get("rows_passed_per_s"),
            waiting: row.get("waiting"),
            hold: row.get("hold"),
            waiting_s: row.get("waiting_s"),
            last_error: row.get("last_error"),
            started_at: row.get("started_at"),
            seen_s_ago: row.get("seen_s_ago"),
        })
        .collect())
}
