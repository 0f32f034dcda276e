//! `pause`, `resume`, `cancel`, `set`: what a person asks of a live run, from anywhere, through the database.
//!
//! Must not know: which processes will hear it.

use pgbackfill::db::Session;
use pgbackfill::job::{knob_changes, turn_knobs};
use pgbackfill::run::{Move, RunState};
use pgbackfill::store::{self, Run, StoreError, Turn};

use super::exit::{Exit, Failure};
use super::{Globals, connect, name, out};

#[derive(Debug, clap::Args)]
pub(crate) struct JobArg {
    /// Name of the job, or its file
    job: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WhyArgs {
    /// Name of the job, or its file
    job: String,
    /// Why; shown to everybody who looks
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    /// Name of the job, or its file
    job: String,
    /// workers=4, batch-time=200ms, max-rows-per-second=1000, max-wal-per-second=16MiB, mode=full, window="22:00-06:00 UTC", any setting of
    /// [guard] such as replica-lag-stop=5s, …; none lifts a ceiling, off takes a bound away
    #[arg(required = true, value_name = "NAME=VALUE")]
    knobs: Vec<String>,
}

/// Who is asking: `user@host`.
pub(crate) fn by() -> String {
    let uid = nix::unistd::Uid::current();
    let known = || nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    let user = std::env::var("USER").ok().or_else(known).unwrap_or_else(|| uid.to_string());
    format!("{user}@{}", host())
}

/// This host's name.
pub(crate) fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

pub(crate) async fn pause(args: &WhyArgs, globals: &Globals) -> anyhow::Result<Exit> {
    change(&args.job, globals, Move::Pause, Some(reason("paused", args))).await
}

pub(crate) async fn resume(args: &JobArg, globals: &Globals) -> anyhow::Result<Exit> {
    change(&args.job, globals, Move::Resume, None).await
}

pub(crate) async fn cancel(args: &WhyArgs, globals: &Globals) -> anyhow::Result<Exit> {
    change(&args.job, globals, Move::Cancel, Some(reason("cancelled", args))).await
}

fn reason(what: &str, args: &WhyArgs) -> String {
    let why = args.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{what} by {}{why}", by())
}

async fn change(job: &str, globals: &Globals, asked: Move, reason: Option<String>) -> anyhow::Result<Exit> {
    let mut session = connect::session(globals).await?;
    let run = name::latest(&session, job).await?;
    ask(&mut session, &run, &Turn::State(asked), reason.as_deref()).await?;
    let next = run.state.step(asked).map_or_else(|_| "changed".to_owned(), |state| state.to_string());
    let hint = if asked == Move::Resume && store::live(&session, run.id).await?.is_empty() {
        "\nhint: no process is at work on it: run the job to go on"
    } else {
        ""
    };
    out::verdict(&format!("run {} of job \"{}\" is {next}{hint}", run.id, run.job))?;
    Ok(Exit::Complete)
}

async fn ask(session: &mut Session, run: &Run, turn: &Turn, reason: Option<&str>) -> anyhow::Result<()> {
    store::request(session, run.id, turn, reason, &by()).await.map_err(|error| match error {
        StoreError::Illegal(illegal) => {
            let hint = format!("hint: pgbackfill status {} shows where it stands", run.job);
            Failure::error(format!("run {} of job \"{}\": {illegal}\n{hint}", run.id, run.job)).into()
        }
        StoreError::Database(error) if error.sqlstate() == Some("23505") => {
            let hint = "hint: only the latest run of a job can be resumed";
            Failure::error(format!(
                "another run of job \"{}\" took the place of run {}\n{hint}",
                run.job, run.id
            ))
            .into()
        }
        other => anyhow::Error::from(other),
    })
}

pub(crate) async fn set(args: &SetArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let mut session = connect::session(globals).await?;
    let run = name::latest(&session, &args.job).await?;
    if run.state == RunState::Complete {
        let what = format!("run {} of job \"{}\" is complete", run.id, run.job);
        return Err(Failure::error(format!("{what}; there is nothing left to pace")).into());
    }
    let mut knobs = run.knobs.clone();
    let turns = args.knobs.iter().map(|pair| turn(pair)).collect::<Result<Vec<_>, _>>()?;
    turn_knobs(&mut knobs, turns).map_err(Failure::usage)?;
    let changed = knob_changes(&run.knobs, &knobs);
    if changed.is_empty() {
        out::verdict("nothing changed: the knobs are so already")?;
        return Ok(Exit::Complete);
    }
    let detail = changed.join(", ");
    ask(&mut session, &run, &Turn::Knobs(knobs, detail.clone()), None).await?;
    out::verdict(&format!("run {} of job \"{}\": {detail}", run.id, run.job))?;
    Ok(Exit::Complete)
}

/// `workers=4` as a name and a value.
fn turn(pair: &str) -> Result<(&str, &str), Failure> {
    let (knob, value) = pair
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("\"{pair}\" has no value\nhint: write it as workers=4")))?;
    Ok((knob.trim(), value.trim()))
}
