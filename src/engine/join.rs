//! How a process comes to a run: it makes one, joins one, resumes one, or finds that something is in the way.
//!
//! Must not know: workers.

use super::create::{JoinedRun, Wanted, assignment, create_in_txn, set};
use super::subject::{differs, subject};
use super::{EngineError, Options, Which};
use crate::catalog::Server;
use crate::db::{NextAct, Session};
use crate::event::Entry;
use crate::job::{Job, knob_changes};
use crate::plan::Plan;
use crate::run::{Knobs, Move, RunId, RunKind, RunState};
use crate::sql::settings::{FLUSHED, PLANNING};
use crate::store::{self, Run, StoreError};

/// What was found.
pub(super) enum Joined {
    /// A run to take part in.
    Run(Box<JoinedRun>),
    /// The run is complete.
    AlreadyComplete(RunId),
}

/// How this process comes to the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// For the first time.
    New,
    /// From the server where the run was before.
    Following,
}

/// What to do about the latest run of the job.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// There is none, or another one is wanted.
    Create,
    /// It is unfinished, no process is at it, and another one is wanted.
    Replace,
    /// Help, or go on.
    GoOn,
    /// Nothing is left.
    Complete,
    /// Not like this.
    InTheWay(String),
}

/// Joins the job's run. Several processes may come at the same moment: one decides, the others wait. A
/// process that has left a run on another server (`follows`) goes on with that one, or with what takes its
/// place.
pub(super) async fn join(
    session: &mut Session,
    job: &Job,
    plan: &Plan,
    server: &Server,
    options: &Options,
    follows: Option<RunId>,
) -> Result<Joined, EngineError> {
    let mut failures = 0;
    loop {
        session.begin(PLANNING).await?;
        let joined = join_in_txn(session, job, plan, server, options, follows).await;
        match session.commit_or_rollback(joined).await {
            Err(error) if failures < 5 && is_passing(&error) => failures += 1,
            ended => return ended,
        }
    }
}

/// Another session held a lock for longer than we wait.
fn is_passing(error: &EngineError) -> bool {
    matches!(error, EngineError::Store(StoreError::Database(error)) if error.next_act() == NextAct::Retry)
}

async fn join_in_txn(
    session: &Session,
    job: &Job,
    plan: &Plan,
    server: &Server,
    options: &Options,
    follows: Option<RunId>,
) -> Result<Joined, EngineError> {
    // That a run exists must not be forgotten by a crash.
    session.batch_execute(FLUSHED).await?;
    store::lock_table_in_txn(session).await?;
    let of = subject(session, job, plan, server, options.kind).await?;
    let latest = store::latest(session, job.name.as_str(), options.kind).await?;
    let wanted = Wanted { job, plan, server, options, of: of.as_ref() };
    let live = match &latest {
        Some(run) => store::live(session, run.id).await?.len(),
        None => 0,
    };
    let which = match (follows, &latest) {
        (None, _) => options.which,
        (Some(follows), Some(latest)) if latest.id >= follows => Which::Current,
        // The run was lost with its server; one before it is another matter.
        (Some(_), _) => Which::New,
    };
    let arrival = if follows.is_some() { Arrival::Following } else { Arrival::New };
    match (decide(latest.as_ref(), wanted, which, live), latest) {
        (Decision::InTheWay(why), _) => Err(EngineError::InTheWay(why)),
        (Decision::Complete | Decision::GoOn, Some(run))
            if run.kind == RunKind::Backfill && store::is_undone(session, run.id).await? =>
        {
            let what = format!("run {} of job \"{}\" was undone", run.id, run.job);
            Err(EngineError::InTheWay(format!("{what}\nhint: --new-run starts over from the beginning")))
        }
        (Decision::Complete, Some(run)) => Ok(Joined::AlreadyComplete(run.id)),
        (Decision::GoOn, Some(run)) => go_on_in_txn(session, job, run, live, options, arrival).await,
        (Decision::Replace, Some(run)) => {
            store::move_in_txn(session, run.id, Move::Cancel, Some("a new run took its place"), &options.by)
                .await?;
            Ok(Joined::Run(Box::new(create_in_txn(session, wanted).await?)))
        }
        (_, _) => Ok(Joined::Run(Box::new(create_in_txn(session, wanted).await?))),
    }
}

fn decide(latest: Option<&Run>, wanted: Wanted<'_>, which: Which, live: usize) -> Decision {
    let Some(run) = latest else { return Decision::Create };
    let Wanted { job, plan, server, of, .. } = wanted;
    let finished = matches!(run.state, RunState::Complete | RunState::Cancelled);
    // Another look is another run; and one of another backfill says nothing about this one.
    let is_once = run.kind == RunKind::Undo;
    let is_other = of.is_some_and(|of| finished && !is_once || run.of != Some(of.id));
    if which == Which::New || is_other {
        return match (finished, live) {
            (true, _) => Decision::Create,
            (false, 0) => Decision::Replace,
            (false, live) => Decision::InTheWay(still_live(run, live)),
        };
    }
    // What another run is about was compared with the job before.
    if of.is_none()
        && let Some(why) = differs(run, job, plan, server)
    {
        return Decision::InTheWay(why);
    }
    match run.state {
        RunState::Complete => Decision::Complete,
        RunState::Cancelled => Decision::InTheWay(cancelled(run)),
        RunState::Running | RunState::Paused | RunState::Blocked => Decision::GoOn,
    }
}

fn still_live(run: &Run, live: usize) -> String {
    format!(
        "run {} of job \"{}\" is {} and has {live} live process{}\nhint: pgbackfill cancel {} first, or leave --new-run out to help it",
        run.id,
        run.job,
        run.state,
        if live == 1 { "" } else { "es" },
        run.job
    )
}

fn cancelled(run: &Run) -> String {
    format!(
        "run {} of job \"{}\" was cancelled: {}\nhint: pgbackfill resume {} lets it go on from its checkpoint, --new-run starts from the \
         beginning (rows that were changed are changed again)",
        run.id,
        run.job,
        run.reason.as_deref().unwrap_or("no reason given"),
        run.job
    )
}

async fn go_on_in_txn(
    session: &Session,
    job: &Job,
    mut run: Run,
    live: usize,
    options: &Options,
    arrival: Arrival,
) -> Result<Joined, EngineError> {
    let mut notices = Vec::new();
    // A process that follows the run to another server has read no reason, and mended nothing.
    if run.state == RunState::Blocked && arrival == Arrival::New {
        let reason = run.reason.take().unwrap_or_default();
        run.state = store::move_in_txn(session, run.id, Move::Resume, None, &options.by).await?;
        notices.push(format!("the run was blocked ({reason}); trying again"));
    }
    notices.extend(settle_pace_in_txn(session, job, &mut run, live, options).await?);
    let before = run.knobs.clone();
    // A process that follows the run has set them before; what a person has set since is in force.
    if arrival == Arrival::New {
        set(&mut run.knobs, options)?;
    }
    if run.knobs != before {
        let detail = knob_changes(&before, &run.knobs).join(", ");
        store::set_knobs_in_txn(session, run.id, &run.knobs, &detail, &options.by).await?;
    }
    let entry = if live == 0 { Entry::Resumed } else { Entry::Joined };
    Ok(Joined::Run(Box::new(JoinedRun { assignment: assignment(&run), run, entry, notices })))
}

/// What a person has set on the live run outlives restarts; only a job whose own pace was rewritten since
/// goes before it.
async fn settle_pace_in_txn(
    session: &Session,
    job: &Job,
    run: &mut Run,
    live: usize,
    options: &Options,
) -> Result<Option<String>, EngineError> {
    let wanted = &job.pace.knobs;
    let rewritten = pace_of(&run.job_text, job).is_none_or(|before| before != *wanted);
    if run.knobs == *wanted {
        return Ok(None);
    }
    if rewritten && live == 0 {
        let detail = format!("the job's pace was rewritten: {}", knob_changes(&run.knobs, wanted).join(", "));
        store::adopt_pace_in_txn(session, run.id, wanted, &job.text(), &detail, &options.by).await?;
        run.knobs.clone_from(wanted);
        return Ok(None);
    }
    let is_told = options.set.is_empty();
    Ok(is_told.then(|| {
        format!(
            "the pace of this run was set from elsewhere and stays in force (against the job: {}); pgbackfill set {} changes it",
            knob_changes(wanted, &run.knobs).join(", "),
            run.job
        )
    }))
}

/// The pace in the text that the run was last given.
fn pace_of(text: &str, job: &Job) -> Option<Knobs> {
    Job::from_toml(job.name.clone(), "stored", text).ok().map(|before| before.pace.knobs)
}
