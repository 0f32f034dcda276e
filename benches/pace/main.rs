//! What a backfill does to an application, and what it gets done meanwhile: `pgbench` beside `pgbackfill` on
//! a throwaway server.
//!
//! The application is an open loop: its transactions come at a fixed rate whether the last ones have ended or
//! not, and each is counted from the moment at which it should have begun, so that a stall is not hidden by
//! the transactions that it kept from beginning. Its rate is nothing, 200 a second, or 10 to 70 % of what it reaches
//! alone.
//!
//! `make pace-eval` measures all of it (about 35 minutes), `ARGS=loads`, `ARGS=overhead` and `ARGS=steps` one
//! part, `ARGS=grid` many more fixed settings. `SECONDS` is the time of one measurement, `WARM_UP` what goes
//! before it, `ROWS` the size of the table, `REPEATS` how often, `LOADS` (`200/s,70 %`) and `ARMS`
//! (`nothing,auto`) a part of what is compared. The
//! table goes to stdout, the figures to `OUT/pace.json`, the chart to `OUT/pace.svg` (`OUT` is `target/bench`
//! if the environment does not say otherwise).

// The other benches run jobs in their own process.
#[expect(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod application;
mod arm;
mod backfill;
mod chart;
mod load;
mod report;
mod scene;

use std::path::PathBuf;
use std::time::Duration;

use application::Bins;
use arm::Arm;
use load::Load;
use nix::sys::signal::Signal;
use report::{Overhead, Report, Seen};
use scene::Scene;
use support::{Anything, size};

/// The load over time of the chart.
const STEPS: [u32; 3] = [30, 70, 30];
/// Pairs of times with and without a guard.
const PAIRS: usize = 45;
/// Of one of a pair.
const WINDOW: Duration = Duration::from_secs(2);

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

fn main() -> Anything<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |part: &str| args.is_empty() || args.iter().any(|arg| arg == part);
    let seconds = |name: &str, default| Duration::from_secs(size(name, default).unsigned_abs());
    let times = Times { warm_up: seconds("WARM_UP", 12), measured: seconds("SECONDS", 20) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let scene = runtime.block_on(Scene::build(size("ROWS", 4_000_000)))?;
    let mut report = Report::new(scene.peak()?);
    eprintln!("the application alone: {:.0} transactions/s", report.peak_tps);
    if wanted("loads") {
        for _ in 0..size("REPEATS", 1) {
            loads(&scene, &Arm::some(), times, &mut report)?;
        }
    }
    if args.iter().any(|arg| arg == "grid") {
        for _ in 0..size("REPEATS", 1) {
            loads(&scene, &Arm::grid(), times, &mut report)?;
        }
    }
    if wanted("overhead") {
        report.overhead = Some(overhead(&scene)?);
    }
    if wanted("steps") {
        report.steps = steps(&scene, &report, times)?;
    }
    let out = std::env::var_os("OUT").map_or_else(|| "target/bench".into(), PathBuf::from);
    report.write(&out)
}

/// Whether a word is in a list in the environment, if there is one.
fn asked(variable: &str, word: &str) -> bool {
    std::env::var(variable).map_or(true, |list| list.split(',').any(|asked| asked == word))
}

/// Every arm at every load.
fn loads(scene: &Scene, arms: &[Arm], times: Times, report: &mut Report) -> Anything<()> {
    for load in Load::ALL.into_iter().filter(|load| asked("LOADS", &load.to_string())) {
        let tps = load.tps(report.peak_tps);
        // The application alone is what every other arm is compared with.
        let wanted = |arm: &Arm| *arm == Arm::Nothing || asked("ARMS", &arm.to_string());
        for arm in arms.iter().copied().filter(wanted) {
            let seen = side_by_side(scene, arm, &[tps], times)?;
            let bins = &seen.0[0];
            eprintln!("{load} {arm}: p99 {:.2} ms, {:.0} rows/s", bins.all().ms(99.0), seen.1);
            report.seen.push(Seen::new(load, arm, bins, seen.1));
        }
    }
    Ok(())
}

/// The application at each of these rates, one after the other, beside an arm; and the rows that the arm
/// changed a second.
fn side_by_side(scene: &Scene, arm: Arm, tps: &[Option<f64>], times: Times) -> Anything<(Vec<Bins>, f64)> {
    scene.settle()?;
    let backfill = arm.job().map(|job| scene.start(&job)).transpose()?;
    // The controller has found its place, and the application's caches are warm.
    scene.application(tps[0], times.warm_up)?;
    let from = backfill.as_ref().map(|_| backfill::now());
    let bins = tps.iter().map(|tps| scene.application(*tps, times.measured)).collect::<Anything<Vec<_>>>()?;
    let rows_per_s = match (backfill, from) {
        (Some(backfill), Some(from)) => backfill.stop()?.rows_per_s(from),
        _ => 0.0,
    };
    Ok((bins, rows_per_s))
}

/// The application's own speed beside a run that hardly does anything but guard, over its speed alone.
fn overhead(scene: &Scene) -> Anything<Overhead> {
    let backfill = scene.start(&arm::floor())?;
    scene.throughput(WINDOW)?;
    let mut pairs = Vec::new();
    for pair in 0..PAIRS {
        let mut seen = [0.0; 2];
        // In turns, so that what grows with time meets both.
        for guarded in [pair % 2 == 0, pair % 2 != 0] {
            // A process that is stopped asks the server nothing, so that the two can follow each other
            // closely: this machine is not the same one ten seconds later.
            backfill.signal(if guarded { Signal::SIGCONT } else { Signal::SIGSTOP })?;
            seen[usize::from(guarded)] = scene.throughput(WINDOW)?;
        }
        pairs.push((seen[0], seen[1]));
    }
    backfill.signal(Signal::SIGCONT)?;
    backfill.stop()?;
    Ok(Overhead::new(pairs))
}

/// The load steps up and down, and the controller follows.
fn steps(scene: &Scene, report: &Report, times: Times) -> Anything<Option<report::Steps>> {
    let alone = report.seen.iter().filter(|seen| seen.arm == Arm::Nothing.to_string());
    let alone_ms: Vec<(String, f64)> = alone.map(|seen| (seen.load.clone(), seen.p99_ms)).collect();
    scene.settle()?;
    let backfill = scene.start(&arm::auto())?;
    let tps = |load: u32| Load::Percent(load).tps(report.peak_tps);
    scene.application(tps(STEPS[0]), times.warm_up)?;
    let began = backfill::now();
    let mut bins = Vec::new();
    for load in STEPS {
        bins.push((load, scene.application(tps(load), times.measured)?));
    }
    let rows = backfill.stop()?;
    Ok(Some(report::Steps::new(&bins, &rows, began, &alone_ms)))
}
