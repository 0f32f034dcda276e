//! The controller: how many batch-seconds a second the application bears, found by what short transactions
//! take.
//!
//! The measure is the p95 of latency probes while we work, less that of a short quiet time in which no worker
//! works; so our own load never teaches us to accept the damage that it does. Too much: half. Near the limit:
//! a little less. Far below it, while the share is used up: a little more.
//!
//! Must not know: who runs the probes, who obeys.

use std::time::{Duration, Instant};

use super::samples::Samples;

/// The least share: what is left where it cannot be told how much the application would bear.
const FLOOR: f64 = 0.05;

/// The share of the first seconds. One whole worker was measured to hurt: with 2 cores, at 30 % of what the
/// application can do, its p99 went from 1 ms to 5 to 9 ms.
const START: f64 = 0.25;
/// Time between two probes.
pub(super) const PROBE_EVERY: Duration = Duration::from_millis(50);
/// Probes of this time are looked at.
const SPAN: Duration = Duration::from_secs(3);
/// After one cut its effect is awaited before the next.
const CUT_EVERY: Duration = Duration::from_secs(3);
const CUT: f64 = 0.5;
/// A little less, near the limit.
const EASE: f64 = 0.97;
/// A little more, until the limit was met for the first time.
const SLOW_START: f64 = 1.25;
/// A little more, up to where the limit was met last.
const RECOVER: f64 = 1.06;
/// A little more, beyond that.
const GROW: f64 = 1.016;
/// So close to where the limit was met, growth is slow.
const KNEE: f64 = 0.8;
/// A quiet time begins so long after it was announced, so that every process has heard of it.
const ANNOUNCED: Duration = Duration::from_secs(1);
/// The batches in hand may end first.
const SETTLING: Duration = Duration::from_millis(200);
/// How long it is quiet.
const QUIET: Duration = Duration::from_secs(1);
/// While the limit is near, quiet times are as far apart.
const QUIET_EVERY: Duration = Duration::from_secs(20);
/// While it is far, we cannot be what makes the application slow.
const QUIET_EVERY_AT_EASE: Duration = Duration::from_secs(60);
/// The part of what is tolerated that is aimed at: the slowest hundredth of the application is slower than
/// the slowest twentieth of the probes. Measured at 30 and 50 % load: aiming at all of it, p99 rose by 1.2
/// and 2.0 ms; at 0.35 of it, by nothing and 1.4 ms.
const AIM: f64 = 0.35;
/// From this part of a share on it counts as used up; rests are never as short as they are meant to be.
const USED_UP: f64 = 0.6;
/// What is tolerated is at least this part of what the application has without us.
const TOLERATED: f64 = 0.1;

/// What the controller decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Steering {
    /// Batch-seconds a second for all of us together.
    pub share: f64,
    /// Why not more, for a person; none if all that is asked for is given.
    pub why: Option<String>,
    /// The latest quiet time, from when until when; announced before it begins.
    pub quiet: Option<(Instant, Instant)>,
}

/// The controller of the leading process.
#[derive(Clone, Debug)]
pub struct Controller {
    share: f64,
    slow_start: bool,
    /// Where the limit was met last.
    met: Option<f64>,
    working: Samples,
    resting: Samples,
    baseline_ms: Option<f64>,
    cut_at: Option<Instant>,
    /// When probes last said something while we worked.
    heard: Instant,
    /// The quiet time that was announced last.
    quiet: Option<(Instant, Instant)>,
    /// Whether the limit has been near since then.
    doubted: bool,
    began: Instant,
}

impl Controller {
    /// Goes on with a share that was in force a moment ago, or begins with a quarter of a worker.
    #[must_use]
    pub fn new(share: Option<f64>, now: Instant) -> Self {
        Self {
            share: share.unwrap_or(START),
            slow_start: true,
            met: None,
            working: Samples::new(SPAN, PROBE_EVERY),
            resting: Samples::new(QUIET_EVERY, PROBE_EVERY),
            heard: now,
            baseline_ms: None,
            cut_at: None,
            quiet: None,
            doubted: true,
            began: now,
        }
    }

    /// A probe took so long.
    pub fn probed(&mut self, ms: f64, now: Instant) {
        match self.quiet {
            Some((from, until)) if now >= from + SETTLING && now < until => self.resting.add(ms, now),
            // Of the batches that were in hand, or that begin again.
            Some((from, until)) if now >= from && now < until + SETTLING => {}
            _ => self.working.add(ms, now),
        }
    }

    /// True in a quiet time.
    #[must_use]
    pub fn is_quiet(&self, now: Instant) -> bool {
        self.quiet.is_some_and(|(from, until)| now >= from && now < until)
    }

    /// Once a second: `busy` batch-seconds a second are spent by `workers` workers; `tolerated_ms` may be
    /// added.
    pub fn step(&mut self, busy: f64, workers: u32, tolerated_ms: f64, now: Instant) -> Steering {
        let most = f64::from(workers.max(1));
        self.learn_baseline(now);
        let verdict = self.added(tolerated_ms, now);
        if verdict.is_some() || self.is_quiet(now) || self.baseline_ms.is_none() {
            self.heard = now;
        }
        if let Some((added, tolerated)) = verdict.filter(|_| !self.is_quiet(now)) {
            self.adjust(added / (tolerated * AIM), busy, now);
        } else if now.duration_since(self.heard) > SPAN {
            // It is not known what we do to the application.
            self.share *= EASE;
        }
        self.share = self.share.clamp(FLOOR, most);
        self.announce(workers, now);
        Steering { share: self.share, why: self.why(verdict, most), quiet: self.quiet }
    }

    /// What the quiet time said, once it is over; without one, no transaction is faster than while we work.
    fn learn_baseline(&mut self, now: Instant) {
        if self.quiet.is_some_and(|(_, until)| now >= until)
            && let Some(p95) = self.resting.p95_ms(now)
        {
            self.baseline_ms = Some(p95);
            self.resting.forget();
        }
        if let (Some(baseline), Some(p95)) = (self.baseline_ms, self.working.p95_ms(now)) {
            self.baseline_ms = Some(baseline.min(p95));
        }
    }

    /// What we add, and what is tolerated, in milliseconds.
    fn added(&mut self, tolerated_ms: f64, now: Instant) -> Option<(f64, f64)> {
        let (baseline, p95) = (self.baseline_ms?, self.working.p95_ms(now)?);
        Some((p95 - baseline, tolerated_ms.max(baseline * TOLERATED)))
    }

    fn adjust(&mut self, part: f64, busy: f64, now: Instant) {
        self.doubted |= part > 0.5;
        let used_up = busy >= self.share * USED_UP;
        if part > 1.0 {
            self.cut(now);
        } else if part > 0.7 {
            self.share *= EASE;
            self.slow_start = false;
        } else if part < 0.5 && used_up {
            self.share *= self.growth();
        }
    }

    fn cut(&mut self, now: Instant) {
        if self.cut_at.is_some_and(|at| now.duration_since(at) < CUT_EVERY) {
            return;
        }
        self.met = Some(self.share);
        self.share *= CUT;
        self.slow_start = false;
        self.cut_at = Some(now);
        // What follows is seen alone.
        self.working.forget();
    }

    fn growth(&self) -> f64 {
        match self.met {
            _ if self.slow_start => SLOW_START,
            Some(met) if self.share < met * KNEE => RECOVER,
            _ => GROW,
        }
    }

    fn announce(&mut self, workers: u32, now: Instant) {
        let every = if self.doubted { QUIET_EVERY } else { QUIET_EVERY_AT_EASE };
        let due = match self.quiet {
            None => now >= self.began,
            Some((from, _)) => now >= from + every,
        };
        if due && workers > 0 {
            self.quiet = Some((now + ANNOUNCED, now + ANNOUNCED + QUIET));
            self.doubted = false;
            self.resting.forget();
        }
    }

    fn why(&self, verdict: Option<(f64, f64)>, most: f64) -> Option<String> {
        if self.share >= most - 1e-9 {
            return None;
        }
        let limit = |tolerated: f64| format!("limit {tolerated:.1} ms");
        Some(match (verdict, self.baseline_ms) {
            (Some((added, tolerated)), Some(baseline)) if added > tolerated * AIM * 0.7 => format!(
                "making way: a short transaction takes {added:.1} ms more than the {baseline:.1} ms it takes without us, {}",
                limit(tolerated)
            ),
            (Some((added, tolerated)), Some(_)) => format!(
                "finding out how much the application bears: a short transaction takes {:.1} ms more because of us, {}",
                added.max(0.0),
                limit(tolerated)
            ),
            _ => "finding out how much the application bears".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An application whose transactions take `idle` ms, and more for each batch-second of ours.
    struct World {
        controller: Controller,
        now: Instant,
        idle: f64,
        per_share: f64,
    }

    impl World {
        fn new(idle: f64, per_share: f64) -> Self {
            let now = Instant::now();
            Self { controller: Controller::new(None, now), now, idle, per_share }
        }

        /// A second of life with `workers` workers; what was decided at its end.
        fn second(&mut self, workers: u32) -> Steering {
            for _ in 0..20 {
                self.now += Duration::from_millis(50);
                let share = if self.controller.is_quiet(self.now) { 0.0 } else { self.controller.share };
                self.controller.probed(self.idle + self.per_share * share, self.now);
            }
            self.controller.step(self.controller.share, workers, 1.0, self.now)
        }

        fn seconds(&mut self, seconds: u32, workers: u32) -> Steering {
            (1..seconds).for_each(|_| drop(self.second(workers)));
            self.second(workers)
        }
    }

    #[test]
    fn where_nobody_is_hurt_everything_is_given() {
        let steering = World::new(1.5, 0.02).seconds(40, 4);
        assert_eq!((steering.share, steering.why), (4.0, None));
    }

    #[test]
    fn it_settles_where_the_damage_is_below_what_is_tolerated() {
        let mut world = World::new(1.5, 2.0);
        world.seconds(60, 4);
        let shares: Vec<f64> = (0..120).map(|_| world.second(4).share).collect();
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        // A share of 0.5 adds what is tolerated.
        let aim = 0.5 * AIM;
        assert!(mean > aim * 0.4 && mean < aim, "{mean}");
        let over = shares.iter().filter(|share| **share > aim).count();
        assert!(over <= 12, "{over} of {} seconds above the limit", shares.len());
    }

    #[test]
    fn damage_halves_the_share_but_not_twice_in_three_seconds() {
        let mut world = World::new(1.5, 0.02);
        world.seconds(30, 2);
        world.per_share = 50.0;
        let shares: Vec<f64> = (0..4).map(|_| world.second(2).share).collect();
        let cuts = shares.windows(2).filter(|pair| pair[1] < pair[0] * 0.6).count();
        assert!(shares[3] >= 0.5 && shares[3] < 2.0 && cuts <= 1, "{shares:?}");
    }

    #[test]
    fn an_application_that_is_slow_by_itself_is_no_reason_to_slow_down() {
        let mut world = World::new(1.5, 0.02);
        world.seconds(30, 2);
        world.idle = 30.0;
        // Its own slowness looks like damage until the next quiet time.
        world.seconds(90, 2);
        assert_eq!(world.second(2).why, None);
    }

    #[test]
    fn our_own_load_never_becomes_the_baseline() {
        let mut world = World::new(1.5, 30.0);
        world.seconds(300, 2);
        let steering = world.second(2);
        assert!(steering.share < 0.1, "{steering:?}");
        assert!(world.controller.baseline_ms.unwrap() < 2.0);
    }

    #[test]
    fn at_ease_it_is_quiet_once_a_minute_and_in_doubt_three_times() {
        let quiet = |per_share: f64| {
            let mut world = World::new(1.5, per_share);
            world.seconds(10, 1);
            let times: std::collections::BTreeSet<_> =
                (0..120).filter_map(|_| world.second(1).quiet).collect();
            // The latest one is told every second, and there was one before.
            times.len() - 1
        };
        assert_eq!(quiet(0.02), 2);
        assert_eq!(quiet(1.5), 6);
    }

    #[test]
    fn without_workers_nobody_is_told_to_be_quiet() {
        assert_eq!(World::new(1.0, 0.0).seconds(30, 0).quiet, None);
    }

    #[test]
    fn the_reason_names_the_damage_and_the_limit() {
        let mut world = World::new(1.5, 1.9);
        world.seconds(10, 2);
        world.per_share = 40.0;
        let steering = world.seconds(2, 2);
        assert!(
            steering.why.as_ref().is_some_and(|why| why.contains("ms it takes without us, limit 1.0 ms")),
            "{steering:?}"
        );
    }
}
