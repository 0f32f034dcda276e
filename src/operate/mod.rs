//! What a person asks of a run from elsewhere: pause, resume, cancel, set; each with its refusals.
//!
//! Must not know: which processes will hear it, where it was asked.

use crate::db::{Session, sqlstate};
use crate::job::{knob_changes, set_knobs};
use crate::run::{Move, RunKind, RunState};
use crate::store::{self, Ask, Run, StoreError};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// The run's state does not allow it.
    #[error("{0}")]
    Refused(String),
    /// What was asked is not well put.
    #[error("{0}")]
    Usage(String),
    /// The database did not do it.
    #[error(transparent)]
    Store(StoreError),
}

/// What became of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The state from now on.
    pub state: RunState,
    /// It was to go on, and nothing will happen before the job is run: no process is at work.
    pub is_idle: bool,
}

/// Pauses, resumes or cancels a run.
pub async fn change_state(
    session: &mut Session,
    run: &Run,
    asked: Move,
    reason: Option<&str>,
    by: &str,
) -> Result<Done, OperateError> {
    let undone = asked == Move::Resume && run.kind == RunKind::Backfill;
    if undone && store::is_undone(session, run.id).await.map_err(|error| OperateError::Store(error.into()))? {
        let what = format!("run {} of job \"{}\" was undone, so that it cannot go on", run.id, run.job);
        return Err(OperateError::Refused(format!(
            "{what}\nhint: pgbackfill run with --new-run starts over"
        )));
    }
    let state = ask(session, run, &Ask::State(asked), reason, by).await?.unwrap_or(run.state);
    // What was asked is done: that this cannot be read is no failure of it.
    let is_idle =
        asked == Move::Resume && store::live(session, run.id).await.is_ok_and(|live| live.is_empty());
    Ok(Done { state, is_idle })
}

/// Sets knobs; gives what changed, in words; empty: nothing did.
pub async fn set<'a>(
    session: &mut Session,
    run: &Run,
    changes: impl IntoIterator<Item = (&'a str, &'a str)>,
    by: &str,
) -> Result<Vec<String>, OperateError> {
    if run.state == RunState::Complete {
        let what = format!("run {} of job \"{}\" is complete", run.id, run.job);
        return Err(OperateError::Refused(format!("{what}; there is nothing left to pace")));
    }
    let mut knobs = run.knobs.clone();
    set_knobs(&mut knobs, changes).map_err(OperateError::Usage)?;
    let changed = knob_changes(&run.knobs, &knobs);
    if !changed.is_empty() {
        ask(session, run, &Ask::Knobs(knobs, changed.join(", ")), None, by).await?;
    }
    Ok(changed)
}

/// `paused by ada@db1: replica lag`
#[must_use]
pub fn reason(what: &str, by: &str, why: Option<&str>) -> String {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("{what} by {by}{why}")
}

async fn ask(
    session: &mut Session,
    run: &Run,
    ask: &Ask,
    reason: Option<&str>,
    by: &str,
) -> Result<Option<RunState>, OperateError> {
    store::request(session, run.id, ask, reason, by).await.map_err(|error| match error {
        StoreError::Illegal(illegal) => {
            let hint = format!("hint: pgbackfill status {} shows where it stands", run.job);
            OperateError::Refused(format!("run {} of job \"{}\": {illegal}\n{hint}", run.id, run.job))
        }
        StoreError::Database(error) if error.sqlstate() == Some(sqlstate::UNIQUE_VIOLATION) => {
            let hint = "hint: only the latest run of a job can be resumed";
            OperateError::Refused(format!(
                "another run of job \"{}\" took the place of run {}\n{hint}",
                run.job, run.id
            ))
        }
        other => OperateError::Store(other),
    })
}
