//! How far a run has got, and what its workers spent their time on.
//!
//! Must not know: who counts, who is shown it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RunState;
use crate::human;

/// What time went into, in milliseconds of workers: two workers spend two seconds in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// At work, or about to be.
    pub working_ms: u64,
    /// Held back by the pace.
    pub throttled_ms: u64,
    /// Paused.
    pub paused_ms: u64,
    /// Wanting to work, and unable to.
    pub blocked_ms: u64,
}

impl Times {
    /// `6 min 40 s working, 20 s throttled, 6 min 00 s paused, 0 ms blocked`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let told = [
            (self.working_ms, "working"),
            (self.throttled_ms, "throttled"),
            (self.paused_ms, "paused"),
            (self.blocked_ms, "blocked"),
        ];
        let told = told.map(|(ms, what)| format!("{} {what}", human::elapsed(Duration::from_millis(ms))));
        told.join(", ")
    }

    /// True if something other than work took a second or more.
    #[must_use]
    pub fn was_held(&self) -> bool {
        self.throttled_ms + self.paused_ms + self.blocked_ms >= 1000
    }
}

/// The counters of a run, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Rows changed.
    pub rows_changed: u64,
    /// Keys behind the cursors.
    pub rows_passed: u64,
    /// Keys in all, estimated until everything is planned.
    pub rows_total: u64,
    /// What the sweeps have passed, in rows that are changed: one that is only read counts as a part of one.
    pub sweeps_passed: u64,
    /// What they will pass in all, as far as that is known.
    pub sweeps_total: u64,
    /// Ranges done.
    pub ranges_done: u64,
    /// Ranges planned and not done.
    pub ranges_open: u64,
    /// Rows in the quarantine.
    pub bad_rows: u64,
    /// How often the workers of all processes had to try again; a process that was killed takes its last half
    /// second with it.
    pub retries: u64,
    /// What the workers of all processes spent their time on.
    pub times: Times,
}

impl Totals {
    /// What is behind the cursors, sweeps included.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.rows_passed + self.sweeps_passed
    }

    /// What is to be passed in all, sweeps included.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.rows_total + self.sweeps_total
    }

    /// Rows passed of all rows, in percent. The number of rows is an estimate, so only a complete run is at
    /// 100 %.
    #[must_use]
    pub fn percent(&self, state: RunState) -> Option<u64> {
        match state {
            RunState::Complete => Some(100),
            _ => human::percent(self.passed(), self.total()).map(|percent| percent.min(99)),
        }
    }

    /// Seconds until every row is passed, at this many rows a second; none where that says nothing: at a
    /// standstill, or where the number of rows has turned out to be too low.
    #[must_use]
    pub fn eta_s(&self, state: RunState, rows_passed_per_s: f64) -> Option<u64> {
        let rows_left = self.total().checked_sub(self.passed()).filter(|rows| *rows > 0)?;
        let moves = state == RunState::Running && rows_passed_per_s.is_finite() && rows_passed_per_s >= 0.1;
        moves.then(|| (rows_left as f64 / rows_passed_per_s).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_order_of_their_worth() {
        let times = Times { working_ms: 400_000, throttled_ms: 20_000, paused_ms: 360_000, blocked_ms: 0 };
        insta::assert_snapshot!(times.sentence(), @"6 min 40 s working, 20.0 s throttled, 6 min 00 s paused, 0 ms blocked");
    }

    fn half_done() -> Totals {
        Totals { rows_changed: 10, rows_passed: 500, rows_total: 1000, ..Totals::default() }
    }

    #[test]
    fn the_eta_counts_rows_that_are_passed_whether_they_are_changed_or_not() {
        assert_eq!(half_done().eta_s(RunState::Running, 50.0), Some(10));
        assert_eq!(half_done().eta_s(RunState::Paused, 50.0), None);
        assert_eq!(half_done().eta_s(RunState::Running, 0.0), None);
    }

    #[test]
    fn a_total_that_was_too_low_gives_no_eta() {
        let passed = Totals { rows_passed: 1000, ..half_done() };
        assert_eq!(passed.eta_s(RunState::Running, 50.0), None);
    }

    #[test]
    fn only_a_complete_run_is_at_100_percent() {
        let passed = Totals { rows_passed: 1000, ..half_done() };
        assert_eq!(passed.percent(RunState::Running), Some(99));
        assert_eq!(passed.percent(RunState::Complete), Some(100));
    }
}
