//! `pgbackfill undo`: puts back what a run has replaced; with `--contract` takes back what contract has made.
//!
//! Must not know: how a value is put back.

use pgbackfill::db::Session;
use pgbackfill::engine::{self, UndoPreview};
use pgbackfill::event::Outcome;
use pgbackfill::human;
use pgbackfill::job::Job;
use pgbackfill::run::{RunKind, RunState};
use pgbackfill::store::{self, Left};
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::globals::{Globals, Output};
use super::job::NamedJobArgs;
use super::{connect, name, out, run, show, steps};

const EXAMPLES: &str = "\
Examples:
  pgbackfill undo jobs/prices_in_cents.toml --dry-run    how many rows, and how many were changed since
  pgbackfill undo prices_in_cents
  pgbackfill undo --contract jobs/orders_status_v2.toml

Each row gets back what the run has replaced, unless its columns were changed since: such a row is
left as it is, and listed in pgbackfill.undo_left. It is a run: it can be paused and killed, and
goes on. Where the run has kept nothing because its columns were new, dropping them is the way back.

With --contract: what was there before contract stays. A column that was dropped does not come back.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UndoArgs {
    /// Take back what contract has made: the last step first, each as gently as it was made
    #[arg(long)]
    contract: bool,
    /// Only tell what would be done
    #[arg(long, conflicts_with = "contract")]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// With --contract: how long it may keep the application waiting at a time [default: what the job says]
    #[arg(long, value_name = "TIME", requires = "contract")]
    stall: Option<String>,
    /// With --contract: how long a step waits for its turn [default: what the job says]
    #[arg(long, value_name = "TIME", requires = "contract")]
    patience: Option<String>,
    /// How progress and result are written
    #[arg(long, value_enum, default_value_t = Output::Text, conflicts_with = "contract")]
    output: Output,
    // Last, because its heading holds for whatever follows.
    #[command(flatten)]
    job: NamedJobArgs,
}

/// The result, for programs.
#[derive(Serialize)]
struct Undone<'a> {
    schema: u32,
    job: &'a str,
    undo: i64,
    put_back: u64,
    bad_rows: u64,
    #[serde(flatten)]
    left: Left,
}

pub(crate) async fn run(args: &UndoArgs, globals: &Globals) -> anyhow::Result<Exit> {
    if args.contract {
        let limits = (args.stall.clone(), args.patience.clone());
        return steps::undo_contract(&args.job.job, limits, globals).await;
    }
    let (job, pool, options) = run::of_named_job(&args.job, RunKind::Undo, globals).await?;
    let session = connect::session_of(&pool).await?;
    before(&session, &job).await?;
    if args.dry_run {
        return tell_preview(
            &engine::preview_undo(&pool, &job).await.map_err(Failure::from)?,
            &job,
            args.output,
        );
    }
    if !args.yes && !may_undo(&session, &job).await? {
        out::aside("nothing was changed");
        return Ok(Exit::Stopped);
    }
    // The workers have just enough connections.
    drop(session);
    let summary = run::take_part(&pool, &job, &options, (args.output, globals)).await?;
    let left = store::left_by_undo(&connect::session_of(&pool).await?, summary.run).await?;
    show::last_word(globals, args.output, &summary)?;
    let is_over = matches!(
        summary.outcome,
        Outcome::Complete | Outcome::AlreadyComplete | Outcome::CompleteWithBadRows
    );
    if args.output == Output::Json {
        let totals = &summary.progress.totals;
        out::json(&Undone {
            schema: 1,
            job: job.name.as_str(),
            undo: summary.run.0,
            put_back: totals.rows_changed,
            bad_rows: totals.bad_rows,
            left,
        })?;
    } else if is_over && left != Left::default() {
        out::verdict(&format!("{}\n{}", left_text(left), listed(summary.run.0)))?;
    }
    Ok(summary.outcome.into())
}

/// What stands in the way: nothing was run, or what was built upon it is still there.
async fn before(session: &Session, job: &Job) -> anyhow::Result<()> {
    let name = job.name.as_str();
    name::latest(session, name).await?;
    let made = store::steps(session, name).await?;
    let built = made.iter().find(|step| step.phase == "contract" && step.is_done && !step.is_undone);
    if let Some(step) = built {
        let what = format!("contract of job \"{name}\" was made ({} {})", step.kind, step.name);
        let hint = format!("pgbackfill undo --contract {name} comes first");
        return Err(Failure::error(format!("{what}: old values may not fit it\nhint: {hint}")).into());
    }
    Ok(())
}

/// Rows are changed, so a person is asked.
async fn may_undo(session: &Session, job: &Job) -> anyhow::Result<bool> {
    let name = job.name.as_str();
    let latest = name::latest(session, name).await?;
    let is_kept = latest.keeps_old && matches!(latest.state, RunState::Complete | RunState::Cancelled);
    if !is_kept || store::is_undone(session, latest.id).await? {
        // The engine says why it cannot be undone; one that was begun goes on.
        return Ok(true);
    }
    if !out::is_attended() {
        let hint = format!("pgbackfill undo {name} --yes; --dry-run tells what it would do");
        return Err(Failure::usage(format!("values are not put back without a yes\nhint: {hint}")).into());
    }
    let rows = store::totals(session, latest.id).await?.rows_changed;
    let rows = human::counted(rows, "row", "rows");
    let asked = format!("Run {} has changed {rows}. Put back what was there before?", latest.id);
    Ok(out::says_yes(&asked)?)
}

fn tell_preview(found: &UndoPreview, job: &Job, output: Output) -> anyhow::Result<Exit> {
    if output == Output::Json {
        out::json(&serde_json::json!({"schema": 1, "job": job.name.as_str(), "preview": found}))?;
        return Ok(Exit::Complete);
    }
    let UndoPreview { run, put_back, changed, gone } = *found;
    let rows = human::counted(put_back.unsigned_abs(), "row", "rows");
    let left = left_text(Left { changed, gone });
    out::verdict(&format!("undo of run {run} would put back {rows}; {left}"))?;
    Ok(Exit::Complete)
}

fn left_text(left: Left) -> String {
    let rows = |rows: i64, one: &str, many: &str| human::counted(rows.unsigned_abs(), one, many);
    format!(
        "left as they are: {}, {}",
        rows(left.changed, "row that was changed since", "rows that were changed since"),
        rows(left.gone, "row that is gone", "rows that are gone")
    )
}

fn listed(run: i64) -> String {
    format!("hint: SELECT key, why FROM pgbackfill.undo_left WHERE run = {run} shows them")
}
