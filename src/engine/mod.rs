//! Runs a job: enters its run, keeps a crew of workers at it, and leaves when there is nothing left or somebody says so.
//!
//! Must not know: the terminal, the environment, how events are shown.

mod batch;
mod brakeman;
mod braking;
mod control;
mod crew;
mod enter;
mod finish;
mod guardian;
mod hand;
mod held;
mod holding;
mod home;
mod ledger;
mod mend;
mod own;
mod past;
mod retry;
mod shared;
mod size;
mod tally;
mod way;
mod worker;

pub use mend::{Fate, Mended, Retried, retry_bad_rows};

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::catalog;
use crate::db::{self, NextAct, Pool, Session};
use crate::event::{Event, Outcome, Summary};
use crate::job::{Job, OwnSignal};
use crate::plan::{self, Refusal};
use crate::run::RunId;
use crate::store::{self, SchemaError, StoreError};
use enter::Entrance;
use home::{Home, Place};
use shared::Shared;

/// Connections of a process besides those of its workers: one to steer by, one to guard with, and one for the job's own signals if it has
/// any.
#[must_use]
pub fn connections_beside(signals: &[OwnSignal]) -> usize {
    2 + usize::from(!signals.is_empty())
}

/// What to do about a run that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// Help it, go on with it, or start the first one.
    #[default]
    Current,
    /// Start another one from the beginning.
    New,
}

/// How a process takes part.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which run.
    pub which: Which,
    /// Workers of this process; by default what the knobs say.
    pub workers: Option<NonZeroU32>,
    /// Leave after about this many rows were changed by this process.
    pub max_rows: Option<NonZeroU64>,
    /// Knobs to turn when the run is entered, each a name and a value: the same as `set` from elsewhere.
    pub turns: Vec<(String, String)>,
    /// This host's name.
    pub host: String,
    /// Who is asking, for the audit trail: `user@host`.
    pub by: String,
}

/// What the caller wants of a running engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Go on.
    NotYet,
    /// Finish or cancel the batch in hand, then leave.
    Drain,
}

/// Where events go. Sending never waits; nobody listening is no error.
pub type Events = mpsc::UnboundedSender<Event>;

/// Why a process could not take part in a run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The job does not fit the database: change the job.
    #[error("{0}")]
    Job(crate::job::JobErrors),
    /// Another run has to be dealt with first.
    #[error("{0}")]
    InTheWay(String),
    /// The run is not in a state for this, or its table is not the one that was planned.
    #[error("{0}")]
    NotNow(String),
    /// There is no database to work with: try again later, or elsewhere.
    #[error("{0}")]
    Unreachable(String),
    /// The server can be reached, but not for writing.
    #[error("{address} is a standby and cannot be written to\nhint: connect to the primary")]
    Standby {
        /// Which server.
        address: String,
    },
    /// The address leads to another server than the one where the run was entered.
    #[error(
        "{0}\nhint: connect to the run's server; where its database was copied to, --new-run starts from the beginning"
    )]
    Foreign(String),
    /// The control schema is not usable.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A statement on the control schema failed.
    #[error(transparent)]
    Store(StoreError),
    /// A task panicked: a fault of this program.
    #[error(
        "a part of this process failed: {0}\nhint: this is a bug; what was committed is safe, and running the job again goes on"
    )]
    Panic(String),
}

impl From<db::Error> for EngineError {
    fn from(error: db::Error) -> Self {
        match error.next_act() {
            NextAct::Reconnect => Self::Unreachable(error.to_string()),
            // A database that lets nobody in is none.
            _ if matches!(error, db::Error::Refused { .. }) => Self::Unreachable(error.to_string()),
            _ => Self::Store(StoreError::Database(error)),
        }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database(error) => error.into(),
            other => Self::Store(other),
        }
    }
}

impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Job(errors) => Self::Job(errors),
            Refusal::Database(error) if error.next_act() == NextAct::Retry => Self::InTheWay(format!(
                "the job's table cannot be looked at: {error}\nhint: another session has locked it; pg_locks shows which, try again when it has ended"
            )),
            Refusal::Database(error) => error.into(),
        }
    }
}

/// Takes part in the job's run until it is complete or `stop` says so. `Event::Left` is the last event.
///
/// # Errors
/// See [`EngineError`]; a run that needs a person is no error but an [`Outcome`].
pub async fn run(
    pool: &Pool,
    job: &Job,
    options: &Options,
    events: &Events,
    stop: watch::Receiver<Stop>,
) -> Result<Summary, EngineError> {
    let ran = take_part(pool, job, options, events, stop).await;
    if ran.is_err() {
        // The next process must not have to wait for what this one has left open.
        pool.end_lost().await;
    }
    ran
}

async fn take_part(
    pool: &Pool,
    job: &Job,
    options: &Options,
    events: &Events,
    stop: watch::Receiver<Stop>,
) -> Result<Summary, EngineError> {
    let (mut now, mut before, mut left) = (options.clone(), None, None);
    loop {
        let (summary, moved) = return_to(pool, job, &now, left.as_ref(), events, stop.clone()).await?;
        let summary = added(summary, before.as_ref());
        let Some(Moved { from, what, workers }) = moved.filter(|_| *stop.borrow() == Stop::NotYet) else {
            let _ = events.send(Event::Left(summary.clone()));
            return Ok(summary);
        };
        let _ = events.send(Event::Notice { message: format!("{what}; everything is read again") });
        pool.renew();
        let rows = |max: NonZeroU64| max.get().saturating_sub(summary.rows_changed_here).max(1);
        now =
            Options { max_rows: options.max_rows.and_then(|max| NonZeroU64::new(rows(max))), workers, ..now };
        left = Some(Left { home: from, run: summary.run });
        before = Some(summary);
    }
}

/// The first time a server that is not there is an error at once; a new primary is looked for as a lost one is.
async fn return_to(
    pool: &Pool,
    job: &Job,
    options: &Options,
    left: Option<&Left>,
    events: &Events,
    mut stop: watch::Receiver<Stop>,
) -> Result<(Summary, Option<Moved>), EngineError> {
    let (began, mut pauses) = (Instant::now(), retry::back_off());
    loop {
        let error = match stay(pool, job, options, left, events, stop.clone()).await {
            Err(error @ (EngineError::Unreachable(_) | EngineError::Standby { .. })) => error,
            other => return other,
        };
        let is_over = began.elapsed() > job.limits.reconnect_timeout();
        if left.is_none() || is_over || *stop.borrow() != Stop::NotYet {
            return Err(error);
        }
        let pause = pauses.next().unwrap_or_default();
        let wait_ms = pause.as_millis() as u64;
        let _ = events.send(Event::Retrying {
            worker: None,
            sqlstate: None,
            message: error.to_string(),
            wait_ms,
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared::changed(&mut stop) => {}
        }
    }
}

/// A run that goes on elsewhere.
struct Moved {
    from: Home,
    what: String,
    /// Workers of this process, unless somebody has turned the run's knob.
    workers: Option<NonZeroU32>,
}

/// Where this process was before.
struct Left {
    home: Home,
    run: RunId,
}

/// What this process did on one server after the other.
fn added(summary: Summary, before: Option<&Summary>) -> Summary {
    let Some(before) = before else { return summary };
    Summary {
        rows_changed_here: summary.rows_changed_here + before.rows_changed_here,
        batches_here: summary.batches_here + before.batches_here,
        retries_here: summary.retries_here + before.retries_here,
        elapsed_ms: summary.elapsed_ms + before.elapsed_ms,
        halted_ms: summary.halted_ms + before.halted_ms,
        ..summary
    }
}

/// Takes part until the run ends or its database has moved; then says what has happened, too.
async fn stay(
    pool: &Pool,
    job: &Job,
    options: &Options,
    left: Option<&Left>,
    events: &Events,
    stop: watch::Receiver<Stop>,
) -> Result<(Summary, Option<Moved>), EngineError> {
    let began = Instant::now();
    let mut session = pool.session().await?;
    let server = writable(&session, pool).await?;
    match left.map(|left| left.home.place(&server.identity())) {
        Some(Place::Behind(what)) => {
            drop(session);
            pool.renew();
            return Err(EngineError::Unreachable(what));
        }
        Some(Place::Foreign(what)) => return Err(EngineError::Foreign(what)),
        Some(Place::Home | Place::Later(_)) | None => {}
    }
    let plan = plan::preflight(&mut session, job, &server.user).await?;
    store::ensure(&mut session, &server.user, &server.database).await.map_err(schema_error)?;
    let entered =
        match enter::enter(&mut session, job, &plan, &server, options, left.map(|left| left.run)).await? {
            Entrance::Open(entered) => entered,
            Entrance::Complete(run) => return Ok((already_complete(&session, run, job).await?, None)),
        };
    for message in &entered.notices {
        let _ = events.send(Event::Notice { message: message.clone() });
    }
    let knobs = entered.run.knobs.clone();
    let wanted = options.workers.unwrap_or(knobs.workers);
    pool.resize(wanted.get() as usize + connections_beside(&job.signals));
    let _ = events.send(Event::Entered {
        run: entered.run.id,
        job: job.name.to_string(),
        table: plan.table.name.to_string(),
        entry: entered.entry,
        knobs,
    });
    let shared = Arc::new(Shared::new(pool, job, plan, &server, *entered, options, events, stop));
    let worked = crew::work(&shared, session).await;
    // Whom it has been away from for long is not asked once more.
    if matches!(worked, Err(EngineError::Unreachable(_)))
        && shared.unreached_for() < shared.limits.reconnect_timeout()
    {
        say_good_bye(&shared).await;
    }
    let mut verdict = worked?;
    let moved = verdict.moved.take();
    let moved = moved.map(|what| Moved { from: shared.home.clone(), what, workers: shared.own_workers() });
    Ok((leave(&shared, verdict, began).await, moved))
}

fn schema_error(error: SchemaError) -> EngineError {
    match error {
        SchemaError::Database(error) => error.into(),
        other => other.into(),
    }
}

/// The server's facts; a standby is refused.
async fn writable(session: &Session, pool: &Pool) -> Result<catalog::Server, EngineError> {
    let server = catalog::server(session).await?;
    if server.standby {
        return Err(EngineError::Standby { address: pool.address().to_owned() });
    }
    Ok(server)
}

async fn already_complete(session: &Session, run: RunId, job: &Job) -> Result<Summary, EngineError> {
    let totals = store::totals(session, run).await?;
    Ok(Summary {
        run,
        job: job.name.to_string(),
        outcome: if totals.bad_rows > 0 { Outcome::CompleteWithBadRows } else { Outcome::AlreadyComplete },
        reason: None,
        rows_changed_here: 0,
        batches_here: 0,
        retries_here: 0,
        elapsed_ms: 0,
        halted_ms: 0,
        progress: control::progress(&totals),
    })
}

/// Whoever is asked to stop does not wait for longer than this to say so.
const GOOD_BYE_MAX: Duration = Duration::from_secs(5);

/// Tells the database, if it can be reached in time, that this process is gone; and reads how far the run has got.
async fn say_good_bye(shared: &Shared) -> Option<store::Totals> {
    tokio::time::timeout(GOOD_BYE_MAX, good_bye(shared)).await.ok().flatten()
}

async fn good_bye(shared: &Shared) -> Option<store::Totals> {
    let mut session = shared.session().await.ok()?;
    // Whoever looks later finds a process that is silent; that is as good.
    let _ = store::leave(&mut session, shared.run.id, &shared.process, shared.tally.retries()).await;
    let _ = store::leave_guard(&mut session, &shared.process).await;
    store::totals(&session, shared.run.id).await.ok()
}

/// Says good-bye and adds up.
async fn leave(shared: &Shared, verdict: crew::Verdict, began: Instant) -> Summary {
    let progress = say_good_bye(shared)
        .await
        .map_or_else(|| shared.last_progress(), |totals| control::progress(&totals));
    let outcome = match verdict.outcome {
        Outcome::Complete if progress.bad_rows > 0 => Outcome::CompleteWithBadRows,
        outcome => outcome,
    };
    Summary {
        run: shared.run.id,
        job: shared.run.job.clone(),
        outcome,
        reason: verdict.reason,
        rows_changed_here: shared.tally.rows_changed(),
        batches_here: shared.tally.batches(),
        retries_here: shared.tally.retries(),
        elapsed_ms: began.elapsed().as_millis() as u64,
        halted_ms: shared.tally.halted_ms(),
        progress,
    }
}
