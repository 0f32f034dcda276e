//! Runs: how one is made, found, moved from state to state, and what is told about it.
//!
//! Must not know: ranges' contents, workers.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::ANSWER_MAX;
use crate::db::{Error, Param, Session};
use crate::key::KeyColumn;
use crate::run::{IllegalMove, Knobs, Move, RunId, RunKind, RunState, Times, Totals};
use crate::sql::fixed;
use crate::sql::settings::LASTING;

/// Why a run could not be read or moved.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state does not allow it.
    #[error(transparent)]
    Illegal(#[from] IllegalMove),
    /// This job was never run here.
    #[error(
        "there is no run of job \"{0}\" in this database\nhint: pgbackfill list shows the runs there are"
    )]
    NoRun(String),
    /// What is stored does not read back.
    #[error(
        "run {run} is stored in a form that this program cannot read: {what}\nhint: was it made by a later pgbackfill?"
    )]
    Unreadable {
        /// The run.
        run: RunId,
        /// Which part.
        what: String,
    },
    /// The server or the connection failed.
    #[error(transparent)]
    Database(#[from] Error),
}

/// A run as stored.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// The job's name.
    pub job: String,
    /// What decides the result, hashed.
    pub fingerprint: String,
    /// What decides the result, as text.
    pub definition: String,
    /// The job as it was last taken over, with its pace, as TOML.
    pub job_text: String,
    /// Where it stands.
    pub state: RunState,
    /// Why, unless it is running or complete.
    pub reason: Option<String>,
    /// The live knobs.
    pub knobs: Knobs,
    /// The target's object id.
    pub target: u32,
    /// The target's quoted name.
    pub target_name: String,
    /// The key.
    pub key: Vec<KeyColumn>,
    /// Settings that decide what an expression means, as JSON.
    pub settings: String,
    /// The protocol of the processes that made it.
    pub protocol: i32,
    /// The cluster it was made in.
    pub system_identifier: String,
    /// What it is for.
    pub kind: RunKind,
    /// The run that it is about, if it is no backfill.
    pub of: Option<RunId>,
    /// Whether the values that it replaces are kept.
    pub keeps_old: bool,
}

/// A run to be made.
#[derive(Debug)]
pub struct NewRun<'a> {
    /// The job's name.
    pub job: &'a str,
    /// What decides the result, hashed.
    pub fingerprint: &'a str,
    /// What decides the result, as text.
    pub definition: &'a str,
    /// The whole job as text.
    pub job_text: &'a str,
    /// The knobs it starts with.
    pub knobs: &'a Knobs,
    /// The target's object id.
    pub target: u32,
    /// The target's quoted name.
    pub target_name: &'a str,
    /// The key.
    pub key: &'a [KeyColumn],
    /// Settings, as JSON.
    pub settings: &'a str,
    /// The cluster.
    pub system_identifier: &'a str,
    /// Its timeline.
    pub timeline: i32,
    /// Who: `user@host`.
    pub by: &'a str,
    /// What it is for.
    pub kind: RunKind,
    /// The run that it is about, if it is no backfill.
    pub of: Option<RunId>,
}

/// What a person asks of a run from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `pause`, `resume`, `cancel`.
    State(Move),
    /// `set`: the knobs from now on, and what changed in words.
    Knobs(Knobs, String),
}

pub(super) fn state_of(row: &Row, run: RunId) -> Result<RunState, StoreError> {
    let text: &str = row.get("state");
    RunState::parse(text).ok_or_else(|| StoreError::Unreadable { run, what: format!("state \"{text}\"") })
}

pub(super) fn json<T: serde::de::DeserializeOwned>(
    row: &Row,
    column: &str,
    run: RunId,
) -> Result<T, StoreError> {
    let text: &str = row.get(column);
    serde_json::from_str(text)
        .map_err(|error| StoreError::Unreadable { run, what: format!("{column}: {error}") })
}

pub(super) fn kind_of(row: &Row, run: RunId) -> Result<RunKind, StoreError> {
    let text: &str = row.get("kind");
    RunKind::parse(text).ok_or_else(|| StoreError::Unreadable { run, what: format!("kind \"{text}\"") })
}

/// The latest run of a job of this kind.
pub async fn latest(session: &Session, job: &str, kind: RunKind) -> Result<Option<Run>, StoreError> {
    latest_of(session, job, Some(kind)).await
}

/// The run of a job that a person means: the latest that is not at its end, whatever it is for, else the
/// latest backfill.
pub async fn current(session: &Session, job: &str) -> Result<Option<Run>, StoreError> {
    latest_of(session, job, None).await
}

async fn latest_of(session: &Session, job: &str, kind: Option<RunKind>) -> Result<Option<Run>, StoreError> {
    let kind = kind.map(RunKind::as_str);
    let params = [(&job as _, Type::TEXT), (&kind as _, Type::TEXT)];
    let row = session.query_opt(fixed::RUN_LATEST, &params).await?;
    row.map(|row| read(&row)).transpose()
}

fn read(row: &Row) -> Result<Run, StoreError> {
    let id = RunId(row.get("id"));
    Ok(Run {
        id,
        job: row.get("job"),
        fingerprint: row.get("fingerprint"),
        definition: row.get("definition"),
        job_text: row.get("job_text"),
        state: state_of(row, id)?,
        reason: row.get("reason"),
        knobs: json(row, "knobs", id)?,
        target: row.get("target"),
        target_name: row.get("target_name"),
        key: json(row, "key", id)?,
        settings: row.get("settings"),
        protocol: row.get("protocol"),
        system_identifier: row.get("system_identifier"),
        kind: kind_of(row, id)?,
        of: row.get::<_, Option<i64>>("of_run").map(RunId),
        keeps_old: row.get("keeps_old"),
    })
}

/// Keeps other processes from making a run until this transaction ends.
pub async fn lock_table_in_txn(session: &Session) -> Result<(), Error> {
    session.batch_execute(fixed::RUN_TABLE_LOCK).await
}

/// Makes a run.
pub async fn create_in_txn(session: &Session, new: &NewRun<'_>) -> Result<RunId, StoreError> {
    let knobs = knobs_json(new.knobs);
    // A list of names and types always has a JSON form.
    let key = serde_json::to_string(new.key).expect("a key is plain data");
    let row = session
        .query_one(
            fixed::RUN_INSERT,
            &[
                (&new.job, Type::TEXT),
                (&new.fingerprint, Type::TEXT),
                (&new.definition, Type::TEXT),
                (&new.job_text, Type::TEXT),
                (&knobs, Type::TEXT),
                (&new.target, Type::OID),
                (&new.target_name, Type::TEXT),
                (&key, Type::TEXT),
                (&new.settings, Type::TEXT),
                (&super::PROTOCOL, Type::INT4),
                (&new.system_identifier, Type::TEXT),
                (&new.timeline, Type::INT4),
                (&new.by, Type::TEXT),
                (&new.kind.as_str(), Type::TEXT),
                (&new.of.map(|of| of.0), Type::INT8),
            ],
        )
        .await?;
    let run = RunId(row.get(0));
    let what = match new.of {
        Some(of) => format!("{} of run {of}, job \"{}\" on {}", new.kind, new.job, new.target_name),
        None => format!("job \"{}\" on {}", new.job, new.target_name),
    };
    note_in_txn(session, run, "started", new.by, &what).await?;
    Ok(run)
}

/// Writes into the audit trail what was done about a run, in a transaction of its own.
pub async fn note(
    session: &mut Session,
    run: RunId,
    kind: &str,
    by: &str,
    detail: &str,
) -> Result<(), Error> {
    let event = event(&run, &kind, &by, &detail);
    session.transact(LASTING, fixed::EVENT_INSERT, &event).await.map(drop)
}

async fn note_in_txn(session: &Session, run: RunId, kind: &str, by: &str, detail: &str) -> Result<(), Error> {
    session.execute(fixed::EVENT_INSERT, &event(&run, &kind, &by, &detail)).await.map(drop)
}

fn event<'a>(run: &'a RunId, kind: &'a &str, by: &'a &str, detail: &'a &str) -> [Param<'a>; 4] {
    [(&run.0, Type::INT8), (kind, Type::TEXT), (by, Type::TEXT), (detail, Type::TEXT)]
}

/// Locks the run's row and reads its state.
pub async fn lock_in_txn(session: &Session, run: RunId) -> Result<RunState, StoreError> {
    let row = session.query_opt(fixed::RUN_LOCK, &[(&run.0, Type::INT8)]).await?;
    let row = row.ok_or_else(|| StoreError::Unreadable { run, what: "its row is gone".into() })?;
    state_of(&row, run)
}

/// Moves the run's state, if that is legal, and writes it into the audit trail. The only way a state changes.
pub async fn move_in_txn(
    session: &Session,
    run: RunId,
    asked: Move,
    reason: Option<&str>,
    by: &str,
) -> Result<RunState, StoreError> {
    let next = lock_in_txn(session, run).await?.step(asked)?;
    let reason = match next {
        RunState::Running | RunState::Complete => None,
        RunState::Paused | RunState::Blocked | RunState::Cancelled => {
            Some(reason.unwrap_or("no reason given"))
        }
    };
    let params = [(&run.0 as _, Type::INT8), (&next.as_str() as _, Type::TEXT), (&reason as _, Type::TEXT)];
    session.execute(fixed::RUN_STATE, &params).await?;
    note_in_txn(session, run, next.as_str(), by, reason.unwrap_or_default()).await?;
    Ok(next)
}

/// Sets knobs and writes what changed into the audit trail.
pub async fn set_knobs_in_txn(
    session: &Session,
    run: RunId,
    knobs: &Knobs,
    detail: &str,
    by: &str,
) -> Result<(), StoreError> {
    let text = knobs_json(knobs);
    session.execute(fixed::RUN_KNOBS, &[(&run.0, Type::INT8), (&text, Type::TEXT)]).await?;
    Ok(note_in_txn(session, run, "set", by, detail).await?)
}

/// Takes the pace of a job that was rewritten since: its knobs, and its text, so that the next comparison is
/// with this one.
pub async fn adopt_pace_in_txn(
    session: &Session,
    run: RunId,
    knobs: &Knobs,
    job_text: &str,
    detail: &str,
    by: &str,
) -> Result<(), StoreError> {
    let text = knobs_json(knobs);
    let params = [(&run.0 as _, Type::INT8), (&text as _, Type::TEXT), (&job_text as _, Type::TEXT)];
    session.execute(fixed::RUN_PACE, &params).await?;
    Ok(note_in_txn(session, run, "set", by, detail).await?)
}

fn knobs_json(knobs: &Knobs) -> String {
    // A struct of numbers always has a JSON form.
    serde_json::to_string(knobs).expect("knobs are plain data")
}

/// Asks something of a run, in a transaction of its own; gives the state that the run was moved to. The
/// COMMIT is flushed: an order must not be lost.
pub async fn request(
    session: &mut Session,
    run: RunId,
    ask: &Ask,
    reason: Option<&str>,
    by: &str,
) -> Result<Option<RunState>, StoreError> {
    session.answers_within(ANSWER_MAX);
    session.begin(LASTING).await?;
    let done = match ask {
        Ask::State(asked) => move_in_txn(session, run, *asked, reason, by).await.map(Some),
        Ask::Knobs(knobs, detail) => set_knobs_in_txn(session, run, knobs, detail, by).await.map(|()| None),
    };
    session.commit_or_rollback(done).await
}

/// The counters, added up.
pub async fn totals(session: &Session, run: RunId) -> Result<Totals, Error> {
    let row = session.query_one(fixed::RUN_TOTALS, &[(&run.0, Type::INT8)]).await?;
    let number = |column: &str| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
    Ok(Totals {
        rows_changed: number("rows_changed"),
        rows_passed: number("rows_passed"),
        sweeps_passed: number("sweeps_passed"),
        sweeps_total: number("sweeps_total"),
        rows_total: number("rows_total"),
        ranges_done: number("ranges_done"),
        ranges_open: number("ranges_open"),
        bad_rows: number("bad_rows"),
        retries: number("retries"),
        times: Times {
            working_ms: number("working_ms"),
            throttled_ms: number("throttled_ms"),
            paused_ms: number("paused_ms"),
            blocked_ms: number("blocked_ms"),
        },
    })
}
