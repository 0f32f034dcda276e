//! Everything that is shown of a run.
//!
//! Must not know: how it is laid out.

use serde::Serialize;

use super::find::{self, FindError};
use crate::db::Session;
use crate::run::{Knobs, RunId, RunKind, RunState, Totals};
use crate::store::{
    self, BadRow, KeptValues, Listed, Process, Proof, Read, StoredStep, StripesNow, Verification,
};

/// Rows of the quarantine that are shown.
const BAD_ROWS_SHOWN: i64 = 5;

/// A run as it stands.
#[derive(Debug, Serialize)]
pub struct View {
    /// Version of this form.
    pub schema: u32,
    /// The run.
    pub run: RunId,
    /// The job's name.
    pub job: String,
    /// What it is for.
    pub kind: RunKind,
    /// The target, as PostgreSQL would quote it.
    pub table: String,
    /// Its state.
    pub state: RunState,
    /// Why, unless it is running or complete.
    pub reason: Option<String>,
    /// When it came to this state: RFC 3339, UTC, by the database's clock.
    pub state_at: String,
    /// When it began.
    pub created_at: String,
    /// Who began it: `user@host`.
    pub created_by: String,
    /// Its counters.
    pub progress: Totals,
    /// Rows passed of all rows.
    pub percent: Option<u64>,
    /// Changed rows per second, over all processes.
    pub rows_per_s: f64,
    /// Seconds until every row is passed.
    pub eta_s: Option<u64>,
    /// Its knobs.
    pub knobs: Knobs,
    /// In how many stripes it is walked; none before the first range.
    pub order: Option<StripesNow>,
    /// Whether a walk by block has missed no row, once it has ended.
    pub proof: Option<Proof>,
    /// What may hold it back, while a process works.
    pub guard: Option<Read>,
    /// The processes at work.
    pub processes: Vec<Process>,
    /// The latest rows of the quarantine.
    pub bad_rows: Vec<BadRow>,
    /// The steps before the run and after it.
    pub steps: Vec<StoredStep>,
    /// What the latest verification of the latest backfill has found out; none: there is none that has ended.
    pub verification: Option<Verification>,
    /// What the job's runs have replaced, and is kept.
    pub kept: Vec<KeptValues>,
    /// Whether an undo of the run has begun.
    pub is_undone: bool,
    /// Why that backfill does not count as verified, where there is a verification.
    pub unverified: Option<String>,
}

/// The latest run of the job, or without one the latest run that is not at its end.
pub async fn view(session: &Session, job: Option<&str>) -> Result<View, FindError> {
    let listed = match job {
        Some(job) => {
            let run = find::current(session, job).await?;
            store::list(session, Some(&run.job)).await?.into_iter().find(|listed| listed.run == run.id)
        }
        None => current(store::list(session, None).await?),
    };
    let listed = listed.ok_or(FindError::NothingRun)?;
    let progress = store::totals(session, listed.run).await?;
    let processes = store::live(session, listed.run).await?;
    let guard = if processes.is_empty() { None } else { store::guard_now(session).await? };
    let sum = |speed: fn(&Process) -> f64| processes.iter().map(speed).fold(0.0, |sum, one| sum + one);
    let verification = store::verification(session, &listed.job, None).await?;
    let unverified = match &verification {
        Some(_) => store::unverified(session, &listed.job, None).await?,
        None => None,
    };
    Ok(View {
        schema: 1,
        verification,
        unverified,
        kept: store::kept_values(session, &listed.job).await?,
        is_undone: store::is_undone(session, listed.run).await?,
        percent: progress.percent(listed.state),
        eta_s: progress.eta_s(listed.state, sum(|process| process.rows_passed_per_s)),
        rows_per_s: sum(|process| process.rows_per_s),
        bad_rows: store::bad_rows(session, listed.run, BAD_ROWS_SHOWN).await?,
        steps: store::steps(session, &listed.job).await?,
        run: listed.run,
        job: listed.job,
        kind: listed.kind,
        table: listed.table,
        state: listed.state,
        reason: listed.reason,
        state_at: listed.state_at,
        created_at: listed.created_at,
        created_by: listed.created_by,
        knobs: listed.knobs,
        order: store::latest_stripes(session, listed.run).await?,
        proof: store::proof(session, listed.run).await?,
        guard: guard.map(|guard| of_run(guard, listed.run)),
        progress,
        processes,
    })
}

/// Without what is about other runs' tables.
fn of_run(mut guard: Read, run: RunId) -> Read {
    guard.readings.retain(|reading| reading.run.is_none_or(|of| of == run.0));
    guard
}

/// The latest run that is not at its end, else the latest.
fn current(mut all: Vec<Listed>) -> Option<Listed> {
    let ended = |run: &Listed| matches!(run.state, RunState::Complete | RunState::Cancelled);
    let at = all.iter().position(|run| !ended(run)).unwrap_or(0);
    if all.is_empty() { None } else { Some(all.swap_remove(at)) }
}
