//! The application at each load, beside each way to run a backfill.

use crate::Times;
use crate::application::Bins;
use crate::arm::Arm;
use crate::backfill;
use crate::load::Load;
use crate::report::{Report, Seen};
use crate::scene::Scene;
use crate::support::Anything;

/// Every arm at every load, again and again, so that what grows with time meets all of them.
pub(crate) fn loads(scene: &Scene, arms: &[Arm], times: Times, report: &mut Report) -> Anything<()> {
    for repeat in 0..times.repeats {
        for load in Load::ALL.into_iter().filter(|load| asked("LOADS", &load.to_string())) {
            // The application alone is what every other arm is compared with.
            let wanted = |arm: &Arm| *arm == Arm::Nothing || asked("ARMS", &arm.to_string());
            for arm in arms.iter().copied().filter(|arm| arm.is_for(load)).filter(wanted) {
                let (bins, rows_per_s) = side_by_side(scene, arm, load.tps(report.peak_tps), times)?;
                eprintln!("{load} {arm}: p99 {:.2} ms, {rows_per_s:.0} rows/s", bins.all().ms(99.0));
                report.seen.push(Seen::new(load, arm, repeat, &bins, rows_per_s));
            }
        }
    }
    Ok(())
}

/// Whether a word is in a list in the environment, if there is one.
fn asked(variable: &str, word: &str) -> bool {
    std::env::var(variable).map_or(true, |list| list.split(',').any(|asked| asked == word))
}

/// The application beside an arm, and the rows that the arm changed a second.
fn side_by_side(scene: &Scene, arm: Arm, tps: f64, times: Times) -> Anything<(Bins, f64)> {
    scene.settle()?;
    let backfill = if arm == Arm::Nothing { None } else { Some(scene.start(arm)?) };
    // The controller has found its place, and the application's caches are warm.
    scene.application(tps, times.warm_up)?;
    let from = backfill::now();
    let bins = scene.application(tps, times.measured)?;
    let rows_per_s = match backfill {
        Some(backfill) => backfill.stop()?.rows_per_s(from),
        None => 0.0,
    };
    if matches!(arm, Arm::Auto { added_ms: Some(_) }) {
        // What was learned with another tolerance is not what the next one begins with.
        scene.forget_all_runs()?;
    }
    Ok((bins, rows_per_s))
}
