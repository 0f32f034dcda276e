//! The times of the latest latency probes, and their 95th percentile with its uncertainty.
//!
//! Must not know: how one is run, what follows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::recent::Recent;

/// Fewer say nothing about the slowest twentieth.
const TELLING: usize = 15;
/// The percentile that is bounded.
const P: f64 = 0.95;
/// With so many blocks the worst of them may be chance.
const BLOCKS: usize = 3;
/// It is if its slowest probe took so many times as long as that of any other.
const OUTLYING: f64 = 3.0;
/// How many standard deviations the bounds are away.
const DEVIATIONS: f64 = 1.3;

/// The probes of the last seconds, in blocks of time.
///
/// The next one begins when the one before has ended, so a stall would be seen by one of them only. One that
/// takes longer than the time between two counts for all that would have begun meanwhile, each a little
/// later: the correction for coordinated omission of `HdrHistogram`.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    every: Duration,
    latest: Recent<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    ms: f64,
    block: u64,
}

/// What was measured, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    /// As it was measured.
    pub(super) ms: f64,
    /// It is hardly less than this.
    pub(super) low_ms: f64,
    /// It is hardly more than this.
    pub(super) high_ms: f64,
}

impl Samples {
    /// Keeps what is not older than `span`; one is sent `every` so often.
    #[must_use]
    pub(super) fn new(span: Duration, every: Duration) -> Self {
        Self { every, latest: Recent::of(span) }
    }

    /// One that took `ms` and ended now, in a block of time.
    pub(super) fn add(&mut self, ms: f64, block: u64, now: Instant) {
        let every_ms = (self.every.as_secs_f64() * 1000.0).max(1.0);
        let mut ms = ms;
        loop {
            self.latest.add(Sample { ms, block }, now);
            ms -= every_ms;
            if ms <= 0.0 {
                return;
            }
        }
    }

    /// Forgets all of them: from now on something else holds.
    pub(super) fn forget(&mut self) {
        self.latest.clear();
    }

    /// The 95th percentile; none while there are too few that are not too old.
    ///
    /// A block that is much slower than all others is left out: one slow moment is chance (a disk that
    /// stalls), two are not. The bounds are those of an order statistic.
    #[must_use]
    pub(super) fn p95(&mut self, now: Instant) -> Option<Estimate> {
        self.latest.drop_old(now);
        let worst = self.outlying_block();
        let counted = self.latest.iter().filter(|sample| Some(sample.block) != worst);
        let mut all: Vec<f64> = counted.map(|sample| sample.ms).collect();
        if all.len() < TELLING {
            return None;
        }
        all.sort_by(f64::total_cmp);
        let deviation = DEVIATIONS * (P * (1.0 - P) / all.len() as f64).sqrt();
        let at = |rank: f64| all[((rank * all.len() as f64).ceil() as usize).clamp(1, all.len()) - 1];
        Some(Estimate { ms: at(P), low_ms: at(P - deviation), high_ms: at(P + deviation) })
    }

    fn outlying_block(&self) -> Option<u64> {
        let mut slowest = BTreeMap::new();
        for sample in self.latest.iter() {
            let ms: &mut f64 = slowest.entry(sample.block).or_default();
            *ms = ms.max(sample.ms);
        }
        let (&worst, &worst_ms) = slowest.iter().max_by(|a, b| a.1.total_cmp(b.1))?;
        let others = slowest.iter().filter(|(block, _)| **block != worst);
        let next_ms = others.map(|(_, ms)| *ms).fold(0.0, f64::max);
        (slowest.len() >= BLOCKS && worst_ms > next_ms * OUTLYING).then_some(worst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(50);

    fn samples(all: impl IntoIterator<Item = (f64, u64)>, now: Instant) -> Samples {
        let mut samples = Samples::new(Duration::from_secs(60), EVERY);
        all.into_iter().for_each(|(ms, block)| samples.add(ms, block, now));
        samples
    }

    #[test]
    fn one_of_twenty_is_allowed_to_be_slow() {
        let now = Instant::now();
        let mut samples = samples((0..100).map(|n| (if n % 20 == 0 { 40.0 } else { 2.0 }, 0)), now);
        let p95 = samples.p95(now).unwrap();
        assert_eq!((p95.low_ms, p95.ms, p95.high_ms), (2.0, 2.0, 40.0));
    }

    #[test]
    fn a_stall_counts_for_all_that_would_have_begun_meanwhile() {
        let now = Instant::now();
        let mut samples = samples((0..19).map(|_| (2.0, 0)).chain([(400.0, 0)]), now);
        assert!(samples.p95(now).unwrap().ms > 300.0);
    }

    #[test]
    fn one_slow_block_is_chance_and_two_are_not() {
        let now = Instant::now();
        let blocks =
            |slow: u64| samples((0..100).map(move |n| (if n / 20 < slow { 40.0 } else { 2.0 }, n / 20)), now);
        let ms = |slow| blocks(slow).p95(now).unwrap().ms;
        assert_eq!((ms(1), ms(2)), (2.0, 40.0));
    }

    #[test]
    fn a_few_say_nothing_and_the_old_ones_are_forgotten() {
        let now = Instant::now();
        assert_eq!(samples((0..14).map(|_| (2.0, 0)), now).p95(now), None);
        let mut samples = samples((0..100).map(|_| (9.0, 0)), now);
        assert_eq!(samples.p95(now + Duration::from_secs(61)), None);
    }

    #[test]
    fn more_probes_know_it_better() {
        let now = Instant::now();
        let width = |count: u32| {
            let p95 = samples((0..count).map(|n| (f64::from(n % 100), 0)), now).p95(now).unwrap();
            p95.high_ms - p95.low_ms
        };
        assert!(width(1000) < width(100));
    }
}
