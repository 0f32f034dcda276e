//! The one line that says how far the run is.
//!
//! Must not know: where the line is shown, and how often.

use std::time::Duration;

use crate::event::Progress;
use crate::human::{counted, duration, one_line, percent, rate};

/// Between the parts of the line.
const GAP: &str = " · ";

/// The line. A narrow terminal cuts it at the right, so the parts come in the order of their worth.
pub(super) fn line(p: &Progress) -> String {
    let time = Duration::from_millis(p.held_ms.unwrap_or(0));
    let waiting = p.waiting.as_ref().map(|why| match p.hold {
        Some(hold) => hold.sentence(time, &one_line(why)),
        None => format!("waiting: {}", one_line(why)),
    });
    let (first, last) = if p.halted {
        (Some(waiting.unwrap_or_else(|| "waiting".to_owned())), None)
    } else {
        (None, waiting)
    };
    let totals = &p.totals;
    let speed = (!p.halted && p.rows_per_s > 0.0).then(|| rate(p.rows_per_s));
    let parts = [
        percent(totals.passed(), totals.total()).map(|percent| format!("{percent} %")),
        first,
        Some(format!("{} {}", counted(totals.rows_changed, "row", "rows"), p.kind.counted())),
        speed,
        p.eta_s.map(|s| format!("{} left", duration(Duration::from_secs(s)))),
        Some(workers(p)),
        (totals.bad_rows > 0).then(|| counted(totals.bad_rows, "bad row", "bad rows")),
        last,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(GAP)
}

fn workers(p: &Progress) -> String {
    let workers = counted(p.workers.into(), "worker", "workers");
    match p.processes {
        0 | 1 => workers,
        processes => format!("{workers} in {processes} processes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Hold, Totals};

    fn progress() -> Progress {
        Progress {
            totals: Totals {
                rows_changed: 1_234_567,
                rows_passed: 1_300_000,
                rows_total: 3_000_000,
                ..Totals::default()
            },
            workers: 2,
            processes: 1,
            ..Progress::default()
        }
    }

    #[test]
    fn the_line_says_how_far_how_fast_and_how_long() {
        let progress = Progress { rows_per_s: 65_300.0, eta_s: Some(26), ..progress() };
        insta::assert_snapshot!(line(&progress), @"43 % · 1,234,567 rows changed · 65.3 k rows/s · 26 s left · 2 workers");
    }

    #[test]
    fn a_halted_run_says_first_what_it_waits_for_and_claims_no_speed() {
        let mut progress = Progress {
            waiting: Some("replica r1 is 4.2 s behind, limit 1.0 s".into()),
            hold: Some(Hold::Paused),
            held_ms: Some(182_000),
            halted: true,
            rows_per_s: 65_300.0,
            processes: 3,
            ..progress()
        };
        progress.totals.bad_rows = 1;
        insta::assert_snapshot!(line(&progress), @"43 % · paused 3 min 02 s: replica r1 is 4.2 s behind, limit 1.0 s · 1,234,567 rows changed · 2 workers in 3 processes · 1 bad row");
    }

    #[test]
    fn a_run_at_its_ceiling_says_so_last() {
        let progress = Progress {
            waiting: Some("held at max_rows_per_second = 1000".into()),
            hold: Some(Hold::Throttled),
            rows_per_s: 998.0,
            ..progress()
        };
        insta::assert_snapshot!(line(&progress), @"43 % · 1,234,567 rows changed · 998 rows/s · 2 workers · throttled: held at max_rows_per_second = 1000");
    }

    #[test]
    fn an_unknown_total_gives_no_percentage() {
        let mut progress = progress();
        progress.totals.rows_total = 0;
        insta::assert_snapshot!(line(&progress), @"1,234,567 rows changed · 2 workers");
    }
}
