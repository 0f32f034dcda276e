//! `pgbackfill run`: hands the job to the engine, after a look at what a person should know first.
//!
//! Must not know: what the engine does.

use std::num::NonZeroU64;

use pgbackfill::db::Pool;
use pgbackfill::engine::{self, Options, Which};
use pgbackfill::event::{self, Emitter, Summary};
use pgbackfill::job::Job;
use pgbackfill::run::RunKind;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure};
use super::globals::{Globals, Output};
use super::job::{JobArgs, NamedJobArgs};
use super::review::Warnings;
use super::{connect, name, operate, out, review, show};

const EXAMPLES: &str = "\
Examples:
  pgbackfill run jobs/orders_status_v2.toml
  pgbackfill run jobs/orders_status_v2.toml --max-rows 1000        a small first run; run it again to go on
  pgbackfill run --table orders --set \"status_v2 = upper(status)\" --where \"status_v2 IS NULL\"

Running the same job in another terminal or on another host helps the same run.
Running it again after a stop or a crash goes on from its checkpoint.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// Stop after about this many changed rows; the run can be resumed
    #[arg(long, value_name = "N")]
    max_rows: Option<NonZeroU64>,
    /// Start another run from the beginning
    #[arg(long)]
    new_run: bool,
    /// Do not ask whether to go on after warnings
    #[arg(long)]
    yes: bool,
    /// How progress and result are written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    // Last, because its headings hold for whatever follows.
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) async fn run(args: &RunArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let job = args.job.job("run")?;
    let params = connect::params(globals, &format!("pgbackfill {}", job.name))?;
    let workers = args.job.workers.unwrap_or(job.pace.knobs.workers);
    let pool = connect::pool(&params, workers.get() as usize + engine::connections_beside(&job.signals))?;
    let options = Options {
        kind: RunKind::Backfill,
        which: if args.new_run { Which::New } else { Which::Current },
        workers: args.job.workers,
        max_rows: args.max_rows,
        set: args.job.knob_changes(&job)?,
        host: operate::host(),
        by: operate::by(),
    };
    let warnings = if args.yes { Warnings::Accepted } else { Warnings::Ask };
    if !review::passes(&pool, &job, options.which, warnings, globals).await? {
        out::aside("nothing was begun");
        return Ok(Exit::Stopped);
    }
    let summary = take_part(&pool, &job, &options, (args.output, globals)).await?;
    show::last_word(globals, args.output, &summary)?;
    Ok(summary.outcome.into())
}

/// What takes part in a run that is made of another one: a job that may be given by its name alone.
pub(crate) async fn of_named_job(
    args: &NamedJobArgs,
    kind: RunKind,
    globals: &Globals,
) -> anyhow::Result<(Job, Pool, Options)> {
    let mut job = name::job(&args.job, globals).await?;
    let set = args.pace(&mut job)?;
    let params = connect::params(globals, &format!("pgbackfill {}", job.name))?;
    let workers = args.workers.unwrap_or(job.pace.knobs.workers);
    let pool = connect::pool(&params, workers.get() as usize + engine::connections_beside(&job.signals))?;
    let options = Options {
        kind,
        which: Which::Current,
        workers: args.workers,
        max_rows: None,
        set,
        host: operate::host(),
        by: operate::by(),
    };
    Ok((job, pool, options))
}

/// Takes part in a run, shows how it goes, and obeys signals.
pub(crate) async fn take_part(
    pool: &Pool,
    job: &Job,
    options: &Options,
    (output, globals): (Output, &Globals),
) -> anyhow::Result<Summary> {
    let (events, received) = event::channel(pool.database());
    let observer = show::observer(globals, output);
    let watching = tokio::task::spawn_blocking(move || show::events(observer, received));
    let stop = CancellationToken::new();
    let signals = tokio::spawn(obey_signals(stop.clone(), events.clone()));
    let left = engine::run(pool, job, options, &events, &stop).await;
    signals.abort();
    // The last sender: with it the observer ends, after it has shown everything.
    drop(events);
    watching.await?;
    Ok(left.map_err(Failure::from)?)
}

/// The first signal asks to finish the batch in hand, the second one ends the process; the server then rolls
/// back.
async fn obey_signals(stop: CancellationToken, events: Emitter) -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut asked = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    asked().await;
    // As an event it stands above the bar, and in the JSON.
    events.notice("finishing the batch in hand; once more to stop at once");
    stop.cancel();
    asked().await;
    out::aside("\nstopped at once; the server rolls the batch in hand back");
    std::process::exit(Exit::Stopped as i32)
}
