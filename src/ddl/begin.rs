//! What has to be so before the first step of a phase: the run is complete before its contract, and the
//! server has said what the definitions mean.
//!
//! Must not know: how a step is made.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::door::Budget;
use super::error::StepError;
use super::expected::{self, Expected};
use super::holder::{Holders, key, shown};
use super::news::{StepNews, Tell};
use super::replace;
use super::sync::{self, Subject};
use super::target::{Target, target};
use crate::catalog::{self, Server, Table};
use crate::db::{Error, Pool, Session, sqlstate};
use crate::job::{Job, Phase, Step, StepKind};
use crate::plan::{self, Refusal};
use crate::run::RunKind;
use crate::sql::{LockMode, fixed};
use crate::store::{self, StoreError};

/// Who makes the steps.
#[derive(Clone, Debug)]
pub struct Maker {
    /// This process, told from all others.
    pub made_by: String,
    /// The command that makes the run complete, for messages.
    pub run: String,
    /// A person wants it to stop.
    pub stop: CancellationToken,
}

/// Two sessions: one works, one looks.
pub(super) struct Sessions {
    pub(super) session: Session,
    pub(super) watch: Session,
    pub(super) backend: i32,
    pub(super) is_pooled: bool,
}

/// What every command has to know before its first step.
pub(super) struct Prepared {
    pub(super) sessions: Sessions,
    pub(super) server: Server,
    pub(super) table: Table,
    pub(super) target: Target,
    pub(super) budget: Budget,
}

/// Finds the table, and how far its columns have got.
pub(super) async fn prepare(pool: &Pool, job: &Job) -> Result<Prepared, StepError> {
    let mut sessions = sessions(pool).await?;
    let server = catalog::server(&sessions.watch).await?;
    if server.standby {
        let message = format!("{} is a standby: nothing can be changed there", pool.address());
        return Err(StepError::TooEarly(format!("{message}\nhint: name the primary")));
    }
    let table = match plan::find_table(&sessions.watch, job).await {
        Ok(table) => table,
        Err(Refusal::Database(error)) => return Err(error.into()),
        Err(Refusal::Job(errors)) => return Err(StepError::Refused(errors)),
    };
    if !(matches!(table.kind.as_str(), "r" | "p") && table.persistence != "t") {
        return Err(StepError::TooEarly(format!("{} is not a table whose steps can be made", table.name)));
    }
    if !table.inheritance_free {
        let message = format!("other tables inherit from {}, and would be locked with it unseen", table.name);
        return Err(StepError::TooEarly(format!("{message}\nhint: name one of them, or use partitions")));
    }
    store::ensure(&mut sessions.session, &server.user, &server.database).await?;
    let mut target = target(&sessions.watch, table.relation, server.version).await?;
    (target.backend, target.is_pooled) = (sessions.backend, sessions.is_pooled);
    target.swaps = job.steps.contract.iter().filter(|step| step.kind == StepKind::Replace).cloned().collect();
    look_at_columns(&sessions.watch, job, &mut target).await?;
    let budget = Budget {
        stall: Duration::from_millis(job.limits.stall_ms.get().into()),
        patience: Duration::from_millis(job.limits.patience_ms.get().into()),
        deadlock_timeout: Duration::from_millis(server.deadlock_timeout_ms.unsigned_abs().into()),
    };
    Ok(Prepared { sessions, server, table, target, budget })
}

/// Whether the trigger that a job wants fires for every write of this table; true if it wants none.
pub async fn keeps_in_step(session: &Session, job: &Job, relation: u32) -> Result<bool, Error> {
    if job.steps.sync.is_none() {
        return Ok(true);
    }
    let target = target(session, relation, 0).await?;
    sync::fires(session, &target, job.name.as_str()).await
}

/// Which columns have been replaced by now.
pub(super) async fn look_at_columns(watch: &Session, job: &Job, target: &mut Target) -> Result<(), Error> {
    let relation = target.top().relation;
    let rows = store::steps(watch, job.name.as_str()).await?;
    (target.replaced, target.is_old_gone) =
        replace::replaced(watch, relation, (&target.swaps, &rows)).await?;
    let columns = catalog::columns(watch, relation).await?;
    target.columns = columns.into_iter().map(|column| column.name).collect();
    if let Some(sync) = &target.sync {
        let renamed = target.renamed(sync);
        target.sync.iter_mut().for_each(|sync| sync.renamed.clone_from(&renamed));
        sync::complete_facts(watch, target, job.name.as_str()).await?;
    }
    Ok(())
}

/// A step as messages name it.
pub(super) fn title(step: &Step) -> String {
    let Step { kind, name, .. } = step;
    match kind {
        StepKind::NotNull => format!("NOT NULL of {name}"),
        StepKind::Sync => "sync trigger".to_owned(),
        StepKind::Type => format!("type {name}"),
        StepKind::ForeignKey => format!("foreign key of {name}"),
        StepKind::Free => format!("step {name}"),
        StepKind::Replace => format!("swap of {name} and {}", step.definition),
        StepKind::Drop => format!("drop of column {name}"),
        StepKind::Check => format!("check {name}"),
        StepKind::Column => format!("column {name}"),
        StepKind::Index => format!("index {name}"),
        StepKind::UniqueIndex => format!("unique index {name}"),
    }
}

async fn sessions(pool: &Pool) -> Result<Sessions, Error> {
    let (session, watch) = (pool.session().await?, pool.session().await?);
    let row = session.query_one(fixed::DOOR_FACTS, &[]).await?;
    let backend: i32 = row.get("backend");
    let is_pooled = session.canceller().backend().await != Some(backend);
    if !is_pooled {
        for one in [&session, &watch] {
            one.query(fixed::DOOR_UNLIMITED, &[]).await?;
        }
    }
    Ok(Sessions { session, watch, backend, is_pooled })
}

/// Nothing follows a run before it is complete.
pub(super) async fn complete(
    watch: &Session,
    (job, target): (&Job, &Target),
    maker: &Maker,
) -> Result<(), StepError> {
    let (name, run) = (job.name.as_str(), &maker.run);
    let state = store::job_state(watch, name).await?;
    let (why, hint) = match state.as_str() {
        "complete" if job.steps.sync.is_none() || has_done_its_part(job, target) => return Ok(()),
        "complete" if !sync::fires(watch, target, name).await? => (
            "is complete, but its sync trigger does not fire, so that rows may have been written past it"
                .to_owned(),
            format!("pgbackfill expand of the job puts it in place; then fill what was missed: {run} --new-run"),
        ),
        "complete" if store::was_in_step(watch, name).await? => return Ok(()),
        "complete" => (
            "is complete, but its sync trigger was put in place after the run had begun, so that rows may have been written past it"
                .to_owned(),
            format!("fill what was missed: {run} --new-run"),
        ),
        "never run" => ("was never run in this database".to_owned(), format!("run it first: {run}")),
        "undone" => ("was undone".to_owned(), format!("run it again: {run} --new-run")),
        "complete with bad rows" => (
            "left rows in the quarantine".to_owned(),
            format!("mend them and run them again: pgbackfill retry {name}"),
        ),
        "complete, not proven" => (
            "is complete, but it is not proven that no row was missed".to_owned(),
            format!("prove it: {run}"),
        ),
        "paused" | "blocked" | "cancelled" => {
            (format!("is {state}"), format!("let it go on: pgbackfill resume {name}, then {run}"))
        }
        _ => (format!("is {state}"), format!("wait until it is complete: pgbackfill wait {name}")),
    };
    Err(StepError::TooEarly(format!(
        "job \"{name}\" {why}: nothing that builds upon it is made\nhint: {hint}"
    )))
}

/// What follows a run builds upon rows that were compared. After the names were swapped they cannot be any
/// more, and once all is done there is nothing to build.
pub(super) async fn verified(watch: &Session, (job, target): (&Job, &Target)) -> Result<(), StepError> {
    let name = job.name.as_str();
    let made = store::steps(watch, name).await?;
    let is_made = |step: &Step| {
        let kind = step.kind.as_str();
        made.iter().any(|row| {
            (row.phase.as_str(), row.kind.as_str(), row.name.as_str())
                == ("contract", kind, step.name.as_str())
                && row.is_done
        })
    };
    if !target.replaced.is_empty() || job.steps.contract.iter().all(is_made) {
        return Ok(());
    }
    let run = store::latest(watch, name, RunKind::Backfill).await.map_err(|error| match error {
        StoreError::Database(error) => error.into(),
        other => StepError::TooEarly(other.to_string()),
    })?;
    // The rows of a table without a key are known by the proof of the run.
    if run.is_some_and(|run| run.key.is_empty()) {
        return Ok(());
    }
    let within_s = job.steps.sync.is_none().then_some(job.verify.within_s as f64);
    let found = store::verification(watch, name, None).await?;
    let why = match store::unverified(watch, name, within_s).await? {
        Some(why) => why,
        None if found.is_some_and(|found| found.expressions != job.verify_fingerprint()) => {
            "its [verify] has changed since it was verified".to_owned()
        }
        None => return Ok(()),
    };
    let what = "nothing that builds upon it is made before its rows were compared";
    Err(StepError::TooEarly(format!(
        "job \"{name}\" is complete, but not verified: {why}; {what}\nhint: pgbackfill verify {name}"
    )))
}

/// A trigger that leads from the old column to the new one only, after they have been swapped.
fn has_done_its_part(job: &Job, target: &Target) -> bool {
    target.is_old_gone
        || !target.replaced.is_empty() && job.steps.sync.as_ref().is_some_and(|sync| sync.back.is_empty())
}

/// What the steps make, in the server's words. To be asked it wants the table's lock that readers have, and
/// so waits behind who changes the table, as a reader does.
pub(super) async fn definitions(
    sessions: &mut Sessions,
    (subject, phase): (&Subject<'_>, Phase),
    (budget, stop): (Budget, &CancellationToken),
    tell: Tell<'_>,
) -> Result<Expected, StepError> {
    let (began, mut holders, mut told) = (Instant::now(), Holders::default(), String::new());
    let steps = subject.job.steps.of(phase);
    let relations: Vec<_> = subject.target.nodes.iter().map(|node| node.relation).collect();
    loop {
        let found = expected::definitions(&mut sessions.session, subject, phase).await;
        let is_locked = |error: &StepError| matches!(error, StepError::Database(error) if error.sqlstate() == Some(sqlstate::LOCK_NOT_AVAILABLE));
        if !found.as_ref().is_err_and(is_locked) {
            return found;
        }
        let asked = (&relations[..], LockMode::AccessExclusive, sessions.backend);
        let found = holders.look(&sessions.watch, asked).await?;
        let found: Vec<_> = found.iter().collect();
        let who = shown(&found);
        if key(&found) != told {
            tell(&StepNews::Waits(who.clone()));
            told = key(&found);
        }
        if stop.is_cancelled() {
            return Err(StepError::Stopped);
        }
        if began.elapsed() >= budget.patience {
            let step = steps.first().map(title).unwrap_or_default();
            return Err(StepError::closed(step, began.elapsed(), who));
        }
    }
}
