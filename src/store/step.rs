//! The steps of expand and contract as rows: who makes one, and what was done.
//!
//! Must not know: what a step is, whether it is needed.

use std::time::Duration;

use serde::Serialize;
use tokio_postgres::types::Type;

use crate::db::{Error, Session};
use crate::sql::fixed;

/// A process that was not heard of for longer no longer makes its step.
pub const STEP_SILENCE_S_MAX: f64 = 10.0;

/// A step that a process wants to make.
#[derive(Clone, Debug)]
pub struct StepClaim<'a> {
    /// The job.
    pub job: &'a str,
    /// `expand` or `contract`.
    pub phase: &'a str,
    /// What it makes.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What the job says of it.
    pub definition: &'a str,
    /// The table.
    pub relation: u32,
    /// Its name.
    pub relation_name: &'a str,
    /// Who makes it: one process, told from all others.
    pub made_by: &'a str,
}

/// A step as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct StoredStep {
    /// The number of its row.
    pub id: i64,
    /// `expand` or `contract`.
    pub phase: String,
    /// What it makes.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What the job said of it.
    pub definition: String,
    /// Whether it is done.
    pub is_done: bool,
    /// Whether it was taken back.
    pub is_undone: bool,
    /// Who made it, or makes it.
    pub made_by: String,
    /// Whether it was there before.
    pub adopted: bool,
    /// How often it queued for its lock.
    pub tries: i32,
    /// How long it stood in the queue, in milliseconds.
    pub stood_ms: f64,
    /// How long it held its lock, in milliseconds.
    pub held_ms: f64,
    /// Whom it waits for.
    pub waits_for: Option<String>,
    /// For how many seconds its process was not heard of.
    pub silent_s: f64,
    /// When it was done, or else begun: RFC 3339, UTC, by the database's clock.
    pub at: String,
    /// How many seconds ago it was done.
    pub done_s_ago: Option<f64>,
}

/// Takes a step; none if another process is at work on it.
pub async fn claim_step(session: &Session, claim: &StepClaim<'_>) -> Result<Option<i64>, Error> {
    let StepClaim { job, phase, kind, name, definition, relation, relation_name, made_by } = claim;
    let row = session
        .query_opt(
            fixed::STEP_CLAIM,
            &[
                (job, Type::TEXT),
                (phase, Type::TEXT),
                (kind, Type::TEXT),
                (name, Type::TEXT),
                (definition, Type::TEXT),
                (relation, Type::OID),
                (relation_name, Type::TEXT),
                (made_by, Type::TEXT),
                (&STEP_SILENCE_S_MAX, Type::FLOAT8),
            ],
        )
        .await?;
    Ok(row.map(|row| row.get("id")))
}

/// The steps of a job.
pub async fn steps(session: &Session, job: &str) -> Result<Vec<StoredStep>, Error> {
    let rows = session.query(fixed::STEP_LIST, &[(&job, Type::TEXT)]).await?;
    Ok(rows
        .iter()
        .map(|row| StoredStep {
            id: row.get("id"),
            phase: row.get("phase"),
            kind: row.get("kind"),
            name: row.get("name"),
            definition: row.get("definition"),
            is_done: row.get::<_, &str>("state") == "done",
            is_undone: row.get::<_, &str>("state") == "undone",
            made_by: row.get("made_by"),
            adopted: row.get("adopted"),
            tries: row.get("tries"),
            stood_ms: row.get("stood_ms"),
            held_ms: row.get("held_ms"),
            waits_for: row.get("waits_for"),
            silent_s: row.get("silent_s"),
            at: row.get("at"),
            done_s_ago: row.get("done_s_ago"),
        })
        .collect())
}

/// Its process is still there, and waits for this, or for nothing.
pub async fn note_step(session: &Session, step: i64, waits_for: Option<&str>) -> Result<(), Error> {
    session.execute(fixed::STEP_NOTE, &[(&step, Type::INT8), (&waits_for, Type::TEXT)]).await?;
    Ok(())
}

/// It is done; or it was there already.
pub async fn step_is_done(session: &Session, step: i64, adopted: bool) -> Result<(), Error> {
    session.execute(fixed::STEP_DONE, &[(&step, Type::INT8), (&adopted, Type::BOOL)]).await?;
    Ok(())
}

/// Whether the sync trigger of a job was in place before its latest run began.
pub async fn was_in_step(session: &Session, job: &str) -> Result<bool, Error> {
    Ok(session.query_one(fixed::STEP_SINCE, &[(&job, Type::TEXT)]).await?.get(0))
}

/// For how many seconds the latest run of a job has been in its state.
pub async fn run_in_state_s(session: &Session, job: &str) -> Result<Option<f64>, Error> {
    let row = session.query_opt(fixed::RUN_COMPLETE_SINCE, &[(&job, Type::TEXT)]).await?;
    Ok(row.map(|row| row.get("seconds")))
}

/// What it made was taken back.
pub async fn step_is_undone(session: &Session, step: i64) -> Result<(), Error> {
    session.execute(fixed::STEP_UNDONE, &[(&step, Type::INT8)]).await?;
    Ok(())
}

/// Lets the batches of all runs on its table make way for so long; whether there are any.
pub async fn ask_for_way(session: &Session, step: i64, time: Duration) -> Result<bool, Error> {
    let params = [
        (&step as _, Type::INT8),
        (&time.as_secs_f64() as _, Type::FLOAT8),
        (&super::SILENCE_S_MAX as _, Type::FLOAT8),
    ];
    Ok(session.query_one(fixed::STEP_ASIDE, &params).await?.get(0))
}

/// The state of a job as `pgbackfill.state` tells it.
pub async fn job_state(session: &Session, job: &str) -> Result<String, Error> {
    Ok(session.query_one(fixed::JOB_STATE, &[(&job, Type::TEXT)]).await?.get(0))
}
