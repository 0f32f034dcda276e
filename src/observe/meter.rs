//! The one line that says how far the run is.
//!
//! Must not know: where the line is shown, and how often.

use std::time::{Duration, Instant};

use super::eta::{Activity, Eta};
use crate::event::Progress;
use crate::human::{counted, duration, one_line, percent, rate};

/// Between the parts of the line.
const GAP: &str = " · ";

/// Follows the progress of a run.
#[derive(Debug, Default)]
pub(super) struct Meter {
    start: Option<Instant>,
    eta: Eta,
}

impl Meter {
    /// Takes the progress and gives its line. A narrow terminal cuts it at the right, so the parts come in the order of
    /// their worth.
    pub(super) fn read(&mut self, progress: &Progress, now: Instant) -> String {
        let start = *self.start.get_or_insert(now);
        let activity = if progress.halted { Activity::Halted } else { Activity::Working };
        self.eta.feed(now.saturating_duration_since(start), progress.rows_passed, activity);
        line(progress, activity, self.eta.rows_per_s(), self.eta.remaining(progress.rows_total))
    }
}

fn line(p: &Progress, activity: Activity, rows_per_s: Option<f64>, remaining: Option<Duration>) -> String {
    let time = Duration::from_millis(p.held_ms.unwrap_or(0));
    let waiting = p.waiting.as_ref().map(|why| match p.hold {
        Some(hold) => hold.sentence(time, &one_line(why)),
        None => format!("waiting: {}", one_line(why)),
    });
    let (first, last) = match activity {
        Activity::Halted => (Some(waiting.unwrap_or_else(|| "waiting".to_owned())), None),
        Activity::Working => (None, waiting),
    };
    let moving = activity == Activity::Working;
    let parts = [
        percent(p.rows_passed, p.rows_total).map(|percent| format!("{percent} %")),
        first,
        Some(counted(p.rows_changed, "row changed", "rows changed")),
        rows_per_s.filter(|_| moving).map(rate),
        remaining.map(|time| format!("{} left", duration(time))),
        Some(workers(p)),
        (p.bad_rows > 0).then(|| counted(p.bad_rows, "bad row", "bad rows")),
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
    use crate::run::Hold;

    fn progress() -> Progress {
        Progress {
            rows_changed: 1_234_567,
            rows_passed: 1_300_000,
            rows_total: 3_000_000,
            workers: 2,
            processes: 1,
            ..Progress::default()
        }
    }

    #[test]
    fn the_line_says_how_far_how_fast_and_how_long() {
        let line = line(&progress(), Activity::Working, Some(65_300.0), Some(Duration::from_secs(26)));
        insta::assert_snapshot!(line, @"43 % · 1,234,567 rows changed · 65.3 k rows/s · 26 s left · 2 workers");
    }

    #[test]
    fn a_halted_run_says_first_what_it_waits_for_and_claims_no_speed() {
        let progress = Progress {
            waiting: Some("replica r1 is 4.2 s behind, limit 1.0 s".into()),
            hold: Some(Hold::Paused),
            held_ms: Some(182_000),
            halted: true,
            bad_rows: 1,
            processes: 3,
            ..progress()
        };
        let line = line(&progress, Activity::Halted, Some(65_300.0), None);
        insta::assert_snapshot!(line, @"43 % · paused 3 min 02 s: replica r1 is 4.2 s behind, limit 1.0 s · 1,234,567 rows changed · 2 workers in 3 processes · 1 bad row");
    }

    #[test]
    fn a_run_at_its_ceiling_says_so_last() {
        let progress = Progress {
            waiting: Some("held at max_rows_per_second = 1000".into()),
            hold: Some(Hold::Throttled),
            ..progress()
        };
        insta::assert_snapshot!(line(&progress, Activity::Working, Some(998.0), None), @"43 % · 1,234,567 rows changed · 998 rows/s · 2 workers · throttled: held at max_rows_per_second = 1000");
    }

    #[test]
    fn an_unknown_total_gives_no_percentage() {
        let progress = Progress { rows_total: 0, ..progress() };
        insta::assert_snapshot!(Meter::default().read(&progress, Instant::now()), @"1,234,567 rows changed · 2 workers");
    }
}
