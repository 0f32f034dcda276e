//! An application comes to a run at full speed, and goes again.

use std::thread::sleep;
use std::time::Duration;

use crate::Times;
use crate::arm::Arm;
use crate::backfill;
use crate::load::Load;
use crate::report::Comes;
use crate::scene::Scene;
use crate::support::Anything;

/// Alone before it comes.
const BEFORE: Duration = Duration::from_secs(8);
/// How long it stays.
const STAYS: Duration = Duration::from_secs(12);
/// Alone after it has gone.
const AFTER: Duration = Duration::from_secs(15);
/// How much of it.
const LOAD: Load = Load::Percent(30);

pub(crate) fn comes(scene: &Scene, peak_tps: f64, times: Times) -> Anything<Vec<Comes>> {
    let tps = LOAD.tps(peak_tps);
    let mut all = Vec::new();
    for _ in 0..times.repeats {
        scene.settle()?;
        let alone = scene.application(tps, STAYS)?;
        scene.settle()?;
        let backfill = scene.start(Arm::AUTO)?;
        sleep(BEFORE);
        let came = backfill::now();
        let beside = scene.application(tps, STAYS)?;
        let went = backfill::now();
        sleep(AFTER);
        let rows = backfill.stop()?;
        let before = (rows.at(came) - rows.at(came - 4.0)) / 4.0;
        let in_second =
            |second: i32| rows.at(went + f64::from(second) + 1.0) - rows.at(went + f64::from(second));
        let back = (0..14).find(|second| in_second(*second) >= 0.9 * before);
        let seconds = beside.p99_ms().iter().map(|(_, ms)| *ms).collect();
        let seen = Comes {
            alone_p99_ms: alone.all().ms(99.0),
            seconds_p99_ms: seconds,
            full_rows_per_s: before,
            back_after_s: back,
        };
        eprintln!("comes: {seen:.1?}");
        all.push(seen);
    }
    Ok(all)
}
