//! What short transactions like the application's take: the last ones, and the slowest of them but for a twentieth.
//!
//! Must not know: how one is run, what follows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Fewer say nothing about the slowest twentieth.
const TELLING: usize = 15;

/// The canaries of the last seconds.
#[derive(Clone, Debug)]
pub struct Canary {
    span: Duration,
    samples: VecDeque<(Instant, f64)>,
}

impl Canary {
    /// Keeps what is not older than `span`.
    #[must_use]
    pub fn new(span: Duration) -> Self {
        Self { span, samples: VecDeque::new() }
    }

    /// One that took `ms` and ended now.
    pub fn sang(&mut self, ms: f64, now: Instant) {
        self.samples.push_back((now, ms));
        while self.samples.front().is_some_and(|(at, _)| now.duration_since(*at) > self.span) {
            self.samples.pop_front();
        }
    }

    /// Forgets all of them: what holds from now on is something else.
    pub fn forget(&mut self) {
        self.samples.clear();
    }

    /// The 95th percentile, in milliseconds; none until there are enough.
    #[must_use]
    pub fn p95_ms(&self) -> Option<f64> {
        let mut all: Vec<f64> = self.samples.iter().map(|(_, ms)| *ms).collect();
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

    #[test]
    fn a_few_canaries_say_nothing_and_old_ones_are_forgotten() {
        let start = Instant::now();
        let mut canary = Canary::new(Duration::from_secs(3));
        for ms in 1..TELLING {
            canary.sang(ms as f64, start);
        }
        assert_eq!(canary.p95_ms(), None);
        for ms in 0..40 {
            canary.sang(f64::from(ms), start + Duration::from_secs(4));
        }
        assert_eq!(canary.p95_ms(), Some(37.0));
    }
}
