//! Another server on the same machine writes and syncs for a third of the time, and nobody uses ours.

use std::thread::sleep;
use std::time::Duration;

use crate::Times;
use crate::arm::Arm;
use crate::backfill;
use crate::report::Foreign;
use crate::scene::Scene;
use crate::support::Anything;

/// Before the disturbance, and after it.
const BESIDE: Duration = Duration::from_secs(20);
/// The disturbance.
const DISTURBED: Duration = Duration::from_secs(20);

pub(crate) fn foreign(scene: &Scene, times: Times) -> Anything<Vec<Foreign>> {
    let neighbour = scene.neighbour()?;
    (0..times.repeats)
        .map(|repeat| {
            let mut foreign = Foreign::default();
            for is_auto in [repeat % 2 == 0, repeat % 2 != 0] {
                scene.settle()?;
                let arm = if is_auto { Arm::AUTO } else { Arm::Full };
                let backfill = scene.start(arm)?;
                let from = backfill::now();
                sleep(BESIDE);
                neighbour.disturb(DISTURBED)?.wait()?;
                sleep(BESIDE);
                let rows_per_s = backfill.stop()?.rows_per_s(from);
                eprintln!("foreign {arm}: {rows_per_s:.0} rows/s");
                *(if is_auto { &mut foreign.auto } else { &mut foreign.full }) = rows_per_s;
            }
            Ok(foreign)
        })
        .collect()
}
