//! What the application feels because of us: what a latency probe takes while we work, less what it takes in
//! the quiet times, with the uncertainty of both.
//!
//! Must not know: who runs the probes, what follows.

use std::time::{Duration, Instant};

use super::samples::{P95, Samples};
use super::turns::Turn;

/// Time between two probes.
pub(super) const PROBE_EVERY: Duration = Duration::from_millis(25);
/// Probes of this time are looked at, of those while we work.
const WORKING: Duration = Duration::from_secs(4);
/// The same of those in quiet times, which are fewer.
const QUIET: Duration = Duration::from_secs(40);
/// The part of what is tolerated that is aimed at: an application's transaction is longer than a probe, and
/// its slowest hundredth slower than its slowest twentieth. Measured beside 200 transactions a second: aiming
/// at half of 5 ms, its p99 rose by 4.8 and 5.5 ms.
const AIM: f64 = 0.4;
/// The busier the application, the less is aimed at: behind each transaction that we delay others wait, which
/// a probe does not. So many sessions that run a statement halve it. Measured with the probes 2 ms slower:
/// the p99 of an application at 3, 10 and 50 % of its peak rose by 2.0, 3.6 and 6 ms.
const SESSIONS_HALVE: f64 = 2.0;
/// What is tolerated is at least this part of what the application has without us.
const TOLERATED: f64 = 0.1;

/// The probes, while we work and in quiet times.
#[derive(Clone, Debug)]
pub(super) struct Latency {
    working: Samples,
    quiet: Samples,
}

/// What the application feels because of us, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Felt {
    /// Without us.
    pub(super) without: P95,
    /// With us.
    pub(super) with: P95,
    /// What may be added.
    pub(super) tolerated_ms: f64,
    /// Sessions of others that run a statement, on average.
    pub(super) load: f64,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearing {
    /// It is surely too much.
    Above,
    /// It may be too much, or not.
    Near,
    /// It is less than what is aimed at, and surely less than what is tolerated.
    Below,
}

impl Default for Latency {
    fn default() -> Self {
        Self { working: Samples::new(WORKING, PROBE_EVERY), quiet: Samples::new(QUIET, PROBE_EVERY) }
    }
}

impl Latency {
    /// A probe took so long.
    pub(super) fn probed(&mut self, ms: f64, turn: Turn, now: Instant) {
        match turn {
            Turn::Work(block) => self.working.add(ms, block, now),
            Turn::Quiet(block) => self.quiet.add(ms, block, now),
            Turn::Between => {}
        }
    }

    /// From now on we work at another pace.
    pub(super) fn forget_work(&mut self) {
        self.working.forget();
    }

    /// What is felt; none while too little was measured.
    pub(super) fn felt(&mut self, tolerated_ms: f64, load: f64, now: Instant) -> Option<Felt> {
        let (without, with) = (self.quiet.p95(now)?, self.working.p95(now)?);
        Some(Felt { without, with, tolerated_ms: tolerated_ms.max(without.ms * TOLERATED), load })
    }
}

impl Felt {
    /// How far what is measured without us varies by itself.
    #[must_use]
    pub(super) fn noise_ms(&self) -> f64 {
        self.without.high_ms - self.without.ms
    }

    /// What is aimed at: below the noise nothing can be aimed at.
    fn aim_ms(&self) -> f64 {
        (self.tolerated_ms * AIM / (1.0 + self.load / SESSIONS_HALVE)).max(self.noise_ms())
    }

    /// Whether the tolerance lies inside the noise.
    #[must_use]
    pub(super) fn is_noisy(&self) -> bool {
        self.noise_ms() > self.tolerated_ms
    }

    /// What follows.
    #[must_use]
    pub(super) fn bearing(&self) -> Bearing {
        let aim_ms = self.without.ms + self.aim_ms();
        let limit_ms = self.without.ms + self.tolerated_ms.max(self.noise_ms());
        if self.with.low_ms > aim_ms || self.with.ms > limit_ms {
            Bearing::Above
        } else if self.with.ms < aim_ms && self.with.high_ms < limit_ms {
            Bearing::Below
        } else {
            Bearing::Near
        }
    }

    /// Whether it is far too much: all that is tolerated, and not only what is aimed at.
    #[must_use]
    pub(super) fn is_far_above(&self) -> bool {
        self.with.low_ms - self.without.ms > self.tolerated_ms.max(self.noise_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p95(low_ms: f64, ms: f64, high_ms: f64) -> P95 {
        P95 { ms, low_ms, high_ms }
    }

    fn felt(without: P95, with: P95, tolerated_ms: f64) -> Felt {
        Felt { without, with, tolerated_ms, load: 0.0 }
    }

    #[test]
    fn it_is_acted_upon_only_where_it_is_sure() {
        let without = p95(1.3, 1.4, 1.6);
        let bearing = |with| felt(without, with, 5.0).bearing();
        assert_eq!(bearing(p95(1.4, 1.6, 2.0)), Bearing::Below);
        assert_eq!(bearing(p95(2.0, 2.9, 4.0)), Bearing::Below);
        assert_eq!(bearing(p95(2.0, 3.5, 4.0)), Bearing::Near);
        assert_eq!(bearing(p95(2.0, 2.9, 7.0)), Bearing::Near);
        assert_eq!(bearing(p95(3.5, 3.8, 5.0)), Bearing::Above);
        assert_eq!(bearing(p95(2.0, 7.0, 9.0)), Bearing::Above);
    }

    #[test]
    fn a_tolerance_inside_the_noise_is_that_of_the_noise() {
        let noisy = felt(p95(1.0, 1.4, 4.4), p95(1.5, 2.5, 4.0), 1.0);
        assert!(noisy.is_noisy());
        assert_eq!(noisy.bearing(), Bearing::Below);
    }

    #[test]
    fn beside_a_busy_application_less_is_aimed_at() {
        let (without, with) = (p95(1.3, 1.4, 1.6), p95(2.5, 2.9, 3.5));
        assert_eq!(felt(without, with, 5.0).bearing(), Bearing::Below);
        assert_eq!(Felt { load: 4.0, ..felt(without, with, 5.0) }.bearing(), Bearing::Above);
    }

    #[test]
    fn what_is_measured_between_the_turns_counts_for_neither() {
        let (mut latency, now) = (Latency::default(), Instant::now());
        for _ in 0..40 {
            latency.probed(90.0, Turn::Between, now);
            latency.probed(1.0, Turn::Quiet(1), now);
            latency.probed(2.0, Turn::Work(1), now);
        }
        let felt = latency.felt(5.0, 0.0, now).unwrap();
        assert_eq!((felt.without.ms, felt.with.ms), (1.0, 2.0));
    }

    #[test]
    fn a_tenth_of_what_it_takes_without_us_is_tolerated_at_least() {
        let (mut latency, now) = (Latency::default(), Instant::now());
        for _ in 0..40 {
            latency.probed(100.0, Turn::Quiet(1), now);
            latency.probed(101.0, Turn::Work(1), now);
        }
        let felt = latency.felt(5.0, 0.0, now).unwrap();
        assert_eq!((felt.tolerated_ms, felt.with.ms), (10.0, 101.0));
    }
}
