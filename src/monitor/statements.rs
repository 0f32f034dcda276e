//! What the statements of others take, by how long those have been running that a look at the sessions meets.
//!
//! A look meets a statement the more often the longer it takes: the mean of these ages is `E[T²] / 2 E[T]` of
//! the times T. That is the mean time where the times are exponential, and more than it where a few are much
//! longer than the others, to which the mean of the times is blind. Nothing has to be counted for it.
//!
//! Must not know: how a look is taken, what follows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::recent::Recent;
use super::samples::Estimate;

/// Fewer statements say nothing.
const TELLING: usize = 30;
/// Fewer blocks say nothing of how far it varies.
const BLOCKS: usize = 4;
/// A statement that has been running for longer is none of a short transaction, in milliseconds.
const SHORT_MS: f64 = 1000.0;
/// How many standard deviations the bounds are away.
const DEVIATIONS: f64 = 1.3;

/// The ages that the looks of the last seconds have met, in blocks of time.
#[derive(Clone, Debug)]
pub(super) struct Ages {
    latest: Recent<Met>,
}

/// What one look has met.
#[derive(Clone, Copy, Debug)]
struct Met {
    block: u64,
    statements: usize,
    /// The sum of their ages.
    ms: f64,
}

impl Ages {
    /// Keeps what is not older than `span`.
    #[must_use]
    pub(super) fn new(span: Duration) -> Self {
        Self { latest: Recent::of(span) }
    }

    /// A look has met statements of these ages now, in a block of time.
    pub(super) fn add(&mut self, ages_ms: &[f64], block: u64, now: Instant) {
        let short = ages_ms.iter().copied().filter(|ms| *ms <= SHORT_MS);
        let (statements, ms) = short.fold((0, 0.0), |(statements, sum), ms| (statements + 1, sum + ms));
        self.latest.add(Met { block, statements, ms }, now);
    }

    /// Forgets all of them: from now on something else holds.
    pub(super) fn forget(&mut self) {
        self.latest.clear();
    }

    /// The mean age; none while too few were met that are not too old. The bounds are those of a ratio of two
    /// sums over blocks, because what one look meets the next one may meet again.
    #[must_use]
    pub(super) fn mean(&mut self, now: Instant) -> Option<Estimate> {
        self.latest.drop_old(now);
        let mut blocks: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for met in self.latest.iter() {
            let block = blocks.entry(met.block).or_default();
            *block = (block.0 + met.statements as f64, block.1 + met.ms);
        }
        let (statements, sum) =
            blocks.values().fold((0.0, 0.0), |all, block| (all.0 + block.0, all.1 + block.1));
        if blocks.len() < BLOCKS || statements < TELLING as f64 {
            return None;
        }
        let ms = sum / statements;
        let squares: f64 = blocks.values().map(|block| (block.1 - ms * block.0).powi(2)).sum();
        let count = blocks.len() as f64;
        let deviation = DEVIATIONS * (squares * count / (count - 1.0)).sqrt() / statements;
        Some(Estimate { ms, low_ms: (ms - deviation).max(0.0), high_ms: ms + deviation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ages that looks meet, at moments that are spread evenly, of statements that take as long as
    /// `times` say one after the other.
    fn met(times: &[f64], looks: u32) -> Ages {
        let (mut ages, now) = (Ages::new(Duration::from_secs(60)), Instant::now());
        let all: f64 = times.iter().sum();
        for look in 0..looks {
            let mut at = f64::from(look) * 1.618_033 % 1.0 * all;
            let mut running = times.iter().copied();
            let age = loop {
                match running.next() {
                    Some(time) if at > time => at -= time,
                    _ => break at,
                }
            };
            ages.add(&[age], u64::from(look) / 20, now);
        }
        ages
    }

    #[test]
    fn a_few_that_take_much_longer_count_for_more_than_in_the_mean() {
        let even = met(&[2.0; 20], 400).mean(Instant::now()).unwrap().ms;
        assert!((even - 1.0).abs() < 0.1, "{even}");
        let mut times = [2.0; 20];
        times[7] = 50.0;
        // Their mean is 4.4.
        let uneven = met(&times, 400).mean(Instant::now()).unwrap().ms;
        assert!(uneven > 12.0, "{uneven}");
    }

    #[test]
    fn more_looks_know_it_better() {
        let width = |looks| {
            let mean = met(&[1.0, 2.0, 3.0, 9.0], looks).mean(Instant::now()).unwrap();
            assert!(mean.low_ms < mean.ms && mean.ms < mean.high_ms);
            mean.high_ms - mean.low_ms
        };
        assert!(width(4000) < width(100));
    }

    #[test]
    fn a_report_is_no_short_transaction() {
        let (mut ages, now) = (Ages::new(Duration::from_secs(60)), Instant::now());
        (0..40).for_each(|look| ages.add(&[3.0, 60_000.0], look / 5, now));
        assert!((ages.mean(now).unwrap().ms - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_few_say_nothing_and_the_old_ones_are_forgotten() {
        let now = Instant::now();
        assert_eq!(met(&[1.0], 20).mean(now), None);
        let mut ages = met(&[1.0], 400);
        assert!(ages.mean(now).is_some());
        assert_eq!(ages.mean(now + Duration::from_secs(61)), None);
    }

    #[test]
    fn what_was_met_in_one_moment_only_says_nothing() {
        let (mut ages, now) = (Ages::new(Duration::from_secs(60)), Instant::now());
        (0..40).for_each(|_| ages.add(&[3.0], 1, now));
        assert_eq!(ages.mean(now), None);
    }
}
