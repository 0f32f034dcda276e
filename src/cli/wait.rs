//! `pgbackfill wait`: for scripts that go on when a backfill is complete.
//!
//! Must not know: who does the work.

use std::time::{Duration, Instant};

use pgbackfill::db::Pool;
use pgbackfill::human;
use pgbackfill::job::parse_duration_ms;
use pgbackfill::run::RunState;
use pgbackfill::store::{self, Run};

use super::exit::{Exit, Failure};
use super::globals::Globals;
use super::{connect, name, out};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A restart or a failover is over by then.
const OUTAGE_MAX: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// Name of the job, or its file
    job: String,
    /// Give up after this time, for example 10m; the run is not touched
    #[arg(long, value_parser = duration)]
    timeout: Option<Duration>,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration_ms(text, &(1..=u32::MAX)).map(|ms| Duration::from_millis(ms.get().into()))
}

pub(crate) async fn run(args: &WaitArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let pool = connect::single(globals)?;
    let began = Instant::now();
    let mut seen: Option<(Instant, Run)> = None;
    loop {
        match look(&pool, &args.job).await {
            Ok(Look::Ended(exit, line)) => {
                out::verdict(&line)?;
                return Ok(exit);
            }
            Ok(Look::Still(run)) => seen = Some((Instant::now(), *run)),
            Err(error) => bear(&error, seen.as_ref()).map_err(|()| error)?,
        }
        if let Some((_, run)) = &seen
            && args.timeout.is_some_and(|timeout| began.elapsed() >= timeout)
        {
            return Err(out_of_time(run).into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What one look at the run found.
enum Look {
    Ended(Exit, String),
    Still(Box<Run>),
}

async fn look(pool: &Pool, job: &str) -> anyhow::Result<Look> {
    let session = connect::session_of(pool).await?;
    let run = name::latest(&session, job).await?;
    let bad_rows = store::bad_rows_count(&session, run.id).await?;
    Ok(match verdict(&run, bad_rows) {
        Some((exit, line)) => Look::Ended(exit, line),
        None => Look::Still(Box::new(run)),
    })
}

/// A script that waits for hours outlives a restart of the server, as the run itself does; but not a database
/// that was never there, nor one that stays away.
fn bear(error: &anyhow::Error, seen: Option<&(Instant, Run)>) -> Result<(), ()> {
    let away = seen.map(|(at, _)| at.elapsed()).filter(|away| *away < OUTAGE_MAX).ok_or(())?;
    if Exit::from(error) != Exit::NoDatabase {
        return Err(());
    }
    tracing::info!(error = %format!("{error:#}"), ms = away.as_millis() as u64, "no database for now, looking again");
    Ok(())
}

fn out_of_time(run: &Run) -> Failure {
    let what = format!("run {} of job \"{}\" is still {}", run.id, run.job, run.state);
    let hint = format!("hint: pgbackfill status {} shows why", run.job);
    Failure { exit: Exit::Stopped, message: format!("{what}\n{hint}") }
}

/// The end of the wait, if the run is at an end.
fn verdict(run: &Run, bad_rows: u64) -> Option<(Exit, String)> {
    let reason = run.reason.as_deref().unwrap_or("no reason given");
    let exit = match run.state {
        RunState::Running | RunState::Paused => return None,
        RunState::Complete if bad_rows > 0 => Exit::BadRows,
        RunState::Complete => Exit::Complete,
        RunState::Blocked => Exit::Error,
        RunState::Cancelled => Exit::Stopped,
    };
    Some((
        exit,
        match exit {
            Exit::Complete => format!("complete: {}, run {}", run.job, run.id),
            Exit::BadRows => {
                let bad = human::counted(bad_rows, "row", "rows");
                format!("complete but for {bad} in quarantine: {}, run {}", run.job, run.id)
            }
            _ => format!("{}: {}, run {}: {reason}", run.state, run.job, run.id),
        },
    ))
}
