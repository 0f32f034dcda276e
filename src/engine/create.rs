//! How a run is made: a backfill of the whole table, a verification of a backfill, a repair of what a
//! verification has found, or an undo of a backfill.
//!
//! Must not know: whether there is a run already.

use super::{EngineError, Options};
use crate::catalog::Server;
use crate::change::Change;
use crate::db::Session;
use crate::event::Entry;
use crate::job::{Job, set_knobs};
use crate::plan::{self, Plan};
use crate::run::{Knobs, RunId, RunKind};
use crate::sql::{Ident, sync_function};
use crate::store::{self, Assignment, NewRun, NewVerification, Run, StoreError};

/// A run that this process is part of.
pub(super) struct JoinedRun {
    pub(super) run: Run,
    pub(super) entry: Entry,
    pub(super) assignment: Assignment,
    /// What a person should know.
    pub(super) notices: Vec<String>,
}

/// What a run is made of.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) job: &'a Job,
    pub(super) plan: &'a Plan,
    pub(super) server: &'a Server,
    pub(super) options: &'a Options,
    /// The run that it is about, if it is no backfill.
    pub(super) of: Option<&'a Run>,
}

/// Makes the run, and enters it.
pub(super) async fn create_in_txn(session: &Session, wanted: Wanted<'_>) -> Result<JoinedRun, EngineError> {
    let Wanted { job, plan, server, options, of } = wanted;
    if let (RunKind::Undo, Some(of)) = (options.kind, of) {
        store::settle_in_txn(session, of.id).await?;
    }
    let mut knobs = job.pace.knobs.clone();
    set(&mut knobs, options)?;
    let new = NewRun {
        job: job.name.as_str(),
        fingerprint: &job.fingerprint(),
        definition: &job.definition(),
        job_text: &job.text(),
        knobs: &knobs,
        target: plan.table.relation,
        target_name: &plan.table.name.to_string(),
        key: &plan.walk.key,
        // What an expression means is what it meant when the rows were changed.
        settings: of.map_or(&server.settings, |of| &of.settings),
        system_identifier: &server.system_identifier,
        timeline: server.timeline,
        by: &options.by,
        kind: options.kind,
        of: of.map(|of| of.id),
    };
    let id = store::create_in_txn(session, &new).await?;
    match (options.kind, of) {
        (RunKind::Backfill | RunKind::Undo, _) | (_, None) => add_leaves_in_txn(session, id, plan).await?,
        (RunKind::Verify, Some(of)) => begin_verification_in_txn(session, id, job, plan, of.id).await?,
        (RunKind::Repair, Some(of)) => store::begin_repair_in_txn(session, id, of.id).await?,
    }
    let not_kept = keep_in_txn(session, id, wanted).await?;
    let missing = || StoreError::Unreadable { run: id, what: "it cannot be found after it was made".into() };
    let run = store::latest(session, job.name.as_str(), options.kind).await?.ok_or_else(missing)?;
    let left_out = plan.left_out.iter().map(|why| format!("not compared: {why}"));
    let notices = advice(job, server).into_iter().chain(left_out).chain(not_kept).collect();
    Ok(JoinedRun { assignment: assignment(&run), run, entry: Entry::Started, notices })
}

/// Lets a backfill keep the values that it replaces, where it is to; gives what a person should know if it
/// cannot.
async fn keep_in_txn(
    session: &Session,
    run: RunId,
    wanted: Wanted<'_>,
) -> Result<Option<String>, EngineError> {
    let Wanted { plan, server, options, .. } = wanted;
    if options.kind != RunKind::Backfill || !plan.keeps.yes {
        return Ok(None);
    }
    let old = plan::old_values(run.0, plan, &plan.columns, server.version);
    let Some(why) = store::keep_old_values_in_txn(session, run, &old).await? else { return Ok(None) };
    let what =
        format!("the values that the run replaces cannot be kept, so that it could not be undone: {why}");
    let hint = format!("GRANT CREATE ON SCHEMA pgbackfill TO {}", Ident(server.user.clone()));
    if plan.keeps.is_asked {
        let message = format!("{what}\nhint: {hint}; or write values = \"off\" under [undo]");
        return Err(EngineError::NotNow(message));
    }
    Ok(Some(format!("{what} ({hint})")))
}

async fn add_leaves_in_txn(session: &Session, run: RunId, plan: &Plan) -> Result<(), StoreError> {
    for leaf in &plan.leaves {
        let order = plan.ordering.of(leaf);
        let bound = plan.walk.leaf(leaf.name.clone(), order).last(session).await?;
        store::add_leaf_in_txn(session, run, leaf, order, bound.as_ref(), 0).await?;
    }
    Ok(())
}

/// First the rows of the backfill are read, then those that came after its last key.
async fn begin_verification_in_txn(
    session: &Session,
    run: RunId,
    job: &Job,
    plan: &Plan,
    of: RunId,
) -> Result<(), StoreError> {
    let bounds = store::leaf_bounds(session, of).await?;
    for leaf in &plan.leaves {
        let order = plan.ordering.of(leaf);
        let bound = match bounds.get(&leaf.relation) {
            Some(bound) => bound.clone(),
            // The backfill has walked it by block: where it ended in the order of keys is not known.
            None => plan.walk.leaf(leaf.name.clone(), order).last(session).await?,
        };
        store::add_leaf_in_txn(session, run, leaf, order, bound.as_ref(), 0).await?;
    }
    let compared = match &plan.change {
        Change::Verify(verify) => verify.compared(),
        Change::Update(_) | Change::Undo(_) => vec![],
    };
    let sync = job.steps.sync.as_ref().map(|_| sync_function(job.name.as_str()).name.0);
    let expressions = job.verify_fingerprint();
    let new =
        NewVerification { run, of, expressions: &expressions, compared: &compared, sync: sync.as_deref() };
    Ok(store::begin_verification_in_txn(session, &new).await?)
}

/// The knobs that this process was told to set, beside those that are in force.
pub(super) fn set(knobs: &mut Knobs, options: &Options) -> Result<(), EngineError> {
    let changes = options.set.iter().map(|(knob, value)| (knob.as_str(), value.as_str()));
    set_knobs(knobs, changes)
        .map_err(|why| EngineError::InTheWay(format!("the pace of the run cannot be set so: {why}")))
}

/// What a run asks of a process that has just entered it.
pub(super) fn assignment(run: &Run) -> Assignment {
    Assignment {
        state: run.state,
        reason: run.reason.clone(),
        knobs: run.knobs.clone(),
        other_workers: 0,
        other_processes: 0,
    }
}

/// A lock that we wait for longer than the server waits before it looks for deadlocks can make the
/// application the victim.
fn advice(job: &Job, server: &Server) -> Option<String> {
    let ours = job.limits.lock_timeout_ms.get();
    (i64::from(ours) >= i64::from(server.deadlock_timeout_ms)).then(|| {
        format!(
            "lock_timeout is {ours} ms, not below the server's deadlock_timeout of {} ms: in a deadlock the application could be the victim",
            server.deadlock_timeout_ms
        )
    })
}
