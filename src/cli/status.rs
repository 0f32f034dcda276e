//! `pgbackfill status`: one run in detail, for the person on call.
//!
//! Must not know: how a run is worked on; it reads what the processes left in the database.

use std::io::IsTerminal;
use std::time::Duration;

use pgbackfill::db::Session;
use pgbackfill::human;
use pgbackfill::job::units::format_bytes;
use pgbackfill::run::{Hold, Knobs, Mode, RunId, RunState, Times};
use pgbackfill::signal::{Reading, blind};
use pgbackfill::store::{self, BadRow, Listed, Ordered, Process, Read, Totals};
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::{Globals, Output, connect, name, out};

const REDRAW_EVERY: Duration = Duration::from_secs(1);
/// Rows of the quarantine that are shown.
const BAD_ROWS_SHOWN: i64 = 5;

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

/// Everything that is shown of a run.
#[derive(Debug, Serialize)]
struct View {
    schema: u32,
    run: RunId,
    job: String,
    table: String,
    state: RunState,
    reason: Option<String>,
    state_at: String,
    created_at: String,
    created_by: String,
    progress: Totals,
    percent: Option<u64>,
    rows_per_s: f64,
    eta_s: Option<u64>,
    knobs: Knobs,
    order: Option<Ordered>,
    /// What may hold it back, while somebody works.
    guard: Option<Read>,
    processes: Vec<Process>,
    bad_rows: Vec<BadRow>,
}

pub(crate) async fn run(args: &StatusArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let session = connect::session_up_to_date(globals).await?;
    loop {
        let view = view(&session, args.job.as_deref()).await?;
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

async fn view(session: &Session, job: Option<&str>) -> anyhow::Result<View> {
    let listed = match job {
        Some(job) => {
            let job = name::latest(session, job).await?.job;
            store::list(session, Some(&job)).await?.into_iter().next()
        }
        None => current(store::list(session, None).await?),
    };
    let listed = listed.ok_or_else(|| Failure::error("nothing has been run in this database yet"))?;
    let progress = store::totals(session, listed.run).await?;
    let processes = store::live(session, listed.run).await?;
    let guard = if processes.is_empty() { None } else { store::guard_now(session).await? };
    let rows_per_s =
        processes.iter().map(|process| process.rows_per_s).fold(0.0, |sum, rows_per_s| sum + rows_per_s);
    Ok(View {
        schema: 1,
        percent: percent(listed.state, &progress),
        eta_s: eta_s(listed.state, &progress, rows_per_s),
        rows_per_s,
        bad_rows: store::bad_rows(session, listed.run, BAD_ROWS_SHOWN).await?,
        run: listed.run,
        job: listed.job,
        table: listed.table,
        state: listed.state,
        reason: listed.reason,
        state_at: listed.state_at,
        created_at: listed.created_at,
        created_by: listed.created_by,
        knobs: listed.knobs,
        order: store::latest_order(session, listed.run).await?,
        guard: guard.map(|guard| of_run(guard, listed.run)),
        progress,
        processes,
    })
}

/// Without what is about other runs' tables.
fn of_run(mut guard: Read, run: RunId) -> Read {
    guard.readings.retain(|reading| reading.run.is_none_or(|of| of == run.0));
    guard
}

/// The latest run that is not at its end, else the latest.
fn current(mut all: Vec<Listed>) -> Option<Listed> {
    let ended = |run: &Listed| matches!(run.state, RunState::Complete | RunState::Cancelled);
    let at = all.iter().position(|run| !ended(run)).unwrap_or(0);
    if all.is_empty() { None } else { Some(all.swap_remove(at)) }
}

fn percent(state: RunState, progress: &Totals) -> Option<u64> {
    match state {
        RunState::Complete => Some(100),
        // The number of rows is an estimate, so only the end is 100 %.
        _ => human::percent(progress.rows_passed, progress.rows_total).map(|percent| percent.min(99)),
    }
}

/// Keys that are left, at the speed of the changed rows and the share of keys that were changed so far.
fn eta_s(state: RunState, progress: &Totals, rows_per_s: f64) -> Option<u64> {
    let changed_per_key = progress.rows_changed as f64 / progress.rows_passed.max(1) as f64;
    let keys_per_s = rows_per_s / changed_per_key;
    if state != RunState::Running || !keys_per_s.is_finite() || keys_per_s < 0.1 {
        return None;
    }
    Some((progress.rows_total.saturating_sub(progress.rows_passed) as f64 / keys_per_s).ceil() as u64)
}

fn text(view: &View) -> String {
    let mut rows = vec![
        ("job", format!("{}, run {}, on {}", view.job, view.run, view.table)),
        ("state", standing(view)),
        ("since", format!("{} (started {} by {})", view.state_at, view.created_at, view.created_by)),
        ("progress", progress(view)),
        ("rate", rate(view)),
        ("pace", pace(&view.knobs)),
    ];
    let times = view.progress.times;
    rows.extend(
        (times != Times::default()).then(|| ("time", format!("{} (its workers' time)", times.sentence()))),
    );
    rows.extend((view.progress.retries > 0).then(|| ("retries", human::count(view.progress.retries))));
    rows.extend(view.order.as_ref().map(|order| ("order", self::order(order))));
    rows.extend(view.guard.as_ref().map(|read| ("guard", guard(read))));
    for process in &view.processes {
        rows.push(("process", self::process(process)));
        if let Some(error) = &process.last_error {
            rows.push(("", format!("last error: {}", human::one_line(error))));
        }
    }
    for bad in &view.bad_rows {
        rows.push(("bad row", format!("{}: {} {}", bad.key, bad.sqlstate, human::one_line(&bad.message))));
    }
    rows.iter().map(|(label, value)| format!("{label:<9} {value}")).collect::<Vec<_>>().join("\n")
}

/// A running run without a process does nothing, and whoever looks must see that first.
fn standing(view: &View) -> String {
    if view.state == RunState::Running && view.processes.is_empty() {
        return "running, but no process is at work: run the job to go on".to_owned();
    }
    let state = human::one_line(&view.state.sentence(view.reason.as_deref()));
    // What holds every process holds the run.
    match view.processes.iter().map(held).collect::<Option<Vec<_>>>() {
        Some(held) if view.state == RunState::Running && !held.is_empty() => format!("{state}, {}", held[0]),
        _ => state,
    }
}

/// How a process is held back, in words.
fn held(process: &Process) -> Option<String> {
    let hold = process.hold.as_deref().and_then(Hold::parse)?;
    let time = Duration::from_secs_f64(process.waiting_s.unwrap_or(0.0).max(0.0));
    Some(hold.sentence(time, &human::one_line(process.waiting.as_deref()?)))
}

fn progress(view: &View) -> String {
    let progress = &view.progress;
    let percent = view.percent.map(|percent| format!("{percent} %, ")).unwrap_or_default();
    let total = human::count(progress.rows_total);
    let about = if view.state == RunState::Complete { "" } else { "about " };
    format!(
        "{percent}{} of {about}{total} rows passed, {} changed; ranges: {} done, {} open{}",
        human::count(progress.rows_passed),
        human::count(progress.rows_changed),
        human::count(progress.ranges_done),
        human::count(progress.ranges_open),
        if progress.bad_rows > 0 { format!("; {} in quarantine", progress.bad_rows) } else { String::new() }
    )
}

fn rate(view: &View) -> String {
    let eta = view.eta_s.map(|s| format!(", about {} left", human::duration(Duration::from_secs(s))));
    format!("{}{}", human::rate(view.rows_per_s), eta.unwrap_or_default())
}

fn pace(knobs: &Knobs) -> String {
    let rows = knobs.max_rows_per_s.map(|rows| format!(", at most {} rows/s", human::count(rows.get())));
    let wal = knobs.max_wal_bytes_per_s.map(|bytes| format!(", at most {} of WAL/s", format_bytes(bytes)));
    let mode = match knobs.mode {
        Mode::Auto => "makes way for the application",
        Mode::Full => "as fast as it can",
    };
    format!(
        "{mode}, {} a process, batches of {} ms{}{}{}",
        human::counted(knobs.workers.get().into(), "worker", "workers"),
        knobs.batch_time_ms,
        rows.unwrap_or_default(),
        wal.unwrap_or_default(),
        knobs.window.as_ref().map(|window| format!(", only from {window}")).unwrap_or_default()
    )
}

fn order(order: &Ordered) -> String {
    let stripes = match order.stripes {
        1 => "by key".to_owned(),
        stripes => format!("{stripes} stripes"),
    };
    let hot = order.hot_percent.map(|percent| format!(", {percent} % HOT so far")).unwrap_or_default();
    let why = order.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{stripes}{hot}{why}")
}

/// What was read, and what could not be.
fn guard(read: &Read) -> String {
    let age = human::duration(Duration::try_from_secs_f64(read.read_s_ago.max(0.0)).unwrap_or_default());
    let said: Vec<_> = read.readings.iter().filter_map(Reading::said).collect();
    let said = if said.is_empty() { "nothing to tell".to_owned() } else { said.join("; ") };
    let blind = blind(&read.readings).map(|blind| format!("; blind for {blind}")).unwrap_or_default();
    human::one_line(&format!("read {age} ago: {said}{blind}"))
}

fn process(process: &Process) -> String {
    let waiting = || process.waiting.as_ref().map(|why| format!("waiting: {}", human::one_line(why)));
    let waiting = held(process).or_else(waiting).map(|held| format!("; {held}"));
    format!(
        "{} on {}, version {}, {}, {}{}",
        process.pid,
        process.host,
        process.version,
        human::counted(u64::try_from(process.workers).unwrap_or(0), "worker", "workers"),
        human::rate(process.rows_per_s),
        waiting.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use pgbackfill::signal::Signal;

    use super::*;

    fn view() -> View {
        View {
            schema: 1,
            run: RunId(3),
            job: "orders_status_v2".into(),
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
            order: Some(Ordered { stripes: 8, why: Some("in turns".into()), hot_percent: Some(79) }),
            guard: Some(Read {
                leader: Some("db1/4711/1".into()),
                read_s_ago: 0.4,
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
                waiting: Some("replica r1 is 4.2 s behind, limit 1.0 s".into()),
                hold: Some("paused".into()),
                waiting_s: Some(182.3),
                last_error: Some("canceling statement due to lock timeout\nhint: x".into()),
                started_at: "2026-01-01T02:00:00Z".into(),
                seen_s_ago: 0.2,
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
        "#);
    }

    #[test]
    fn a_run_that_nobody_works_on_says_so_first() {
        let idle = View { processes: vec![], ..view() };
        assert!(text(&idle).contains("running, but no process is at work"));
    }

    #[test]
    fn the_eta_counts_keys_not_only_changed_rows() {
        // Half of the keys were changed, so keys pass at twice the speed of changes.
        assert_eq!(eta_s(RunState::Running, &view().progress, 1000.0), Some(250));
        assert_eq!(eta_s(RunState::Paused, &view().progress, 1000.0), None);
        assert_eq!(eta_s(RunState::Running, &view().progress, 0.0), None);
    }

    #[test]
    fn only_a_complete_run_is_at_100_percent() {
        let progress = Totals { rows_passed: 10, rows_total: 10, ..Totals::default() };
        assert_eq!(percent(RunState::Running, &progress), Some(99));
        assert_eq!(percent(RunState::Complete, &progress), Some(100));
    }
}
