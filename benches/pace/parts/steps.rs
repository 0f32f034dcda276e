//! The load steps up and down, down to nobody, and the pace follows.

use std::time::Duration;

use crate::Times;
use crate::application::Bins;
use crate::arm::Arm;
use crate::backfill;
use crate::load::Load;
use crate::report::{Report, Step, Steps};
use crate::scene::Scene;
use crate::support::Anything;

/// The load over time; none: no application.
const STEPS: [Option<u32>; 5] = [None, Some(10), Some(30), Some(50), None];
/// Of each.
const EACH: Duration = Duration::from_secs(20);

pub(crate) fn steps(scene: &Scene, report: &Report, times: Times) -> Anything<Steps> {
    scene.settle()?;
    let backfill = scene.start(Arm::AUTO)?;
    std::thread::sleep(times.warm_up);
    let began = backfill::now();
    let mut steps = Vec::new();
    for load in STEPS {
        let from = backfill::now();
        let bins = if let Some(load) = load {
            scene.application(Load::Percent(load).tps(report.peak_tps), EACH)?
        } else {
            std::thread::sleep(EACH);
            Bins::default()
        };
        steps.push(Step { load, from, until: backfill::now(), bins });
    }
    let rows = backfill.stop()?;
    Ok(Steps::new(&steps, &rows, began, |load| report.alone_p99_ms(Load::Percent(load))))
}
