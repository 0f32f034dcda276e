//! What the application feels because of us: what a latency probe takes while we work, less what it takes in
//! the quiet times, and the same of the application's own statements; with the uncertainty of all of it.
//!
//! Must not know: who runs the probes, who looks, what follows.

use std::time::{Duration, Instant};

use super::samples::{Estimate, Samples};
use super::statements::Ages;
use super::turns::Turn;

/// Time between two probes.
pub(super) const PROBE_EVERY: Duration = Duration::from_millis(25);
/// What was measured while we work is kept for so long.
const WORKING: Duration = Duration::from_secs(4);
/// What was measured in quiet times is kept for so long, because they are few.
const QUIET: Duration = Duration::from_secs(40);
/// The part of what is tolerated that is aimed at: an application's transaction is longer than a probe, and
/// its slowest hundredth slower than its slowest twentieth. Measured beside 200 transactions a second: aiming
/// at 0.5 and 0.6 of 5 ms, the p99 of its median second rose by 3.5 and 5.6 ms.
const AIM: f64 = 0.5;
/// Where the application's own statements are hidden, the busier it is, the less is aimed at: behind each
/// transaction that we delay others wait, which a probe does not. So many sessions that run a statement halve
/// it. Measured with the probes 2 ms slower: the p99 of an application at 3, 10 and 50 % of its peak rose by
/// 2.0, 3.6 and 6 ms.
const SESSIONS_HALVE: f64 = 2.0;
/// What is tolerated is at least this part of what the application has without us.
const TOLERATED: f64 = 0.1;
/// The slowest hundredth of times that are exponential takes so many times as long as their mean: ln 100.
const P99_OF_MEAN: f64 = 4.6;

/// What was measured, while we work and in quiet times.
#[derive(Clone, Debug)]
pub(super) struct Latency {
    working: Measured,
    quiet: Measured,
}

/// What was measured with us, or without us.
#[derive(Clone, Debug)]
struct Measured {
    probes: Samples,
    statements: Ages,
}

/// What the application feels because of us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Felt {
    /// The slowest twentieth of the probes.
    pub(super) probes: Difference,
    /// The application's own statements; none: hidden, or too few.
    pub(super) statements: Option<Difference>,
}

/// What something takes with us and without us, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Difference {
    /// Without us.
    pub(super) without: Estimate,
    /// With us.
    pub(super) with: Estimate,
    /// What may be added.
    pub(super) tolerated_ms: f64,
    /// The part of it that is aimed at.
    aim: f64,
}

/// By what it was measured what the application feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Short transactions of our own.
    Probes,
    /// Its own statements.
    Statements,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bearing {
    /// It is less than what is aimed at, and surely less than what is tolerated.
    Below,
    /// It may be too much, or not.
    Near,
    /// It is surely too much.
    Above,
}

impl Default for Latency {
    fn default() -> Self {
        Self { working: Measured::new(WORKING), quiet: Measured::new(QUIET) }
    }
}

impl Measured {
    fn new(span: Duration) -> Self {
        Self { probes: Samples::new(span, PROBE_EVERY), statements: Ages::new(span) }
    }
}

impl Latency {
    /// A probe took so long.
    pub(super) fn probed(&mut self, ms: f64, turn: Turn, now: Instant) {
        if let Some((measured, block)) = self.of(turn) {
            measured.probes.add(ms, block, now);
        }
    }

    /// A look met statements of the application that have been running for so long.
    pub(super) fn met(&mut self, ages_ms: &[f64], turn: Turn, now: Instant) {
        if let Some((measured, block)) = self.of(turn) {
            measured.statements.add(ages_ms, block, now);
        }
    }

    fn of(&mut self, turn: Turn) -> Option<(&mut Measured, u64)> {
        match turn {
            Turn::Work(block) => Some((&mut self.working, block)),
            Turn::Quiet(block) => Some((&mut self.quiet, block)),
            Turn::Between => None,
        }
    }

    /// From now on we work at another pace.
    pub(super) fn forget_work(&mut self) {
        self.working.probes.forget();
        self.working.statements.forget();
    }

    /// What is felt, beside so many sessions that run a statement; none while too little was measured.
    pub(super) fn felt(&mut self, tolerated_ms: f64, load: f64, now: Instant) -> Option<Felt> {
        let (quiet, working) = (&mut self.quiet, &mut self.working);
        let statements = quiet
            .statements
            .mean(now)
            .zip(working.statements.mean(now))
            .map(|(without, with)| Difference::new(without, with, tolerated_ms / P99_OF_MEAN, AIM));
        let aim = if statements.is_some() { AIM } else { AIM / (1.0 + load / SESSIONS_HALVE) };
        let probes = Difference::new(quiet.probes.p95(now)?, working.probes.p95(now)?, tolerated_ms, aim);
        Some(Felt { probes, statements })
    }
}

impl Felt {
    /// Of what was measured, that which allows us least.
    #[must_use]
    pub(super) fn decisive(&self) -> (Measure, &Difference) {
        let probes = (Measure::Probes, &self.probes);
        match &self.statements {
            Some(statements) if statements.rank() > self.probes.rank() => (Measure::Statements, statements),
            _ => probes,
        }
    }
}

impl Difference {
    fn new(without: Estimate, with: Estimate, tolerated_ms: f64, aim: f64) -> Self {
        Self { without, with, tolerated_ms: tolerated_ms.max(without.ms * TOLERATED), aim }
    }

    fn rank(&self) -> (Bearing, f64) {
        (self.bearing(), (self.with.ms - self.without.ms) / self.tolerated_ms)
    }

    /// How far what is measured without us varies by itself.
    #[must_use]
    pub(super) fn noise_ms(&self) -> f64 {
        self.without.high_ms - self.without.ms
    }

    /// What is aimed at: below the noise nothing can be aimed at.
    fn aim_ms(&self) -> f64 {
        (self.tolerated_ms * self.aim).max(self.noise_ms())
    }

    /// What is surely too much: all that is tolerated, and more where that lies inside the noise, since what
    /// varies by itself does so twice, without us and with us.
    fn limit_ms(&self) -> f64 {
        self.tolerated_ms.max(self.noise_ms() * 2.0 - self.tolerated_ms)
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
        let limit_ms = self.without.ms + self.limit_ms();
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
        self.with.low_ms - self.without.ms > self.limit_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p95(low_ms: f64, ms: f64, high_ms: f64) -> Estimate {
        Estimate { ms, low_ms, high_ms }
    }

    fn felt(without: Estimate, with: Estimate, tolerated_ms: f64) -> Difference {
        Difference::new(without, with, tolerated_ms, AIM)
    }

    #[test]
    fn it_is_acted_upon_only_where_it_is_sure() {
        let without = p95(1.3, 1.4, 1.6);
        let bearing = |with| felt(without, with, 5.0).bearing();
        assert_eq!(bearing(p95(1.4, 1.6, 2.0)), Bearing::Below);
        assert_eq!(bearing(p95(2.0, 2.9, 4.0)), Bearing::Below);
        assert_eq!(bearing(p95(2.0, 4.0, 4.5)), Bearing::Near);
        assert_eq!(bearing(p95(2.0, 2.9, 7.0)), Bearing::Near);
        assert_eq!(bearing(p95(4.0, 4.3, 5.0)), Bearing::Above);
        assert_eq!(bearing(p95(2.0, 7.0, 9.0)), Bearing::Above);
    }

    #[test]
    fn a_tolerance_inside_the_noise_is_that_of_the_noise() {
        let noisy = felt(p95(1.0, 1.4, 4.4), p95(1.5, 2.5, 4.0), 1.0);
        assert!(noisy.is_noisy());
        assert_eq!(noisy.bearing(), Bearing::Below);
    }

    /// Forty probes of 1 ms without us and of `with_ms` with us, and looks that meet so many statements each.
    fn measured(with_ms: f64, statements: &[f64]) -> (Latency, Instant) {
        let (mut latency, now) = (Latency::default(), Instant::now());
        for n in 0..40 {
            for (turn, ms) in [(Turn::Quiet(n / 8), 1.0), (Turn::Work(n / 8), with_ms)] {
                latency.probed(ms, turn, now);
                latency.met(&statements.iter().map(|age| age * ms).collect::<Vec<_>>(), turn, now);
            }
        }
        (latency, now)
    }

    #[test]
    fn beside_a_busy_application_whose_statements_are_hidden_less_is_aimed_at() {
        let bearing = |load: f64| {
            let (mut latency, now) = measured(2.5, &[]);
            let felt = latency.felt(5.0, load, now).unwrap();
            assert_eq!(felt.statements, None);
            felt.decisive().1.bearing()
        };
        assert_eq!((bearing(0.0), bearing(4.0)), (Bearing::Below, Bearing::Above));
    }

    #[test]
    fn what_the_applications_own_statements_take_is_bounded_too() {
        // The probes are slower by 1 ms and the statements' mean by 1 ms, of which 1.1 would be tolerated.
        let (mut latency, now) = measured(2.0, &[1.0, 1.0]);
        let felt = latency.felt(5.0, 4.0, now).unwrap();
        assert_eq!(felt.probes.bearing(), Bearing::Below);
        let (what, statements) = felt.decisive();
        assert_eq!((what, statements.bearing()), (Measure::Statements, Bearing::Above));
        // And where those are hardly slower, the probes decide.
        let (mut latency, now) = measured(2.0, &[0.1, 0.1]);
        let felt = latency.felt(5.0, 4.0, now).unwrap();
        assert_eq!((felt.decisive().0, felt.decisive().1.bearing()), (Measure::Probes, Bearing::Below));
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
        assert_eq!((felt.probes.without.ms, felt.probes.with.ms), (1.0, 2.0));
    }

    #[test]
    fn a_tenth_of_what_it_takes_without_us_is_tolerated_at_least() {
        let (mut latency, now) = (Latency::default(), Instant::now());
        for _ in 0..40 {
            latency.probed(100.0, Turn::Quiet(1), now);
            latency.probed(101.0, Turn::Work(1), now);
        }
        let felt = latency.felt(5.0, 0.0, now).unwrap();
        assert_eq!((felt.probes.tolerated_ms, felt.probes.with.ms), (10.0, 101.0));
    }
}
