//! `pgbackfill expand` and `contract`: the steps before a run and after it.
//!
//! Must not know: how a step is made.

use std::path::PathBuf;

use pgbackfill::ddl::{self, Made, Maker, StepError, StepNews};
use pgbackfill::human;
use pgbackfill::job::{Job, Part, Phase, Step, StepKind, set_limit};
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure};
use super::globals::Globals;
use super::{connect, job, operate, out, plan};

const EXPAND_EXAMPLES: &str = "\
Examples:
  pgbackfill expand jobs/orders_status_v2.toml
  pgbackfill expand jobs/orders_status_v2.toml --patience 1h     wait longer for its turn

It makes what [expand] says and is not there yet: type it again at any time. No statement of it
keeps the application waiting for longer than --stall at a time.

Exit code 3: its turn did not come, nothing was changed; 5: another process makes it.";

const CONTRACT_EXAMPLES: &str = "\
Examples:
  pgbackfill contract jobs/orders_status_v2.toml

It makes what [contract] says and is not there yet, once the run is complete: type it again at
any time. No statement of it keeps the application waiting for longer than --stall at a time.

Exit code 3: its turn did not come, nothing was changed; 5: another process makes it.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXPAND_EXAMPLES)]
pub(crate) struct ExpandArgs {
    #[command(flatten)]
    args: StepArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = CONTRACT_EXAMPLES)]
pub(crate) struct ContractArgs {
    #[command(flatten)]
    args: StepArgs,
}

#[derive(Debug, clap::Args)]
struct StepArgs {
    /// The job file
    #[arg(value_name = "JOB.toml")]
    file: PathBuf,
    /// How long it may keep the application waiting at a time [default: what the job says, else 200ms]
    #[arg(long, value_name = "TIME")]
    stall: Option<String>,
    /// How long a step waits for its turn [default: what the job says, else 10m]
    #[arg(long, value_name = "TIME")]
    patience: Option<String>,
}

pub(crate) async fn expand(args: &ExpandArgs, globals: &Globals) -> anyhow::Result<Exit> {
    make(&args.args, Phase::Expand, globals).await
}

pub(crate) async fn contract(args: &ContractArgs, globals: &Globals) -> anyhow::Result<Exit> {
    make(&args.args, Phase::Contract, globals).await
}

async fn make(args: &StepArgs, phase: Phase, globals: &Globals) -> anyhow::Result<Exit> {
    let mut job = job::from_file(&args.file)?;
    for (limit, value) in [("stall", &args.stall), ("patience", &args.patience)] {
        if let Some(value) = value {
            set_limit(&mut job.limits, limit, value).map_err(Failure::usage)?;
        }
    }
    let (name, steps) = (job.name.as_str(), job.steps.of(phase));
    if steps.is_empty() {
        let word = phase.as_str();
        out::verdict(&format!("job \"{name}\" has no [{word}]: there is nothing to do"))?;
        return Ok(Exit::Complete);
    }
    let pool =
        connect::pool(&connect::params(globals, &format!("pgbackfill {} {name}", phase.as_str()))?, 2)?;
    let stop = CancellationToken::new();
    let maker = Maker {
        made_by: format!("{} (process {})", operate::by(), std::process::id()),
        run: format!("pgbackfill run {}", args.file.display()),
        stop: stop.clone(),
    };
    let mut lines = Lines { title: String::new(), is_quiet: globals.quiet };
    let mut tell = |told: &StepNews<'_>| lines.show(told);
    let made = tokio::select! {
        made = ddl::make(&pool, (&job, phase), &maker, &mut tell) => made,
        stopped = stopped(&stop) => { stopped?; Err(StepError::Stopped) }
    };
    match made {
        Ok(made) => {
            out::verdict(&verdict(&job, phase, (&made, &args.file.display().to_string())))?;
            Ok(Exit::Complete)
        }
        Err(error) => Err(failure(&job, phase, error).into()),
    }
}

/// The first signal asks, the second does not wait for the answer.
async fn stopped(stop: &CancellationToken) -> std::io::Result<()> {
    plan::interrupted().await?;
    out::aside("stopping; once more: at once");
    stop.cancel();
    plan::interrupted().await
}

fn verdict(job: &Job, phase: Phase, (made, file): (&Made, &str)) -> String {
    let of = job.steps.of(phase).len() as u64;
    let there = match made.were_there {
        0 => String::new(),
        n if n as u64 == of => ", all of which were there already".to_owned(),
        1 => ", of which 1 was there already".to_owned(),
        n => format!(", of which {n} were there already"),
    };
    let next = match phase {
        Phase::Expand => format!("\nnext: pgbackfill run {file}"),
        Phase::Contract => String::new(),
    };
    let (name, word) = (&job.name, phase.as_str());
    format!("{word} of job \"{name}\" is done: {}{there}{next}", human::counted(of, "step", "steps"))
}

fn failure(job: &Job, phase: Phase, error: StepError) -> Failure {
    let exit = match &error {
        StepError::Closed { .. } | StepError::Stopped => Exit::Stopped,
        StepError::Job { .. } | StepError::Refused(_) => Exit::Usage,
        StepError::InTheWay { .. } => Exit::InTheWay,
        StepError::Rows { .. } => Exit::BadRows,
        StepError::TooSlow { .. } | StepError::TooEarly(_) | StepError::Cannot { .. } => Exit::Error,
        StepError::Schema(error) => error.into(),
        StepError::Database(error) => error.into(),
    };
    let message = match error {
        StepError::Job { number, message, hint } => match job.steps.of(phase).get(number) {
            Some(step) => job.diagnose(Part::Step(phase, step), message, hint).to_string(),
            None => message,
        },
        error => error.to_string(),
    };
    Failure { exit, message }
}

/// A line for each thing that is told.
struct Lines {
    title: String,
    is_quiet: bool,
}

impl Lines {
    fn show(&mut self, told: &StepNews<'_>) {
        let text = match told {
            StepNews::Begins { number, of, step } => {
                self.title = format!("{number}/{of} {}", title(step));
                return;
            }
            StepNews::Waits(who) => format!("waits: {who}"),
            StepNews::Does(what) => what.clone(),
            StepNews::Done(times) => {
                let ms = |time: std::time::Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
                let stood = match times.tries {
                    0 => String::new(),
                    1 => format!("stood in the queue once for {}, ", ms(times.stood)),
                    n => format!("stood in the queue {n} times for {} together, ", ms(times.stood)),
                };
                if times.held.is_zero() {
                    "done, and kept nobody waiting".to_owned()
                } else {
                    format!("done, {stood}held its lock for {}", ms(times.held))
                }
            }
            StepNews::WasThere => "is there already".to_owned(),
        };
        if !self.is_quiet {
            out::aside(&format!("{}: {text}", self.title));
        }
    }
}

fn title(step: &Step) -> String {
    let Step { kind, name, definition, .. } = step;
    match kind {
        StepKind::NotNull => format!("not_null {name}"),
        StepKind::Sync => "sync".to_owned(),
        StepKind::Column => format!("column {name} {definition}"),
        StepKind::ForeignKey => format!("foreign_key {name} → {definition}"),
        kind => format!("{} {name}", kind.as_str()),
    }
}
