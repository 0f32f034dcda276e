//! No application: whole runs in mode auto beside whole runs at full speed, each from a cold start.

use crate::Times;
use crate::arm::Arm;
use crate::backfill::Whole;
use crate::report::Nobody;
use crate::scene::Scene;
use crate::support::Anything;

/// In the first seconds it is found out that no other session is at work.
const FIRST_S: f64 = 5.0;

pub(crate) fn nobody(scene: &Scene, times: Times) -> Anything<Vec<Nobody>> {
    (0..times.repeats)
        .map(|repeat| {
            let mut nobody = Nobody::default();
            // In turns, so that what grows with time meets both.
            for is_auto in [repeat % 2 == 0, repeat % 2 != 0] {
                scene.forget_all_runs()?;
                scene.settle()?;
                let arm = if is_auto { Arm::AUTO } else { Arm::Full };
                let Whole { took_s, rows, throttled_s } = scene.run_once(arm)?;
                let later = rows.rows_per_s(rows.began() + FIRST_S);
                eprintln!(
                    "nobody {arm}: {took_s:.2} s, its workers throttled for {throttled_s:.2} s; after the first \
                     {FIRST_S} s {later:.0} rows/s"
                );
                let of = if is_auto { &mut nobody.auto } else { &mut nobody.full };
                (of.took_s, of.later_rows_per_s) = (took_s, later);
            }
            Ok(nobody)
        })
        .collect()
}
