//! `pgbackfill wait`: for scripts that go on when a backfill is complete.
//!
//! Must not know: who does the work.

use std::time::{Duration, Instant};

use pgbackfill::job::parse_duration_ms;
use pgbackfill::run::RunState;
use pgbackfill::store::{self, Run};

use super::exit::{Exit, Failure};
use super::{Globals, connect, name, out};

const LOOK_EVERY: Duration = Duration::from_millis(500);

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
    let session = connect::session(globals).await?;
    let began = Instant::now();
    loop {
        let run = name::latest(&session, &args.job).await?;
        let bad_rows = store::bad_rows_count(&session, run.id).await?;
        if let Some((exit, line)) = verdict(&run, bad_rows) {
            out::text(&line)?;
            return Ok(exit);
        }
        if args.timeout.is_some_and(|timeout| began.elapsed() >= timeout) {
            let what = format!("run {} of job \"{}\" is still {}", run.id, run.job, run.state);
            let hint = format!("hint: pgbackfill status {} shows why", run.job);
            return Err(Failure { exit: Exit::Stopped, message: format!("{what}\n{hint}") }.into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
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
                format!("complete but for {bad_rows} rows in quarantine: {}, run {}", run.job, run.id)
            }
            _ => format!("{}: {}, run {}: {reason}", run.state, run.job, run.id),
        },
    ))
}
