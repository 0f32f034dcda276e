//! `pgbackfill plan`: the review of a job before it runs, for a person or for a program.
//!
//! Must not know: how anything is found out.

use pgbackfill::catalog;
use pgbackfill::change::{Grants, grants};
use pgbackfill::db::{NextAct, Session};
use pgbackfill::ddl::outline;
use pgbackfill::engine::EngineError;
use pgbackfill::job::{Job, JobErrors, Phase, set_knobs};
use pgbackfill::plan::review::{Facts, Subject, failed_trial, judge, look, missing_create};
use pgbackfill::plan::{
    self, Finding, Measured, Plan, Refusal, Severity, Trial, estimate, rows_estimated, rows_to_change,
};

use pgbackfill::run::RunKind;
use pgbackfill::scan::Strategy;
use pgbackfill::store;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::{Exit, Failure};
use super::globals::{Globals, Output};
use super::job::JobArgs;
use super::{connect, out};

mod text;
mod view;

use view::{Existing, Rows, View};

const EXAMPLES: &str = "\
Examples:
  pgbackfill plan jobs/orders_status_v2.toml
  pgbackfill plan jobs/orders_status_v2.toml --max-rows-per-second 5000     what that pace would mean
  pgbackfill plan --table orders --set \"status_v2 = upper(status)\" --where \"status_v2 IS NULL\"

Exit code 0: it can run, perhaps with warnings; 2: it cannot run like this.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PlanArgs {
    /// Do not try a batch: no new value is computed, and nothing is known about cost
    #[arg(long)]
    no_trial: bool,
    /// How it is written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    // Last, because its headings hold for whatever follows.
    #[command(flatten)]
    job: JobArgs,
}

/// A job that cannot run at all has nothing but findings.
#[derive(Debug, Serialize)]
struct Refused<'a> {
    schema: u32,
    job: &'a str,
    findings: Vec<Finding>,
}

pub(crate) async fn run(args: &PlanArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let mut job = args.job.job("plan")?;
    let changes = args.job.knob_changes(&job)?;
    let changes = changes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    set_knobs(&mut job.pace.knobs, changes).map_err(Failure::usage)?;
    job.pace.knobs.workers = args.job.workers.unwrap_or(job.pace.knobs.workers);
    let pool = connect::pool(&connect::params(globals, &format!("pgbackfill plan {}", job.name))?, 2)?;
    let mut session = pool.session().await.map_err(EngineError::from).map_err(Failure::from)?;
    let watch = pool.session().await.map_err(EngineError::from).map_err(Failure::from)?;
    let canceller = session.canceller();
    tokio::select! {
        exit = review((&mut session, &watch), &job, args, pool.address()) => exit,
        interrupted = interrupted() => {
            interrupted?;
            // What runs is stopped; what was begun is rolled back when the session is dropped.
            let _ = canceller.cancel().await;
            out::aside("stopped; nothing was changed");
            Ok(Exit::Stopped)
        }
    }
}

/// A signal asks to stop.
pub(crate) async fn interrupted() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// The second session watches who waits for the first.
async fn review(
    (session, watch): (&mut Session, &Session),
    job: &Job,
    args: &PlanArgs,
    address: &str,
) -> anyhow::Result<Exit> {
    let server = catalog::server(session).await?;
    if server.standby {
        return Err(Failure::from(EngineError::Standby { address: address.to_owned() }).into());
    }
    let plan = match plan::preflight(session, job, &server.user, RunKind::Backfill).await {
        Ok(plan) => plan,
        Err(Refusal::Job(errors)) => {
            // What it lacks may be what `expand` makes.
            if args.output == Output::Text
                && let Ok(table) = plan::find_table(session, job).await
                && let Some(before) = text::before(&outline(job, Phase::Expand, &table.name, server.version))
            {
                out::text(&before)?;
            }
            return refuse(job, &errors, args.output);
        }
        Err(refusal) => return Err(Failure::from(EngineError::from(refusal)).into()),
    };
    let facts = look(session, job, &plan).await;
    let tried = try_batch((session, watch), job, &plan, &server, &facts, args).await?;
    let mut view = view(job, &plan, &server, &facts, tried);
    view.run = existing(session, job).await;
    match args.output {
        Output::Text => out::text(&text::of(&view))?,
        Output::Json => out::json(&view)?,
    }
    let is_error = view.findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if is_error { Exit::Usage } else { Exit::Complete })
}

/// None, too, where the control schema cannot be read: `run` says so.
async fn existing(session: &Session, job: &Job) -> Option<Existing> {
    if !store::installed(session).await.ok()? {
        return None;
    }
    let run = store::latest(session, job.name.as_str(), RunKind::Backfill).await.ok()??;
    Some(Existing { run: run.id, state: run.state })
}

fn refuse(job: &Job, errors: &JobErrors, output: Output) -> anyhow::Result<Exit> {
    if output == Output::Text {
        return Err(Failure::usage(errors.to_string()).into());
    }
    let findings = errors.iter().map(Finding::from).collect();
    out::json(&Refused { schema: 1, job: job.name.as_str(), findings })?;
    Ok(Exit::Usage)
}

/// What became of the trial.
#[derive(Default)]
struct Tried {
    trial: Option<Trial>,
    measured: Option<Measured>,
    why_not: Option<String>,
    failed: Option<Finding>,
}

async fn try_batch(
    (session, watch): (&mut Session, &Session),
    job: &Job,
    plan: &Plan,
    server: &catalog::Server,
    facts: &Facts,
    args: &PlanArgs,
) -> anyhow::Result<Tried> {
    let Some(trial) = plan::trial(session, job, plan, facts.sample.as_ref()).await? else {
        return Ok(Tried { why_not: Some("the table is empty".to_owned()), ..Tried::default() });
    };
    if args.no_trial {
        return Ok(Tried {
            trial: Some(trial),
            why_not: Some("no batch was tried, because of --no-trial".to_owned()),
            ..Tried::default()
        });
    }
    let tried = match plan::measure(session, watch, job, plan, server, &trial).await {
        Ok(Measured { made_way: Some(why), rows_changed: 0, .. }) => Tried {
            why_not: Some(format!("{why}, so the batch that was tried was given up")),
            ..Tried::default()
        },
        Ok(measured) if measured.rows_changed == 0 => Tried {
            why_not: Some("the batch that was tried met no row to change".to_owned()),
            ..Tried::default()
        },
        Ok(measured) => Tried { measured: Some(measured), ..Tried::default() },
        Err(error) if error.next_act() == NextAct::Reconnect => return Err(error.into()),
        Err(error) => Tried {
            why_not: Some("the batch that was tried failed; see the findings".to_owned()),
            failed: Some(failed_trial(&error)),
            ..Tried::default()
        },
    };
    Ok(Tried { trial: Some(trial), ..tried })
}

fn view(job: &Job, plan: &Plan, server: &catalog::Server, facts: &Facts, tried: Tried) -> View {
    let sample = facts.sample.clone();
    let to_change = rows_to_change(plan, sample.as_ref());
    let measured = tried.measured;
    let estimate = measured.as_ref().and_then(|measured| {
        estimate(to_change, measured, &job.pace.knobs, facts.sizes(), &server.checkpoints)
    });
    let subject =
        Subject { job, plan, server, facts, measured: measured.as_ref(), estimate: estimate.as_ref() };
    let mut findings = judge(&subject);
    findings.extend(tried.failed);
    findings.extend(missing_create(server, facts));
    findings.sort_by_key(|finding| finding.severity);
    let order = Strategy::new(&plan.order, job.order.stripes).choice();
    let outline = |phase| outline(job, phase, &plan.table.name, server.version);
    View {
        schema: 1,
        job: job.name.to_string(),
        table: plan.table.name.to_string(),
        partitions: if plan.table.kind == "p" { plan.leaves.len() } else { 0 },
        database: server.database.clone(),
        role: server.user.clone(),
        server_version: format!("{}.{}", server.version / 10_000, server.version % 10_000),
        key: plan.walk.key_names(),
        order: plan.ordering.order,
        order_why: plan.ordering.why.clone(),
        stripes: tried.trial.as_ref().map_or(order.wanted.most(), Trial::stripes),
        why: tried.trial.as_ref().map_or(order.why, |trial| trial.why.clone()),
        statement: tried.trial.as_ref().map(|trial| trial.statement(plan)),
        quiet: plan.change.quiet().iter().map(|column| column.0.clone()).collect(),
        keeps_old: plan.keeps.yes,
        keeps_why: plan.keeps.why.clone(),
        knobs: job.pace.knobs.clone(),
        rows: Rows { estimated: rows_estimated(plan), sample, to_change },
        trial: measured,
        not_tried: tried.why_not,
        estimate,
        findings,
        grants: script(job, plan, server, facts),
        run: None,
        before: outline(Phase::Expand),
        after: outline(Phase::Contract),
    }
}

/// For a role that is named after the job.
fn script(job: &Job, plan: &Plan, server: &catalog::Server, facts: &Facts) -> String {
    let leaves = plan.leaves.iter().map(|leaf| &leaf.name).filter(|leaf| **leaf != plan.table.name);
    grants(&Grants {
        role: &format!("backfill_{}", job.name),
        database: &server.database,
        tables: std::iter::once(&plan.table.name).chain(leaves).collect(),
        change: &plan.change,
        reads: facts.reads(),
        installed: facts.installed(),
        keeps_old: plan.keeps.yes,
    })
}
