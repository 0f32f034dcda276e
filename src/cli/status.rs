//! `pgbackfill status`: one run in detail, for the person on call.
//!
//! Must not know: how a run is worked on; it reads what the processes left in the database.

use std::io::IsTerminal;
use std::time::Duration;

use pgbackfill::human;
use pgbackfill::run::{RunState, Times};
use pgbackfill::status::{self, FindError, View};
use pgbackfill::store::{self, StoredStep};
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::globals::{Globals, Output};
use super::{connect, name, out};

const REDRAW_EVERY: Duration = Duration::from_secs(1);

/// A job that was never run, with the steps before its run.
#[derive(Debug, Serialize)]
struct NeverRun<'a> {
    schema: u32,
    job: &'a str,
    steps: &'a [StoredStep],
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Name of the job, or its file [default: the latest run that is not complete]
    job: Option<String>,
    /// Show it again every second until the run ends
    #[arg(long)]
    watch: bool,
    /// How it is written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(crate) async fn run(args: &StatusArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let session = connect::session_up_to_date(globals).await?;
    loop {
        let job = args.job.as_deref().map(name::of);
        let view = match (status::view(&session, job.as_deref()).await, &job) {
            // Before the run there are the steps that come before it.
            (Err(FindError::NeverRun { name, hint }), Some(job)) => {
                let steps = store::steps(&session, job).await?;
                if steps.is_empty() {
                    return Err(Failure::from(FindError::NeverRun { name, hint }).into());
                }
                return before_run(job, &steps, args.output);
            }
            (view, _) => view.map_err(Failure::from)?,
        };
        let text = match args.output {
            Output::Json => serde_json::to_string(&view)?,
            Output::Text => text(&view),
        };
        let redraw = args.watch && args.output == Output::Text && std::io::stdout().is_terminal();
        // Home and clear: the next picture takes the place of the last one.
        out::text(&format!("{}{text}", if redraw { "\x1b[H\x1b[2J" } else { "" }))?;
        if !args.watch || matches!(view.state, RunState::Complete | RunState::Cancelled) {
            return Ok(Exit::Complete);
        }
        tokio::time::sleep(REDRAW_EVERY).await;
    }
}

/// What there is of a job that was never run.
fn before_run(job: &str, steps: &[StoredStep], output: Output) -> anyhow::Result<Exit> {
    if output == Output::Json {
        out::json(&NeverRun { schema: 1, job, steps })?;
        return Ok(Exit::Complete);
    }
    let head = [("job", job.to_owned()), ("state", "never run".to_owned())];
    let steps = steps.iter().map(|step| ("step", status::step(step)));
    out::text(&labelled(&head.into_iter().chain(steps).collect::<Vec<_>>()))?;
    Ok(Exit::Complete)
}

fn labelled(rows: &[(&str, String)]) -> String {
    rows.iter().map(|(label, value)| format!("{label:<9} {value}")).collect::<Vec<_>>().join("\n")
}

fn text(view: &View) -> String {
    let mut rows = vec![
        ("job", format!("{}, {} {}, on {}", view.job, view.kind.noun(), view.run, view.table)),
        ("state", status::standing(view)),
        ("since", format!("{} (started {} by {})", view.state_at, view.created_at, view.created_by)),
        ("progress", status::progress(view)),
        ("rate", status::rate(view)),
        ("pace", status::pace(&view.knobs, view.guard.as_ref())),
    ];
    let times = view.progress.times;
    rows.extend(
        (times != Times::default()).then(|| ("time", format!("{} (its workers' time)", times.sentence()))),
    );
    rows.extend((view.progress.retries > 0).then(|| ("retries", human::count(view.progress.retries))));
    rows.extend(view.order.as_ref().map(|order| ("order", status::stripes(order))));
    rows.extend(view.proof.as_ref().map(|proof| ("proof", status::proof(proof))));
    rows.extend(view.guard.as_ref().map(|read| ("guard", status::guard(read))));
    for process in &view.processes {
        rows.push(("process", status::process(process)));
        if let Some(error) = &process.last_error {
            rows.push(("", format!("last error: {}", human::one_line(error))));
        }
    }
    for bad in &view.bad_rows {
        rows.push(("bad row", format!("{}: {} {}", bad.key, bad.sqlstate, human::one_line(&bad.message))));
    }
    let verified = view.verification.as_ref();
    let told = verified.map(|found| status::verification(found, view.unverified.as_deref()));
    rows.extend(told.map(|told| ("verified", told)));
    rows.extend(view.kept.iter().map(|kept| ("kept", status::kept(kept, &view.job))));
    rows.extend(view.steps.iter().map(|step| ("step", status::step(step))));
    labelled(&rows)
}

#[cfg(test)]
mod tests {
    use pgbackfill::run::{Knobs, RunId, RunKind, Totals};
    use pgbackfill::scan::ScanOrder;
    use pgbackfill::signal::{Reading, Signal};
    use pgbackfill::store::{Process, Read, StripesNow};

    use super::*;

    fn view() -> View {
        View {
            schema: 1,
            run: RunId(3),
            job: "orders_status_v2".into(),
            kind: RunKind::Backfill,
            verification: None,
            unverified: None,
            kept: vec![],
            is_undone: false,
            table: "\"public\".\"orders\"".into(),
            state: RunState::Running,
            reason: None,
            state_at: "2026-01-01T03:00:00Z".into(),
            created_at: "2026-01-01T02:00:00Z".into(),
            created_by: "ada@db1".into(),
            progress: Totals {
                rows_changed: 250_000,
                rows_passed: 500_000,
                rows_total: 1_000_000,
                sweeps_passed: 0,
                sweeps_total: 0,
                ranges_done: 9,
                ranges_open: 2,
                bad_rows: 0,
                retries: 1_204,
                times: Times { working_ms: 400_000, throttled_ms: 20_000, paused_ms: 0, blocked_ms: 0 },
            },
            percent: Some(50),
            rows_per_s: 1000.0,
            eta_s: Some(500),
            knobs: Knobs::default(),
            order: Some(StripesNow {
                scan: ScanOrder::Keys,
                sweep: 0,
                stripes: 8,
                why: Some("in turns".into()),
                hot_percent: Some(79),
            }),
            proof: None,
            guard: Some(Read {
                leader: Some("db1/4711/1".into()),
                read_s_ago: 0.4,
                alone_s: None,
                readings: vec![
                    Reading {
                        signal: Signal::ReplicaLag,
                        run: None,
                        subject: "r1".into(),
                        value: Some(120.0),
                        logical: false,
                        at_least: false,
                    },
                    Reading {
                        signal: Signal::OldSnapshot,
                        run: None,
                        subject: "other sessions".into(),
                        value: None,
                        logical: false,
                        at_least: false,
                    },
                ],
            }),
            processes: vec![Process {
                process: "db1/7/1".into(),
                host: "db1".into(),
                pid: 7,
                version: "0.1.0".into(),
                workers: 2,
                rows_per_s: 1000.0,
                rows_passed_per_s: 2000.0,
                waiting: Some("replica r1 is 4.2 s behind, limit 1.0 s".into()),
                hold: Some("paused".into()),
                waiting_s: Some(182.3),
                last_error: Some("canceling statement due to lock timeout\nhint: x".into()),
                started_at: "2026-01-01T02:00:00Z".into(),
                seen_s_ago: 0.2,
            }],
            steps: vec![StoredStep {
                id: 1,
                phase: "expand".into(),
                kind: "column".into(),
                name: "status_v2".into(),
                definition: "text".into(),
                is_done: true,
                is_undone: false,
                made_by: "ada@db1 (process 7)".into(),
                adopted: false,
                tries: 1,
                stood_ms: 12.0,
                held_ms: 3.46,
                waits_for: None,
                silent_s: 60.0,
                at: "2026-01-01T01:00:00Z".into(),
                done_s_ago: Some(60.0),
            }],
            bad_rows: vec![],
        }
    }

    #[test]
    fn a_run_at_work_is_shown_with_its_processes() {
        insta::assert_snapshot!(text(&view()), @r#"
        job       orders_status_v2, run 3, on "public"."orders"
        state     running, paused 3 min 02 s: replica r1 is 4.2 s behind, limit 1.0 s
        since     2026-01-01T03:00:00Z (started 2026-01-01T02:00:00Z by ada@db1)
        progress  50 %, 500,000 of about 1,000,000 rows passed, 250,000 changed; ranges: 9 done, 2 open
        rate      1.0 k rows/s, about 8 min 20 s left
        pace      makes way for the application, 2 workers a process, batches of 100 ms
        time      6 min 40 s working, 20.0 s throttled, 0 ms paused, 0 ms blocked (its workers' time)
        retries   1,204
        order     8 stripes, 79 % HOT so far: in turns
        guard     read 400 ms ago: replica r1 is 120 ms behind; blind for old_snapshot (other sessions)
        process   7 on db1, version 0.1.0, 2 workers, 1.0 k rows/s; paused 3 min 02 s: replica r1 is 4.2 s behind, limit 1.0 s
                  last error: canceling statement due to lock timeout hint: x
        step      expand: column status_v2, done: 12.0 ms in the queue for its lock, 3.5 ms with it
        "#);
    }

    #[test]
    fn full_speed_says_since_when_nobody_else_is_at_work() {
        let mut alone = view();
        alone.guard.as_mut().unwrap().alone_s = Some(40.2);
        let text = text(&alone);
        assert!(
            text.contains("pace      full speed: nobody else has been at work for 40 s, 2 workers"),
            "{text}"
        );
    }

    #[test]
    fn a_run_without_a_process_says_so_first() {
        let idle = View { processes: vec![], ..view() };
        assert!(text(&idle).contains("running, but no process is at work"));
    }
}
