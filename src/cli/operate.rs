//! `pause`, `resume`, `cancel`, `set`: what a person asks of a live run, from anywhere, through the database.
//!
//! Must not know: which processes will hear it.

use pgbackfill::operate;
use pgbackfill::run::Move;

use super::exit::{Exit, Failure};
use super::globals::Globals;
use super::{connect, name, out};

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
    /// workers=4, batch-time=200ms, max-rows-per-second=1000, max-wal-per-second=16MiB, mode=full,
    /// window="22:00-06:00 UTC", any setting of [guard] such as replica-lag-stop=5s, …; none lifts a ceiling,
    /// off takes a bound away
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
    let reason = operate::reason("paused", &by(), args.reason.as_deref());
    change(&args.job, globals, Move::Pause, Some(reason)).await
}

pub(crate) async fn resume(args: &JobArg, globals: &Globals) -> anyhow::Result<Exit> {
    change(&args.job, globals, Move::Resume, None).await
}

pub(crate) async fn cancel(args: &WhyArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let reason = operate::reason("cancelled", &by(), args.reason.as_deref());
    change(&args.job, globals, Move::Cancel, Some(reason)).await
}

async fn change(job: &str, globals: &Globals, asked: Move, reason: Option<String>) -> anyhow::Result<Exit> {
    let mut session = connect::session(globals).await?;
    let run = name::current(&session, job).await?;
    let done = operate::change_state(&mut session, &run, asked, reason.as_deref(), &by()).await;
    let done = done.map_err(Failure::from)?;
    let hint = if done.is_idle { "\nhint: no process is at work on it: run the job to go on" } else { "" };
    out::verdict(&format!("run {} of job \"{}\" is {}{hint}", run.id, run.job, done.state))?;
    Ok(Exit::Complete)
}

pub(crate) async fn set(args: &SetArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let mut session = connect::session(globals).await?;
    let run = name::current(&session, &args.job).await?;
    let changes = args.knobs.iter().map(|pair| name_and_value(pair)).collect::<Result<Vec<_>, _>>()?;
    let changed = operate::set(&mut session, &run, changes, &by()).await.map_err(Failure::from)?;
    if changed.is_empty() {
        out::verdict("nothing changed: the knobs are so already")?;
    } else {
        out::verdict(&format!("run {} of job \"{}\": {}", run.id, run.job, changed.join(", ")))?;
    }
    Ok(Exit::Complete)
}

/// `workers=4` as a name and a value.
fn name_and_value(pair: &str) -> Result<(&str, &str), Failure> {
    let (knob, value) = pair
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("\"{pair}\" has no value\nhint: write it as workers=4")))?;
    Ok((knob.trim(), value.trim()))
}
