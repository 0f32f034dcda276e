//! The times of the latest latency probes, and their 95th percentile.
//!
//! Must not know: how one is run, what follows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Fewer say nothing about the slowest twentieth.
const TELLING: usize = 15;

/// The probes of the last seconds.
///
/// The next one begins when the one before has ended, so a stall would be seen by one of them only. One that
/// takes longer than the time between two counts for all that would have begun meanwhile, each a little
/// later: the correction for coordinated omission of `HdrHistogram`.
#[derive(Clone, Debug)]
pub struct Samples {
    span: Duration,
    every: Duration,
    latest: VecDeque<(Instant, f64)>,
}

impl Samples {
    /// Keeps what is not older than `span`; one is sent `every` so often.
    #[must_use]
    pub fn new(span: Duration, every: Duration) -> Self {
        Self { span, every, latest: VecDeque::new() }
    }

    /// One that took `ms` and ended now.
    pub fn add(&mut self, ms: f64, now: Instant) {
        let every_ms = (self.every.as_secs_f64() * 1000.0).max(1.0);
        let mut ms = ms;
        loop {
            self.latest.push_back((now, ms));
            ms -= every_ms;
            if ms <= 0.0 {
                return;
            }
        }
    }

    /// Forgets all of them: from now on something else holds.
    pub fn forget(&mut self) {
        self.latest.clear();
    }

    /// The 95th percentile, in milliseconds; none while there are too few that are not too old.
    #[must_use]
    pub fn p95_ms(&mut self, now: Instant) -> Option<f64> {
        let span = self.span;
        while self.latest.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > span) {
            self.latest.pop_front();
        }
        let mut all: Vec<f64> = self.latest.iter().map(|(_, ms)| *ms).collect();
        if all.len() < TELLING {
            return None;
        }
        all.sort_by(f64::total_cmp);
        all.get((all.len() * 95).div_ceil(100) - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(50);

    #[test]
    fn a_few_probes_say_nothing_and_old_ones_are_forgotten() {
        let start = Instant::now();
        let mut samples = Samples::new(Duration::from_secs(3), EVERY);
        for ms in 1..TELLING {
            samples.add(ms as f64, start);
        }
        assert_eq!(samples.p95_ms(start), None);
        let later = start + Duration::from_secs(4);
        for ms in 0..40 {
            samples.add(f64::from(ms), later);
        }
        assert_eq!(samples.p95_ms(later), Some(37.0));
        assert_eq!(samples.p95_ms(later + Duration::from_secs(4)), None);
    }

    #[test]
    fn a_stall_counts_for_every_probe_that_would_have_met_it() {
        let now = Instant::now();
        let mut samples = Samples::new(Duration::from_secs(3), EVERY);
        for _ in 0..40 {
            samples.add(1.0, now);
        }
        // One second of three in which nothing moved.
        samples.add(1000.0, now);
        assert_eq!(samples.p95_ms(now), Some(850.0));
    }

    #[test]
    fn where_one_takes_longer_than_the_time_between_two_there_are_enough_all_the_same() {
        let now = Instant::now();
        let mut samples = Samples::new(Duration::from_secs(1), EVERY);
        for _ in 0..8 {
            samples.add(110.0, now);
        }
        assert_eq!(samples.p95_ms(now), Some(110.0));
    }
}
