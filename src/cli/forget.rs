//! `pgbackfill forget`: drops the values that runs have replaced, or takes one row out of all that is kept.
//!
//! Must not know: how they are kept.

use pgbackfill::human;
use pgbackfill::store;

use super::exit::{Exit, Failure};
use super::globals::Globals;
use super::{connect, name, out};

const EXAMPLES: &str = "\
Examples:
  pgbackfill forget prices_in_cents              drops what its runs have replaced: no undo after that
  pgbackfill forget users_email --key 4711       takes the row with this key out of everything kept

A row is taken out of the kept values, the quarantine, the rows that a verification has found, and
those that an undo has left. With a key of several columns, --key stands once for each, in order.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ForgetArgs {
    /// Name of the job, or its file
    job: String,
    /// The key of one row, as text; once for each of its columns
    #[arg(long, value_name = "VALUE")]
    key: Vec<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: &ForgetArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let mut session = connect::session_up_to_date(globals).await?;
    let job = name::latest(&session, &args.job).await?.job;
    let kept = store::kept_values(&session, &job).await?;
    if !args.key.is_empty() {
        let columns = store::key_of_job(&session, &job).await?;
        if columns.len() != args.key.len() {
            let width = human::counted(columns.len() as u64, "column", "columns");
            let message = format!("the key of job \"{job}\" has {width}");
            let hint = "hint: --key once for each of them, in order";
            return Err(Failure::usage(format!("{message}\n{hint}")).into());
        }
        let taken = store::forget_key(&mut session, &job, &kept, (&columns, &args.key)).await?;
        for other in kept.iter().filter(|kept| !kept.same_key) {
            out::aside(&format!("warning: run {} has another key, and was passed over", other.run));
        }
        if taken == 0 {
            return Err(Failure::error(format!("nothing that is kept of job \"{job}\" has this key")).into());
        }
        out::verdict(&format!("{} taken out", human::counted(taken, "entry", "entries")))?;
        return Ok(Exit::Complete);
    }
    let over: Vec<_> = kept.iter().filter(|kept| kept.is_over).collect();
    if over.is_empty() {
        let but = if kept.is_empty() {
            ""
        } else {
            "; those of a run that has not ended, or is being undone or verified, stay"
        };
        out::verdict(&format!("job \"{job}\" has kept no values that could be dropped{but}"))?;
        return Ok(Exit::Complete);
    }
    let bytes = over.iter().map(|kept| kept.bytes).sum::<i64>();
    let what = format!("{} of kept values", human::bytes(bytes.unsigned_abs()));
    if !args.yes && !confirmed(&job, &what)? {
        out::aside("nothing was dropped");
        return Ok(Exit::Stopped);
    }
    for kept in over {
        if !store::drop_old_values(&mut session, &job, kept.run).await? {
            out::aside(&format!("warning: run {} is in use by now, and what it has kept stays", kept.run));
        }
    }
    out::verdict(&format!("{what} of job \"{job}\" dropped; its runs can be undone no more"))?;
    Ok(Exit::Complete)
}

fn confirmed(job: &str, what: &str) -> anyhow::Result<bool> {
    if !out::is_attended() {
        let hint = format!("pgbackfill forget {job} --yes");
        return Err(Failure::usage(format!("nothing is dropped without a yes\nhint: {hint}")).into());
    }
    Ok(out::says_yes(&format!("Drop {what} of job \"{job}\"? Its runs can be undone no more."))?)
}
