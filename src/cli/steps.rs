//! `pgbackfill expand` and `contract`: the steps before a run and after it.
//!
//! Must not know: how a step is made.

use std::time::Duration;

use pgbackfill::ddl::{self, Made, Maker, StepError, StepNews};
use pgbackfill::human;
use pgbackfill::job::{Job, Part, Phase, Step, StepKind, set_limit};
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure};
use super::globals::Globals;
use super::{connect, name, operate, out, plan};

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
  pgbackfill contract jobs/orders_status_v2.toml --drop     weeks later: the old column goes

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
    /// Drop the columns that [contract] drops at last, each after its name was typed
    #[arg(long)]
    drop: bool,
    /// The name of a column to drop, where there is no terminal to type it; can be repeated
    #[arg(long, value_name = "NAME", requires = "drop")]
    yes_drop: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct StepArgs {
    /// The job file, or the name of a job that was run in this database
    #[arg(value_name = "JOB")]
    job: String,
    /// Ask nothing; so far there is nothing to ask
    #[arg(long)]
    yes: bool,
    /// How long it may keep the application waiting at a time [default: what the job says, else 200ms]
    #[arg(long, value_name = "TIME")]
    stall: Option<String>,
    /// How long a step waits for its turn [default: what the job says, else 10m]
    #[arg(long, value_name = "TIME")]
    patience: Option<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Make(Phase),
    Drop,
    Undo,
}

impl Asked {
    fn phase(self) -> Phase {
        match self {
            Self::Make(phase) => phase,
            Self::Drop | Self::Undo => Phase::Contract,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Make(phase) => phase.as_str(),
            Self::Drop => "contract --drop",
            Self::Undo => "undo --contract",
        }
    }

    fn steps(self, job: &Job) -> &[Step] {
        match self {
            Self::Drop => &job.steps.drop,
            asked => job.steps.of(asked.phase()),
        }
    }
}

pub(crate) async fn expand(args: &ExpandArgs, globals: &Globals) -> anyhow::Result<Exit> {
    work(&args.args, Asked::Make(Phase::Expand), &[], globals).await
}

pub(crate) async fn contract(args: &ContractArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let asked = if args.drop { Asked::Drop } else { Asked::Make(Phase::Contract) };
    work(&args.args, asked, &args.yes_drop, globals).await
}

/// Takes back what contract has made, with the `stall` and the `patience` that were given.
pub(crate) async fn undo_contract(
    job: &str,
    (stall, patience): (Option<String>, Option<String>),
    globals: &Globals,
) -> anyhow::Result<Exit> {
    let args = StepArgs { job: job.to_owned(), yes: true, stall, patience };
    work(&args, Asked::Undo, &[], globals).await
}

/// Each column that goes is named by a person, by typing it or by a flag.
fn confirm(job: &Job, named: &[String]) -> anyhow::Result<()> {
    for Step { name, .. } in &job.steps.drop {
        if named.contains(name) {
            continue;
        }
        if !out::is_attended() {
            let hint = format!("name it: --yes-drop {name}");
            return Err(Failure::usage(format!(
                "column {name} is not dropped without its name\nhint: {hint}"
            ))
            .into());
        }
        out::question(&format!("Column {name} of {} goes for ever. Type its name to drop it: ", job.table));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if answer.trim() != name {
            return Err(Failure { exit: Exit::Stopped, message: "nothing was dropped".to_owned() }.into());
        }
    }
    Ok(())
}

async fn work(args: &StepArgs, asked: Asked, named: &[String], globals: &Globals) -> anyhow::Result<Exit> {
    let mut job = name::job(&args.job, globals).await?;
    for (limit, value) in [("stall", &args.stall), ("patience", &args.patience)] {
        if let Some(value) = value {
            set_limit(&mut job.limits, limit, value).map_err(Failure::usage)?;
        }
    }
    let (name, steps) = (job.name.as_str(), asked.steps(&job));
    if steps.is_empty() {
        let word = if asked == Asked::Drop { "drop in its [contract]" } else { asked.phase().as_str() };
        let what = if asked == Asked::Drop { word.to_owned() } else { format!("[{word}]") };
        out::verdict(&format!("job \"{name}\" has no {what}: there is nothing to do"))?;
        return Ok(Exit::Complete);
    }
    if asked == Asked::Drop {
        confirm(&job, named)?;
    }
    let pool =
        connect::pool(&connect::params(globals, &format!("pgbackfill {} {name}", asked.as_str()))?, 2)?;
    let stop = CancellationToken::new();
    let maker = Maker {
        made_by: format!("{} (process {})", operate::by(), std::process::id()),
        run: format!("pgbackfill run {}", args.job),
        stop: stop.clone(),
    };
    let mut lines = Lines { title: String::new(), is_quiet: globals.quiet };
    let mut tell = |told: &StepNews<'_>| lines.show(told);
    let steps = async {
        match asked {
            Asked::Make(phase) => ddl::make(&pool, (&job, phase), &maker, &mut tell).await,
            Asked::Drop => ddl::drop_columns(&pool, &job, &maker, &mut tell).await,
            Asked::Undo => ddl::undo_contract(&pool, &job, &maker, &mut tell).await,
        }
    };
    let made = tokio::select! {
        made = steps => made,
        stopped = stopped(&stop) => { stopped?; Err(StepError::Stopped) }
    };
    match made {
        Ok(made) => {
            out::verdict(&verdict(&job, asked, (&made, &args.job)))?;
            Ok(Exit::Complete)
        }
        Err(error) => Err(failure(&job, asked, error).into()),
    }
}

/// The first signal asks, the second does not wait for the answer.
async fn stopped(stop: &CancellationToken) -> std::io::Result<()> {
    plan::interrupted().await?;
    out::aside("stopping; once more: at once");
    stop.cancel();
    plan::interrupted().await
}

fn verdict(job: &Job, asked: Asked, (made, file): (&Made, &str)) -> String {
    let of = asked.steps(job).len() as u64;
    let there = match made.were_there {
        0 => String::new(),
        n if n as u64 == of => ", all of which were there already".to_owned(),
        1 => ", of which 1 was there already".to_owned(),
        n => format!(", of which {n} were there already"),
    };
    let next = match asked {
        Asked::Make(Phase::Expand) => format!("\nnext: pgbackfill run {file}"),
        Asked::Make(Phase::Contract) | Asked::Drop | Asked::Undo => String::new(),
    };
    let (name, word) = (&job.name, asked.as_str());
    let in_front = made.times.stood + made.times.held;
    let in_front = match made.made {
        0 => String::new(),
        _ => format!("; in front of the application for {} in all", ms(in_front)),
    };
    format!(
        "{word} of job \"{name}\" is done: {}{there}{in_front}{next}",
        human::counted(of, "step", "steps")
    )
}

fn failure(job: &Job, asked: Asked, error: StepError) -> Failure {
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
        StepError::Job { number, message, hint } => match job.steps.of(asked.phase()).get(number) {
            Some(step) => job.diagnose(Part::Step(asked.phase(), step), message, hint).to_string(),
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

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn title(step: &Step) -> String {
    let (key, definition) = (step.key(), &step.definition);
    match step.kind {
        StepKind::Column => format!("{key} {definition}"),
        StepKind::Replace => format!("{key} by {definition}"),
        StepKind::ForeignKey => format!("{key} → {definition}"),
        _ => key,
    }
}
