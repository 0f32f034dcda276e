//! One process at one run on one server: from joining it until the run ends, the process leaves, or the
//! database has moved.
//!
//! Must not know: where the database has moved to.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::heartbeat::{BEAT, Heartbeat, LastProgress};
use super::inflight::InFlight;
use super::join::{self, Joined};
use super::leave;
use super::part::{Facts, Part};
use super::range_strategy::RangeStrategy;
use super::supervisor::{Left, Supervisor};
use super::{EngineError, Options, connections_beside};
use crate::catalog::{self, Server};
use crate::db::{Pool, Primary, Session};
use crate::event::{Emitter, Event, Outcome, Progress, Summary};
use crate::job::{Job, Limits};
use crate::monitor::{Asked, Monitor};
use crate::plan::{self, Plan};
use crate::run::{RunId, RunKind};
use crate::store::{self, Run, SchemaError};
use crate::throttle::{Account, Counters, CustomSignals, Team, Throttle};

/// What the caller of a process asked for.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) pool: &'a Pool,
    pub(super) job: &'a Job,
    pub(super) options: &'a Options,
    pub(super) events: &'a Emitter,
    pub(super) stop: &'a CancellationToken,
}

/// The server's facts; a standby is refused.
pub(super) async fn writable(session: &Session, pool: &Pool) -> Result<Server, EngineError> {
    let server = catalog::server(session).await?;
    if server.standby {
        return Err(EngineError::Standby { address: pool.address().to_owned() });
    }
    Ok(server)
}

/// How it ended.
pub(super) struct Attended {
    pub(super) summary: Summary,
    /// The run goes on, on another server.
    pub(super) moved: Option<Moved>,
}

/// An error, and the run that the process had joined, if it had joined one.
pub(super) struct Failed {
    pub(super) run: Option<RunId>,
    pub(super) error: EngineError,
}

impl<E: Into<EngineError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { run: None, error: error.into() }
    }
}

/// A run that goes on elsewhere.
pub(super) struct Moved {
    pub(super) from: Arc<Primary>,
    pub(super) what: String,
    /// Workers of this process, unless the run's knob was set to another number.
    pub(super) workers: Option<std::num::NonZeroU32>,
}

/// Takes part until the run ends or its database has moved. `follows` is the run of the server that the
/// process comes from.
pub(super) async fn attend(
    call: Call<'_>,
    mut session: Session,
    server: &Server,
    follows: Option<RunId>,
) -> Result<Attended, Failed> {
    let began = Instant::now();
    let Call { pool, job, options, events, .. } = call;
    let plan = plan::preflight(&mut session, job, &server.user, options.kind).await?;
    store::ensure(&mut session, &server.user, &server.database).await.map_err(schema_error)?;
    let joined = match join::join(&mut session, job, &plan, server, options, follows).await? {
        Joined::Run(joined) => *joined,
        Joined::AlreadyComplete(run) => {
            return Ok(Attended {
                summary: already_complete(&session, run, (job, options.kind)).await?,
                moved: None,
            });
        }
    };
    let events = events.of_run(joined.run.id);
    for message in &joined.notices {
        events.notice(message);
    }
    let knobs = joined.run.knobs.clone();
    let wanted = options.workers.unwrap_or(knobs.workers);
    pool.resize(wanted.get() as usize + connections_beside(&job.signals));
    events.emit(Event::Entered {
        run: joined.run.id,
        job: job.name.to_string(),
        table: plan.table.name.to_string(),
        kind: joined.run.kind,
        entry: joined.entry,
        knobs,
    });
    let trouble = watch::Sender::new(None);
    let team = Arc::new(Team::new(joined.assignment, options.workers, joined.run.knobs.workers));
    let plan = of_run(plan, &joined.run, server);
    let part = Arc::new(part(call, joined.run, plan, server, team, events, &trouble));
    let last = LastProgress::default();
    let worked = work(&part, session, trouble, last.clone()).await;
    // After `reconnect_timeout` there is no server to say good-bye to.
    let is_reachable = || part.primary.silent_for() < part.facts.limits.reconnect_timeout();
    if matches!(worked, Err(EngineError::Unreachable(_))) && is_reachable() {
        leave::say_good_bye(&part).await;
    }
    let mut left = worked.map_err(|error| Failed { run: Some(part.facts.run_id()), error })?;
    let workers = part.team.own_number();
    let moved = left.moved.take().map(|what| Moved { from: part.primary.clone(), what, workers });
    Ok(Attended { summary: leave::leave(&part, left, began, &last).await, moved })
}

/// The plan, with what is known of the run.
pub(super) fn of_run(mut plan: Plan, run: &Run, server: &Server) -> Plan {
    if run.keeps_old {
        let old = plan::old_values(run.id.0, &plan, &plan.columns, server.version);
        plan.change.keep(old);
    }
    plan.change.list_in(run.id.0);
    plan
}

fn schema_error(error: SchemaError) -> EngineError {
    match error {
        SchemaError::Database(error) => error.into(),
        other => other.into(),
    }
}

fn part(
    call: Call<'_>,
    run: Run,
    plan: Plan,
    server: &Server,
    team: Arc<Team>,
    events: Emitter,
    trouble: &watch::Sender<Option<String>>,
) -> Part {
    let Call { pool, job, options, stop, .. } = call;
    let exit = Exit::new(stop);
    let (pid, micros) = (std::process::id(), std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros());
    let custom = CustomSignals::new(&job.signals);
    let limits = limits(job, run.kind);
    Part {
        throttle: Throttle::new(run.id, team.clone(), custom, trouble.subscribe()),
        team,
        primary: Arc::new(Primary::new(
            pool,
            &server.system_identifier,
            server.timeline,
            exit.token().clone(),
        )),
        counters: Counters::default(),
        account: Account::default(),
        strategy: RangeStrategy::new(&plan.order, stripes(job, run.kind), server.checkpoints),
        inflight: InFlight::default(),
        exit,
        events,
        facts: Facts {
            batch_settings: plan::batch_settings((job.name.as_str(), &run.settings), limits, server.version),
            run,
            plan,
            limits,
            process: format!("{}/{pid}/{micros}", options.host),
            host: options.host.clone(),
            by: options.by.clone(),
            max_rows: options.max_rows,
            proof_ms: job.scan.proof_ms,
            connections_beside: connections_beside(&job.signals),
        },
    }
}

/// Rows that cannot be compared are what a verification is to find, so it does not stop at the first.
const BAD_ROWS_OF_A_VERIFICATION: u64 = 1_000;

fn limits(job: &Job, kind: RunKind) -> Limits {
    match kind {
        RunKind::Backfill | RunKind::Repair => job.limits,
        // What can be put back is, however many rows are at fault; the ceiling is a bigint.
        RunKind::Undo => Limits { max_bad_rows: i64::MAX.unsigned_abs(), ..job.limits },
        RunKind::Verify => {
            let max_bad_rows = job.limits.max_bad_rows.max(BAD_ROWS_OF_A_VERIFICATION);
            Limits { max_bad_rows, ..job.limits }
        }
    }
}

/// Nothing is gained by reading a page more than once.
fn stripes(job: &Job, kind: RunKind) -> Option<NonZeroU32> {
    match kind {
        RunKind::Backfill | RunKind::Repair => job.order.stripes,
        RunKind::Verify | RunKind::Undo => Some(NonZeroU32::MIN),
    }
}

async fn already_complete(
    session: &Session,
    run: RunId,
    (job, kind): (&Job, RunKind),
) -> Result<Summary, EngineError> {
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
        progress: Progress { kind, totals, ..Progress::default() },
    })
}

/// Keeps workers at the run until it ends or they must leave.
async fn work(
    part: &Arc<Part>,
    session: Session,
    trouble: watch::Sender<Option<String>>,
    last: LastProgress,
) -> Result<Left, EngineError> {
    let asked = watch::Sender::new(Asked::default());
    let monitor = Monitor {
        primary: part.primary.clone(),
        run: part.facts.run_id(),
        walk: part.facts.plan.walk.clone(),
        process: part.facts.process.clone(),
        asked: asked.subscribe(),
        trouble,
        is_alone: watch::Sender::new(false),
    };
    let mut heartbeat = Heartbeat::new(part.clone(), session, asked, monitor.is_alone.subscribe(), last);
    part.team.count(part.team.wanted(), u32::MAX);
    part.throttle.read_custom(&part.primary).await;
    heartbeat.beat().await;
    let may_lead = monitor.asked.borrow().may_lead;
    let leading = if may_lead { monitor.begin().await } else { None };
    if leading.is_some() {
        // What was read holds from the first batch on.
        heartbeat.beat().await;
    }
    if !part.team.share().is_unlimited() && part.team.assignment().other_workers > 0 {
        // The others hear of us with their next beat; until then their shares leave no room for ours.
        part.pause(BEAT + BEAT / 2).await;
    }
    let mut beside = JoinSet::new();
    beside.spawn(heartbeat.run());
    beside.spawn(monitor.watch(leading));
    let throttled = part.clone();
    beside.spawn(async move { throttled.throttle.watch().await });
    let custom = part.clone();
    beside.spawn(async move { custom.throttle.watch_custom(&custom.primary).await });
    let left = tokio::select! {
        biased;
        error = panicked(&mut beside) => Err(error),
        left = Supervisor::new(part.clone()).run() => left,
    };
    beside.shutdown().await;
    left
}

/// Waits until one of the tasks beside the workers has panicked: without any of them the workers would not
/// hear, not be throttled, or not be guarded.
async fn panicked(beside: &mut JoinSet<()>) -> EngineError {
    while let Some(ended) = beside.join_next().await {
        if let Err(error) = ended {
            return EngineError::Panic(error.to_string());
        }
    }
    std::future::pending().await
}
