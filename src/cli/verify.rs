//! `pgbackfill verify`: hands the job to the engine, to compare instead of to change, and says what came out.
//!
//! Must not know: how rows are compared.

use std::time::Duration;

use pgbackfill::change::WRITTEN_BY_THE_RUN as WRITTEN;
use pgbackfill::db::{Pool, Session};
use pgbackfill::ddl;
use pgbackfill::event::{Outcome, Summary};
use pgbackfill::human;
use pgbackfill::job::Job;
use pgbackfill::plan;
use pgbackfill::run::RunKind;
use pgbackfill::store::{self, Verification, WrongRow};
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::globals::{Globals, Output};
use super::job::NamedJobArgs;
use super::{connect, name, out, run, show};

/// Rows that are told by their keys.
const ROWS_SHOWN: i64 = 10;

const EXAMPLES: &str = "\
Examples:
  pgbackfill verify jobs/orders_status_v2.toml
  pgbackfill verify orders_status_v2 --mode full        as fast as it can
  pgbackfill verify orders_status_v2 --repair           change the rows that the last one has found

Each row is compared with what `set` makes of it now, up to the present end of the table, in batches
as short as those of a run. A row that differs is looked at again after 5 s. Running it again after
a stop goes on; after its end it is another look. Several processes share one.

Exit code 4: rows differ.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// Change the rows that the latest verification has found, and no others
    #[arg(long)]
    repair: bool,
    /// Do not ask before rows are repaired
    #[arg(long)]
    yes: bool,
    /// How progress and result are written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    // Last, because its heading holds for whatever follows.
    #[command(flatten)]
    job: NamedJobArgs,
}

/// The result, for programs.
#[derive(Serialize)]
struct Result<'a> {
    schema: u32,
    job: &'a str,
    verification: &'a Verification,
    wrong: &'a [WrongRow],
}

pub(crate) async fn run(args: &VerifyArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let kind = if args.repair { RunKind::Repair } else { RunKind::Verify };
    let (job, pool, options) = run::of_named_job(&args.job, kind, globals).await?;
    // A database in which nothing was ever run is said to be one.
    let session = connect::session_of(&pool).await?;
    name::latest(&session, job.name.as_str()).await?;
    if kind == RunKind::Repair && !args.yes && !may_repair(&session, &job).await? {
        out::aside("nothing was changed");
        return Ok(Exit::Stopped);
    }
    if kind == RunKind::Verify {
        warn_if_out_of_step(&session, &job).await?;
    }
    drop(session);
    let summary = run::take_part(&pool, &job, &options, (args.output, globals)).await?;
    if kind == RunKind::Repair || summary.outcome != Outcome::Complete && !is_at_its_end(&summary) {
        show::last_word(globals, args.output, &summary)?;
        if kind == RunKind::Repair && args.output == Output::Text && !globals.quiet {
            out::aside(&format!("next: pgbackfill verify {}", args.job.job));
        }
        return Ok(summary.outcome.into());
    }
    tell(&pool, &job, &summary, args).await
}

/// With rows that cannot be compared it is at its end, too.
fn is_at_its_end(summary: &Summary) -> bool {
    summary.outcome == Outcome::CompleteWithBadRows
}

/// What is verified without a trigger may be wrong soon.
async fn warn_if_out_of_step(session: &Session, job: &Job) -> anyhow::Result<()> {
    let Ok(table) = plan::find_table(session, job).await else { return Ok(()) };
    if !ddl::keeps_in_step(session, job, table.relation).await? {
        out::aside(
            "warning: the job keeps its columns in step, and its trigger does not fire: rows may differ soon after they were compared\n  \
             hint: pgbackfill expand puts it in place",
        );
    }
    Ok(())
}

/// Rows are changed, so a person is asked.
async fn may_repair(session: &Session, job: &Job) -> anyhow::Result<bool> {
    let name = job.name.as_str();
    let Some(found) = store::verification(session, name, None).await?.filter(|found| !found.verified) else {
        // The engine says why there is nothing to repair.
        return Ok(true);
    };
    if !out::is_attended() {
        let message = "rows are not changed without a yes";
        return Err(
            Failure::usage(format!("{message}\nhint: pgbackfill verify {name} --repair --yes")).into()
        );
    }
    let wrong = found.wrong().join(", ");
    let asked = format!("Verification {} has found {wrong}. Set them to what the job gives?", found.run);
    Ok(out::says_yes(&asked)?)
}

async fn tell(pool: &Pool, job: &Job, summary: &Summary, args: &VerifyArgs) -> anyhow::Result<Exit> {
    let session = pool.session().await?;
    let (name, run) = (job.name.as_str(), summary.run);
    let found = store::verification(&session, name, Some(run)).await?;
    let found =
        found.ok_or_else(|| Failure::error(format!("verification {run} of job \"{name}\" has no result")))?;
    let wrong = store::wrong_rows(&session, run, ROWS_SHOWN).await?;
    let bad_rows = store::bad_rows(&session, run, ROWS_SHOWN).await?;
    match args.output {
        Output::Json => out::json(&Result { schema: 1, job: name, verification: &found, wrong: &wrong })?,
        Output::Text => {
            let rows = wrong.iter().map(|row| format!("  {} {}: {}", row.table, row.key, row.what));
            let bad = bad_rows.iter().map(|bad| format!("  {}: {}", bad.key, human::one_line(&bad.message)));
            let rows: Vec<_> = rows.chain(bad).collect();
            out::verdict(&text(&found, &rows, (job, summary), &args.job.job))?;
        }
    }
    Ok(if found.verified { Exit::Complete } else { Exit::BadRows })
}

fn text(found: &Verification, rows: &[String], (job, summary): (&Job, &Summary), asked: &str) -> String {
    let name = job.name.as_str();
    let all = (found.rows + found.rows_later).unsigned_abs();
    let (time, here) = (Duration::from_millis(summary.elapsed_ms), summary.rows_changed_here);
    let later = match found.rows_later {
        0 => String::new(),
        rows => format!(", {} of which came after the backfill", human::count(rows.unsigned_abs())),
    };
    let worked_s = Duration::from_millis(summary.elapsed_ms.saturating_sub(summary.halted_ms)).as_secs_f64();
    let rate =
        if here > 0 { human::rate(here as f64 / worked_s.max(0.001)) } else { "nothing here".to_owned() };
    let head = if found.verified { "verified" } else { "not verified" };
    let mut lines = vec![
        format!("{head}: {name}, verification {} of run {}", found.run, found.of),
        format!(
            "{} compared{later}, by this process in {}, {rate}",
            human::counted(all, "row", "rows"),
            human::elapsed(time)
        ),
        format!("compared: {}", found.compared.join(", ")),
    ];
    if found.verified {
        lines.push(if found.in_step {
            "no row differs; that holds as long as the sync trigger is not changed".to_owned()
        } else {
            let within = human::duration(Duration::from_secs(job.verify.within_s));
            format!("no row differs; contract builds upon that for {within}")
        });
        if !job.steps.contract.is_empty() {
            lines.push(format!("next: pgbackfill contract {asked}"));
        }
        return lines.join("\n");
    }
    lines.push(format!("found {}:", found.wrong().join(", ")));
    lines.extend(rows.iter().cloned());
    let more = found.mismatches + found.moving + found.bad_rows - rows.len() as i64;
    lines.extend((more > 0).then(|| format!("  and {} more", human::count(more.unsigned_abs()))));
    lines.push(hint(found, asked));
    lines.join("\n")
}

fn hint(found: &Verification, asked: &str) -> String {
    let all = format!("hint: SELECT * FROM pgbackfill.suspect WHERE run = {} shows all of them", found.run);
    // What was changed in place would be changed twice.
    if found.compared.iter().any(|what| what == WRITTEN) {
        return all;
    }
    format!("{all}; pgbackfill verify {asked} --repair sets them to what the job gives")
}
