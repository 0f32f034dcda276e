//! What is shown of a run, in words.
//!
//! Must not know: where the words stand.

use std::time::Duration;

use super::View;
use crate::human;
use crate::job::units::format_bytes;
use crate::run::pace::READING_VALID;
use crate::run::{Hold, Knobs, Mode, RunState};
use crate::scan::ScanOrder;
use crate::signal::{Reading, blind};
use crate::store::{
    KeptValues, Process, Proof, Read, STEP_SILENCE_S_MAX, StoredStep, StripesNow, Verification,
};

/// The run's state in a sentence. A running run without a process does nothing, and that is said first.
#[must_use]
pub fn standing(view: &View) -> String {
    if view.state == RunState::Running && view.processes.is_empty() {
        return "running, but no process is at work: run the job to go on".to_owned();
    }
    let undone = if view.is_undone { ", undone since" } else { "" };
    let state = format!("{}{undone}", human::one_line(&view.state.sentence(view.reason.as_deref())));
    // What holds every process holds the run.
    match view.processes.iter().map(held).collect::<Option<Vec<_>>>() {
        Some(held) if view.state == RunState::Running && !held.is_empty() => format!("{state}, {}", held[0]),
        _ => state,
    }
}

/// How a process is held back, in words.
#[must_use]
pub fn held(process: &Process) -> Option<String> {
    let hold = process.hold.as_deref().and_then(Hold::parse)?;
    let time = Duration::from_secs_f64(process.waiting_s.unwrap_or(0.0).max(0.0));
    Some(hold.sentence(time, &human::one_line(process.waiting.as_deref()?)))
}

/// How far it has got.
#[must_use]
pub fn progress(view: &View) -> String {
    let progress = &view.progress;
    let percent = view.percent.map(|percent| format!("{percent} %, ")).unwrap_or_default();
    let total = human::count(progress.rows_total);
    let about = if view.state == RunState::Complete { "" } else { "about " };
    format!(
        "{percent}{} of {about}{total} rows passed, {} {}; ranges: {} done, {} open{}",
        human::count(progress.rows_passed),
        human::count(progress.rows_changed),
        view.kind.counted(),
        human::count(progress.ranges_done),
        human::count(progress.ranges_open),
        if progress.bad_rows > 0 { format!("; {} in quarantine", progress.bad_rows) } else { String::new() }
    )
}

/// How fast it is, and how long it will take.
#[must_use]
pub fn rate(view: &View) -> String {
    let eta = view.eta_s.map(|s| format!(", about {} left", human::duration(Duration::from_secs(s))));
    format!("{}{}", human::rate(view.rows_per_s), eta.unwrap_or_default())
}

/// How fast it may go: what a person has set, and whether anybody has to be made way for.
#[must_use]
pub fn pace(knobs: &Knobs, guard: Option<&Read>) -> String {
    let rows = knobs.max_rows_per_s.map(|rows| format!(", at most {} rows/s", human::count(rows.get())));
    let wal = knobs.max_wal_bytes_per_s.map(|bytes| format!(", at most {} of WAL/s", format_bytes(bytes)));
    let alone_s =
        guard.filter(|read| read.read_s_ago <= READING_VALID.as_secs_f64()).and_then(|read| read.alone_s);
    let mode = match (knobs.mode, alone_s) {
        (Mode::Auto, None) => "makes way for the application".to_owned(),
        (Mode::Auto, Some(s)) => {
            let time = human::duration(Duration::try_from_secs_f64(s.max(0.0)).unwrap_or_default());
            format!("full speed: nobody else has been at work for {time}")
        }
        (Mode::Full, _) => "as fast as it can".to_owned(),
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

/// In how many stripes it is walked, and why.
#[must_use]
pub fn stripes(order: &StripesNow) -> String {
    let stripes = match (order.scan, order.sweep, order.stripes) {
        (ScanOrder::Keys, _, 1) => "by key".to_owned(),
        (ScanOrder::Keys, _, stripes) => format!("{stripes} stripes"),
        (ScanOrder::Heap, 0, 1) => "by block".to_owned(),
        (ScanOrder::Heap, 0, stripes) => format!("by block, {stripes} stripes"),
        (ScanOrder::Heap, sweep, _) => format!("by block, sweep {sweep}"),
    };
    let hot = order.hot_percent.map(|percent| format!(", {percent} % HOT so far")).unwrap_or_default();
    let why = order.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{stripes}{hot}{why}")
}

/// Whether it is known that a walk by block has missed no row.
#[must_use]
pub fn proof(proof: &Proof) -> String {
    let proven = if proof.proven { "proven" } else { "not proven" };
    format!("{proven}: {}", human::one_line(&proof.text))
}

/// What the latest verification has found out.
#[must_use]
pub fn verification(found: &Verification, unverified: Option<&str>) -> String {
    let rows = human::count((found.rows + found.rows_later).unsigned_abs());
    let wrong = found.wrong().join(", ");
    let what = if found.verified {
        format!("{rows} rows compared, none differs")
    } else {
        format!("{wrong} of {rows} rows")
    };
    let but = unverified.map(|why| format!("; does not count: {why}")).filter(|_| found.verified);
    format!("run {} at {}: {what}{}", found.run, found.ended_at, but.unwrap_or_default())
}

/// What a run has replaced, and is kept.
#[must_use]
pub fn kept(kept: &KeptValues, job: &str) -> String {
    let age = human::duration(Duration::try_from_secs_f64(kept.age_s.max(0.0)).unwrap_or_default());
    let bytes = human::bytes(kept.bytes.unsigned_abs());
    format!(
        "{bytes} of what run {} replaced, {age} old: pgbackfill undo {job} puts it back, forget {job} drops it",
        kept.run
    )
}

/// What the signals say, and what could not be read.
#[must_use]
pub fn guard(read: &Read) -> String {
    let age = human::duration(Duration::try_from_secs_f64(read.read_s_ago.max(0.0)).unwrap_or_default());
    let said: Vec<_> = read.readings.iter().filter_map(Reading::said).collect();
    let said = if said.is_empty() { "nothing to tell".to_owned() } else { said.join("; ") };
    let blind = blind(&read.readings).map(|blind| format!("; blind for {blind}")).unwrap_or_default();
    human::one_line(&format!("read {age} ago: {said}{blind}"))
}

/// A process at work.
#[must_use]
pub fn process(process: &Process) -> String {
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

/// A step before the run or after it.
#[must_use]
pub fn step(step: &StoredStep) -> String {
    let StoredStep { phase, kind, name, stood_ms, held_ms, .. } = step;
    let name = if kind == "sync" { String::new() } else { format!(" {name}") };
    let what = format!("{phase}: {kind}{name}");
    let times = format!("{stood_ms:.1} ms in the queue for its lock, {held_ms:.1} ms with it");
    match (step.is_done, &step.waits_for) {
        _ if step.is_undone => format!("{what}, taken back"),
        (true, _) if step.adopted => format!("{what}, was there already"),
        (true, _) if *held_ms > 0.0 => format!("{what}, done: {times}"),
        (true, _) => format!("{what}, done"),
        (false, _) if step.silent_s > STEP_SILENCE_S_MAX => {
            format!("{what}, not done, and nobody makes it: type pgbackfill {phase} again")
        }
        (false, Some(who)) => format!("{what}, made by {}: {}", step.made_by, human::one_line(who)),
        (false, None) => format!("{what}, made by {}", step.made_by),
    }
}
