//! How fast it goes and how long it will take.
//!
//! Must not know: any clock. Time comes with the samples, so that a test can be a day long.

use std::collections::VecDeque;
use std::time::Duration;

/// The rate is that of about the last this much working time: long enough to be calm, short enough to follow the pace.
const WINDOW: Duration = Duration::from_secs(10);

/// Less working time than this says nothing.
const LEAST: Duration = Duration::from_millis(500);

/// Whether anything might be done when a sample was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Batches might run, even if they had to wait for their turn.
    Working,
    /// Nothing might be done at all: paused, blocked, no connection.
    Halted,
}

/// An estimator of rate and remaining time. Halted time does not exist for it: it is cut out of the time line, and with
/// it the rows that somebody else passed meanwhile.
#[derive(Debug, Default)]
pub struct Eta {
    last: Option<Sample>,
    /// Working time and rows passed in it, summed up since the start; the first is just before the window.
    window: VecDeque<Point>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    rows_passed: u64,
    activity: Activity,
}

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    worked: Duration,
    rows: u64,
}

impl Eta {
    /// Takes a sample: time since the start, and rows behind the cursors. Samples come in the order of time; one from
    /// the past counts as one of now.
    pub fn feed(&mut self, at: Duration, rows_passed: u64, activity: Activity) {
        let sample = Sample { at, rows_passed, activity };
        let Some(last) = self.last.replace(sample) else {
            self.window.push_back(Point::default());
            return;
        };
        if last.activity == Activity::Working && activity == Activity::Working {
            self.work(at.saturating_sub(last.at), rows_passed.saturating_sub(last.rows_passed));
        }
    }

    /// Rows of the key passed per second of working time; none until there is enough of it.
    #[must_use]
    pub fn rows_per_s(&self) -> Option<f64> {
        let (first, last) = (self.window.front()?, self.window.back()?);
        let worked = last.worked.saturating_sub(first.worked);
        (worked >= LEAST).then(|| (last.rows - first.rows) as f64 / worked.as_secs_f64())
    }

    /// Working time until `rows_total` are passed; none while the rate is unknown or zero, and none when the total has
    /// turned out to be too low: then nobody knows.
    #[must_use]
    pub fn remaining(&self, rows_total: u64) -> Option<Duration> {
        let passed = self.last?.rows_passed;
        let rows_left = rows_total.checked_sub(passed).filter(|rows| *rows > 0)?;
        let rate = self.rows_per_s().filter(|rate| *rate > 0.0)?;
        Duration::try_from_secs_f64(rows_left as f64 / rate).ok()
    }

    fn work(&mut self, time: Duration, rows: u64) {
        let last = self.window.back().copied().unwrap_or_default();
        self.window.push_back(Point { worked: last.worked + time, rows: last.rows + rows });
        let from = (last.worked + time).saturating_sub(WINDOW);
        // The second point still covers the window, so the first is not needed any more.
        while self.window.get(1).is_some_and(|point| point.worked <= from) {
            self.window.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a sample every half second for `seconds`, beginning at `from`, with this many rows a second.
    fn feed(
        eta: &mut Eta,
        from: (u64, u64),
        seconds: u64,
        rows_per_s: u64,
        activity: Activity,
    ) -> (u64, u64) {
        for half in 0..=seconds * 2 {
            let at = Duration::from_millis(from.0 * 1000 + half * 500);
            eta.feed(at, from.1 + half * rows_per_s / 2, activity);
        }
        (from.0 + seconds, from.1 + seconds * rows_per_s)
    }

    fn close(found: Option<f64>, wanted: f64) -> bool {
        found.is_some_and(|found| (found - wanted).abs() < wanted * 0.01)
    }

    #[test]
    fn nothing_is_said_before_half_a_second_of_work() {
        let mut eta = Eta::default();
        eta.feed(Duration::ZERO, 0, Activity::Working);
        eta.feed(Duration::from_millis(400), 400, Activity::Working);
        assert_eq!((eta.rows_per_s(), eta.remaining(1000)), (None, None));
    }

    #[test]
    fn rows_passed_before_we_came_are_no_speed_of_ours() {
        let mut eta = Eta::default();
        feed(&mut eta, (0, 1_000_000), 4, 1000, Activity::Working);
        assert!(close(eta.rows_per_s(), 1000.0));
        assert_eq!(eta.remaining(1_014_000), Some(Duration::from_secs(10)));
    }

    #[test]
    fn the_rate_is_that_of_the_last_ten_seconds() {
        let mut eta = Eta::default();
        let now = feed(&mut eta, (0, 0), 60, 1000, Activity::Working);
        feed(&mut eta, now, 11, 500, Activity::Working);
        assert!(close(eta.rows_per_s(), 500.0));
        assert!(eta.window.len() < 30);
    }

    #[test]
    fn a_pause_of_an_hour_changes_neither_the_rate_nor_the_estimate() {
        let mut eta = Eta::default();
        let now = feed(&mut eta, (0, 0), 20, 1000, Activity::Working);
        let before = (eta.rows_per_s(), eta.remaining(50_000));
        let now = feed(&mut eta, now, 3600, 0, Activity::Halted);
        assert_eq!((eta.rows_per_s(), eta.remaining(50_000)), before);
        feed(&mut eta, now, 3, 1000, Activity::Working);
        assert!(close(eta.rows_per_s(), 1000.0));
    }

    #[test]
    fn rows_of_others_during_our_halt_do_not_look_like_speed() {
        let mut eta = Eta::default();
        let now = feed(&mut eta, (0, 0), 5, 1000, Activity::Working);
        let now = feed(&mut eta, now, 60, 1_000_000, Activity::Halted);
        feed(&mut eta, now, 5, 1000, Activity::Working);
        assert!(close(eta.rows_per_s(), 1000.0));
    }

    #[test]
    fn a_total_that_was_too_low_gives_no_estimate() {
        let mut eta = Eta::default();
        feed(&mut eta, (0, 0), 5, 1000, Activity::Working);
        assert_eq!(eta.remaining(5000), None);
        assert_eq!(eta.remaining(4000), None);
    }

    #[test]
    fn a_standstill_gives_a_rate_of_zero_and_no_estimate() {
        let mut eta = Eta::default();
        feed(&mut eta, (0, 0), 5, 0, Activity::Working);
        assert_eq!((eta.rows_per_s(), eta.remaining(10)), (Some(0.0), None));
    }

    #[test]
    fn a_clock_or_a_count_that_goes_back_is_not_a_panic() {
        let mut eta = Eta::default();
        eta.feed(Duration::from_secs(5), 100, Activity::Working);
        eta.feed(Duration::from_secs(1), 10, Activity::Working);
        assert_eq!(eta.rows_per_s(), None);
    }
}
