//! What a backfill does to an application, and what it gets done meanwhile: `pgbench` beside `pgbackfill` on
//! a throwaway server.
//!
//! The application is an open loop: its transactions come at a fixed rate whether the last ones have ended or
//! not, and each is counted from the moment at which it should have begun, so that a stall is not hidden by
//! the transactions that it kept from beginning. Its rate is 200 a second, or 10 to 70 % of what it reaches
//! alone.
//!
//! `make pace-eval` measures all of it (about an hour). Parts, by `ARGS`: `loads` (the application beside
//! eight ways to run a backfill, 40 minutes), `grid` (beside many more fixed settings, only where it is asked
//! for), `nobody` (no application), `comes` (an application comes and goes), `foreign` (another server on the
//! machine is at work), `overhead` (a backfill that is paused), `steps` (the chart).
//!
//! `SECONDS` is the time of one measurement, `WARM_UP` what goes before it, `ROWS` the size of the table,
//! `REPEATS` how often, `TRANSACTIONS` what the application does (`key`, `tpcb` or `read`), `LOADS`
//! (`200/s,70 %`) and `ARMS` (`nothing,auto`) a part of what is compared. The table goes to stdout, the
//! figures to `OUT/pace.json`, the chart to `OUT/pace.svg` (`OUT` is `target/bench` if the environment does
//! not say otherwise).

// The other benches run jobs in their own process.
#[expect(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod application;
mod arm;
mod backfill;
mod chart;
mod load;
mod parts;
mod report;
mod scene;

use std::path::PathBuf;
use std::time::Duration;

use arm::Arm;
use report::Report;
use scene::Scene;
use support::{Anything, size};

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    pub(crate) repeats: usize,
}

fn main() -> Anything<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let asked = |part: &str| args.iter().any(|arg| arg == part);
    let wanted = |part: &str| args.is_empty() || asked(part);
    let seconds = |name: &str, default| Duration::from_secs(size(name, default).unsigned_abs());
    let repeats = usize::try_from(size("REPEATS", 3)).unwrap_or(1);
    let times = Times { warm_up: seconds("WARM_UP", 9), measured: seconds("SECONDS", 8), repeats };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let scene = runtime.block_on(Scene::build(size("ROWS", 4_000_000)))?;
    let mut report = Report::new(scene.peak()?);
    eprintln!("the application alone: {:.0} transactions/s", report.peak_tps);
    if wanted("nobody") {
        report.nobody = parts::nobody(&scene, times)?;
    }
    if asked("grid") {
        parts::loads(&scene, &Arm::grid(), times, &mut report)?;
    } else if wanted("loads") {
        parts::loads(&scene, &Arm::some(), times, &mut report)?;
    }
    if wanted("comes") {
        report.comes = parts::comes(&scene, report.peak_tps, times)?;
    }
    if wanted("foreign") {
        report.foreign = parts::foreign(&scene, times)?;
    }
    if wanted("overhead") {
        report.overhead = Some(parts::overhead(&scene)?);
    }
    if wanted("steps") {
        report.steps = Some(parts::steps(&scene, &report, times)?);
    }
    let out = std::env::var_os("OUT").map_or_else(|| "target/bench".into(), PathBuf::from);
    report.write(&out)
}
