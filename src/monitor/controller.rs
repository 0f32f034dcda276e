//! The controller: how much the application bears, found by what it feels because of us.
//!
//! The effort is one number. Up to the number of workers it is batch-seconds a second, spent in short
//! batches: first one worker that rests in between, then one that does not, then the next. Beyond that all
//! work, and their batches get longer, which costs the application most for what it gains. It is lowered
//! where what is felt is surely too much, raised where it is surely little, and kept in between.
//!
//! Must not know: who runs the probes, who obeys.

use std::time::{Duration, Instant};

use super::growth::Growth;
use super::latency::{Bearing, Felt, Latency, Measure};
use super::saturation::{Headroom, Saturation};
use super::turns::Turns;
use crate::run::pace::{BATCH_BESIDE, FLOOR, START};
use crate::store::OthersSeen;

/// What was learned is doubted after so long, in seconds.
const LEARNED_S_MAX: f64 = 3600.0;
/// What was learned is doubted where so many times more sessions are at work, and half a session.
const OTHER_LOAD: f64 = 1.5;
/// The longest batch beside others; the run's own knob may be less.
const BATCH_LONG: Duration = Duration::from_millis(100);
/// After one cut its effect is awaited before the next.
const CUT_EVERY: Duration = Duration::from_millis(1_500);
/// Cuts that follow each other so closely are for one reason.
const CUT_SERIES: Duration = Duration::from_secs(10);
/// Whether others were the reason is seen so soon after a cut, or not at all.
const CUT_DOUBTED: Duration = Duration::from_secs(30);
/// Where it takes so many times as long without us as it did at a cut, others were the reason.
const OTHERS_REASON: f64 = 1.5;
/// Far too much.
const CUT: f64 = 0.5;
/// Too much.
const EASE: f64 = 0.8;
/// A change by more than this is looked at alone.
const LARGE_CHANGE: f64 = 1.1;
/// From this part of the effort on it counts as used up; rests are never as short as they are meant to be.
const USED_UP: f64 = 0.6;
/// Without anything measured for so long, it is not known what we do to the application.
const UNHEARD: Duration = Duration::from_secs(4);
/// Less and less then.
const UNHEARD_EASE: f64 = 0.97;
/// Quiet times are rarer once as many steps in a row were decided by what was measured.
const KNOWN_STEPS: u32 = 8;

/// What the controller decided.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steering {
    /// Batch-seconds a second for all of us together.
    pub(super) share: f64,
    /// How long a batch takes.
    pub(super) batch: Duration,
    /// Why not more, for a person; none if all that is asked for is given.
    pub(super) why: Option<String>,
    /// The latest quiet time, from when until when; announced before it begins.
    pub(super) quiet: Option<(Instant, Instant)>,
    /// The effort, if it is worth remembering.
    pub(super) learned: Option<f64>,
}

/// What there is to decide by, once a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Batch-seconds a second that are spent.
    pub(super) busy: f64,
    /// Workers that share what the application bears.
    pub(super) workers: u32,
    /// How much may be added, in milliseconds.
    pub(super) tolerated_ms: f64,
    /// No other session is at work.
    pub(super) is_alone: bool,
    /// Sessions of others that run a statement, on average; none: not known yet.
    pub(super) load: Option<f64>,
}

/// Why and when the effort was lowered.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: Instant,
    /// The effort before the first of several cuts in a row.
    effort: f64,
    /// What a probe took without us, as it was known then.
    without_ms: f64,
}

/// The controller of the leading process.
#[derive(Clone, Debug)]
pub(super) struct Controller {
    effort: f64,
    /// Of so many workers; none: not known yet.
    workers: Option<f64>,
    /// The load beside which the effort was learned, as long as it was not compared with that of now.
    learned_load: Option<f64>,
    growth: Growth,
    latency: Latency,
    saturation: Saturation,
    turns: Turns,
    cut: Option<Cut>,
    /// When something was measured last.
    heard: Instant,
    known_steps: u32,
    was_alone: bool,
    /// When something was felt last, and beside which load.
    felt_at: Option<(Instant, Option<f64>)>,
}

impl Cut {
    fn was_for_others(&self, felt: &Felt, now: Instant) -> bool {
        now.duration_since(self.at) < CUT_DOUBTED
            && felt.probes.without.low_ms > self.without_ms * OTHERS_REASON
    }
}

impl Controller {
    /// Begins with a quarter of a worker.
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self {
            effort: START,
            workers: None,
            learned_load: None,
            growth: Growth::default(),
            latency: Latency::default(),
            saturation: Saturation::default(),
            turns: Turns::new(now),
            cut: None,
            heard: now,
            known_steps: 0,
            was_alone: true,
            felt_at: None,
        }
    }

    /// What was learned before: an effort, beside this load, so many seconds ago.
    pub(super) fn remember(&mut self, effort: f64, load: Option<f64>, s_ago: f64) {
        let is_old = !(0.0..=LEARNED_S_MAX).contains(&s_ago);
        self.effort = if is_old { effort.min(START) } else { effort };
        self.learned_load = load;
    }

    /// A probe began then and has ended now.
    pub(super) fn probed(&mut self, began: Instant, now: Instant) {
        let ms = now.duration_since(began).as_secs_f64() * 1000.0;
        self.latency.probed(ms, self.turns.between(began, now), now);
    }

    /// A look that began then has ended now.
    pub(super) fn looked(&mut self, seen: &OthersSeen, began: Instant, now: Instant) {
        let turn = self.turns.between(began, now);
        self.latency.met(&seen.ages_ms, turn, now);
        let sessions = usize::try_from(seen.sessions).unwrap_or(0);
        self.saturation.met(seen.running.len(), sessions, turn, now);
    }

    /// Once a second; `chance` is between 0 and 1.
    pub(super) fn step(&mut self, facts: &Facts, chance: f64, now: Instant) -> Steering {
        if facts.is_alone {
            self.was_alone = true;
            self.turns.stop();
            return Steering { share: f64::from(facts.workers.max(1)), ..self.steering(None, None) };
        }
        if facts.workers == 0 {
            // There is nothing to measure, and a worker that begins finds the effort as it was.
            self.heard = now;
            return self.steering(None, None);
        }
        self.resize(f64::from(facts.workers));
        if std::mem::take(&mut self.was_alone) {
            self.begin_beside_others(now);
        }
        self.doubt(facts.load);
        let felt = self.latency.felt(facts.tolerated_ms, facts.load.unwrap_or(0.0), now);
        let headroom = self.saturation.headroom(now);
        tracing::debug!(?headroom, ?felt, effort = self.effort, "what the application feels");
        self.adjust(felt.as_ref(), headroom, facts.busy, now);
        self.turns.announce(self.known_steps >= KNOWN_STEPS, chance, self.batch(), now);
        if felt.is_some() {
            self.felt_at = Some((now, facts.load));
        }
        self.steering(self.why(felt.as_ref(), headroom), felt.map(|_| self.effort))
    }

    /// What was found out beside one application says nothing about the next one, but what a probe takes
    /// without us, for as long as that is kept.
    fn begin_beside_others(&mut self, now: Instant) {
        (self.heard, self.known_steps, self.cut) = (now, 0, None);
        self.growth.forget();
        self.forget_work();
        if let Some((at, load)) = self.felt_at {
            self.remember(self.effort, load, now.duration_since(at).as_secs_f64());
        }
        self.turns.hurry(now);
    }

    /// Longer batches than those that are short are as much of the effort as they were before.
    fn resize(&mut self, workers: f64) {
        if let Some(before) = self.workers.replace(workers) {
            let beyond = (self.effort / before - 1.0).max(0.0);
            self.effort = if beyond > 0.0 { workers * (1.0 + beyond) } else { self.effort.min(workers) };
        }
    }

    fn workers(&self) -> f64 {
        self.workers.unwrap_or(1.0)
    }

    fn steering(&self, why: Option<String>, learned: Option<f64>) -> Steering {
        let (share, batch) = (self.effort.min(self.workers()), self.batch());
        Steering { share, batch, why, quiet: self.turns.quiet(), learned }
    }

    fn batch(&self) -> Duration {
        let beyond = (self.effort / self.workers() - 1.0).clamp(0.0, 1.0);
        BATCH_BESIDE.mul_f64((BATCH_LONG.as_secs_f64() / BATCH_BESIDE.as_secs_f64()).powf(beyond))
    }

    /// An effort that was learned beside fewer sessions is too much for more of them.
    fn doubt(&mut self, load: Option<f64>) {
        if let (Some(load), Some(learned)) = (load, self.learned_load.take_if(|_| load.is_some()))
            && load > learned * OTHER_LOAD + 0.5
        {
            self.effort = (self.effort * learned.max(0.1) / load).max(FLOOR);
        }
    }

    fn adjust(&mut self, felt: Option<&Felt>, headroom: Headroom, busy: f64, now: Instant) {
        let before = self.effort;
        let used_up = busy >= self.effort.min(self.workers()) * USED_UP;
        if self.turns.long_has_ended(now) && self.saturation.long_quiet_ended(now) {
            self.take_back_cuts();
        }
        match felt {
            // A queue before their sessions is as long in a quiet time, so the difference says nothing.
            _ if matches!(headroom, Headroom::None { .. }) => {
                self.heard = now;
                self.cut(self.effort.min(self.workers()) * CUT, felt, now);
                self.turns.hurry_long(now);
            }
            None if now.duration_since(self.heard) > UNHEARD => {
                self.effort *= UNHEARD_EASE;
                self.known_steps = 0;
            }
            None => {}
            Some(felt) => {
                self.heard = now;
                self.known_steps += 1;
                if headroom == Headroom::Little {
                    self.growth.near();
                }
                self.decide(felt, used_up && headroom == Headroom::Enough, now);
            }
        }
        self.effort = self.effort.clamp(FLOOR, self.workers() * 2.0);
        let ratio = self.effort / before;
        if !(1.0 / LARGE_CHANGE..=LARGE_CHANGE).contains(&ratio) {
            self.forget_work();
        }
    }

    /// What was measured while we work, at another pace or beside others, says nothing any more.
    fn forget_work(&mut self) {
        self.latency.forget_work();
        self.saturation.forget_work();
    }

    /// The latest cuts had a reason that was not ours.
    fn take_back_cuts(&mut self) {
        if let Some(cut) = self.cut.take() {
            self.effort = cut.effort;
            self.growth.forget();
        }
    }

    fn decide(&mut self, felt: &Felt, may_grow: bool, now: Instant) {
        let (_, decisive) = felt.decisive();
        let bearing = decisive.bearing();
        match bearing {
            Bearing::Above if decisive.is_far_above() => {
                self.cut(self.effort.min(self.workers()) * CUT, Some(felt), now);
                // Whether it was us is seen in a quiet time.
                self.turns.hurry(now);
            }
            Bearing::Above => self.cut(self.effort * EASE, Some(felt), now),
            Bearing::Near => self.growth.near(),
            Bearing::Below => match self.cut.filter(|cut| cut.was_for_others(felt, now)) {
                Some(_) => self.take_back_cuts(),
                None if may_grow => self.effort *= self.growth.more(self.effort),
                None => {}
            },
        }
    }

    fn cut(&mut self, effort: f64, felt: Option<&Felt>, now: Instant) {
        let last = self.cut.filter(|cut| now.duration_since(cut.at) < CUT_SERIES);
        if last.is_some_and(|cut| now.duration_since(cut.at) < CUT_EVERY) {
            return;
        }
        // As long as nothing is known, whatever is seen later is no sign of others.
        let without_ms = felt.map_or(f64::INFINITY, |felt| felt.probes.without.ms);
        let (before, without_ms) = last.map_or((self.effort, without_ms), |cut| (cut.effort, cut.without_ms));
        self.cut = Some(Cut { at: now, effort: before, without_ms });
        self.growth.met(self.effort);
        self.effort = effort;
    }

    fn why(&self, felt: Option<&Felt>, headroom: Headroom) -> Option<String> {
        if let Headroom::None { running, sessions } = headroom {
            return Some(format!(
                "making way: {running:.1} of the {sessions:.0} sessions of others run a statement at any time, \
                 so that more has to wait"
            ));
        }
        if self.effort >= self.workers() * 2.0 - 1e-9 {
            return None;
        }
        let Some(felt) = felt else {
            return Some("finding out how much the application bears".to_owned());
        };
        let (measure, felt) = felt.decisive();
        let noise = if felt.is_noisy() {
            format!(", which is less than what it varies by without us, {:.1} ms", felt.noise_ms())
        } else {
            String::new()
        };
        let takes = match measure {
            Measure::Probes => "a short transaction takes",
            Measure::Statements => "the statements of others take on average",
        };
        let does = if felt.bearing() == Bearing::Below {
            "finding out how much the application bears"
        } else if self.effort <= FLOOR * 1.01 {
            "as slow as it gets"
        } else {
            "making way"
        };
        Some(format!(
            "{does}: with us {takes} {:.1} ms, without us {:.1} ms, limit {:.1} ms more{noise}",
            felt.with.ms, felt.without.ms, felt.tolerated_ms
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::latency::PROBE_EVERY;
    use super::super::turns::Turn;
    use super::*;

    /// An application whose short transactions take `idle` ms without us, vary by themselves, and take longer
    /// by `per_share` ms for each batch-second of ours.
    struct World {
        controller: Controller,
        now: Instant,
        idle: f64,
        varies: f64,
        per_share: f64,
        tolerated_ms: f64,
        is_alone: bool,
        load: f64,
        share: f64,
        random: fastrand::Rng,
        quiet: Duration,
        pool: Option<Pool>,
    }

    /// Eight sessions of an application, of which so many transactions a second are asked, and before which
    /// the rest waits. None: it begins the next one as soon as one has ended.
    struct Pool {
        asked: Option<f64>,
        waiting: f64,
    }

    impl Pool {
        /// What a look sees after so long at this share of ours; with one worker they do half as much.
        fn look(&mut self, time: Duration, share: f64) -> OthersSeen {
            let done = 10_000.0 / (1.0 + share);
            let running = match self.asked {
                None => 8,
                Some(asked) => {
                    self.waiting = (self.waiting + (asked - done) * time.as_secs_f64()).max(0.0);
                    if self.waiting > 0.0 { 8 } else { (8.0 * asked / done).round() as usize }
                }
            };
            let running = (0..running).map(|number| number.to_string()).collect();
            OthersSeen { sessions: 8, running, ..OthersSeen::default() }
        }
    }

    impl World {
        fn new(idle: f64, per_share: f64) -> Self {
            let now = Instant::now();
            Self {
                controller: Controller::new(now),
                now,
                idle,
                varies: 0.2,
                per_share,
                tolerated_ms: 5.0,
                is_alone: false,
                load: 0.0,
                share: START,
                random: fastrand::Rng::with_seed(7),
                quiet: Duration::ZERO,
                pool: None,
            }
        }

        /// A second of life with `workers` workers; what was decided at its end.
        fn second(&mut self, workers: u32) -> Steering {
            for _ in 0..40 {
                self.now += PROBE_EVERY;
                let is_quiet = !matches!(self.controller.turns.at(self.now), Turn::Work(_));
                self.quiet += if is_quiet { PROBE_EVERY } else { Duration::ZERO };
                // Most are close to the mean, a few are far above it.
                let by_itself = -self.varies * (1.0 - self.random.f64()).ln();
                let ours = if is_quiet { 0.0 } else { self.per_share * self.share * self.random.f64() };
                let took = Duration::from_secs_f64((self.idle + by_itself + ours) / 1000.0);
                self.controller.probed(self.now, self.now + took);
                if let Some(pool) = &mut self.pool {
                    let seen = pool.look(PROBE_EVERY, if is_quiet { 0.0 } else { self.share });
                    self.controller.looked(&seen, self.now, self.now);
                }
            }
            let facts = Facts {
                busy: self.share,
                workers,
                tolerated_ms: self.tolerated_ms,
                is_alone: self.is_alone,
                load: Some(self.load),
            };
            let steering = self.controller.step(&facts, self.random.f64(), self.now);
            self.share = steering.share;
            steering
        }

        fn seconds(&mut self, seconds: u32, workers: u32) -> Steering {
            (1..seconds).for_each(|_| drop(self.second(workers)));
            self.second(workers)
        }
    }

    #[test]
    fn alone_everything_is_given_at_once() {
        let mut world = World { is_alone: true, ..World::new(1.5, 50.0) };
        let steering = world.second(4);
        assert_eq!((steering.share, steering.why, steering.quiet), (4.0, None, None));
    }

    #[test]
    fn where_nothing_is_felt_everything_is_given() {
        let steering = World::new(1.5, 0.02).seconds(90, 4);
        assert_eq!((steering.share, &steering.why), (4.0, &None));
        assert!(steering.batch > BATCH_LONG.mul_f64(0.99), "{steering:?}");
    }

    #[test]
    fn it_settles_where_what_is_added_is_tolerated() {
        // A share of 0.6 adds 2.5 ms to the slowest twentieth, which is what is aimed at.
        let mut world = World::new(1.5, 4.2);
        world.seconds(60, 4);
        let shares: Vec<f64> = (0..120).map(|_| world.second(4).share).collect();
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        assert!(mean > 0.3 && mean < 0.9, "{mean}");
        // All that is tolerated would be 1.25.
        assert!(shares.iter().all(|share| *share < 1.25), "{shares:?}");
    }

    #[test]
    fn too_much_is_cut_within_two_seconds() {
        let mut world = World::new(1.5, 0.02);
        world.seconds(60, 2);
        world.per_share = 50.0;
        let shares: Vec<f64> = (0..6).map(|_| world.second(2).share).collect();
        assert!(shares[1] < 2.0, "{shares:?}");
        assert!(shares[5] < 0.6, "{shares:?}");
    }

    #[test]
    fn an_application_that_is_slow_by_itself_is_no_reason_to_slow_down() {
        let mut world = World::new(1.5, 0.02);
        world.seconds(60, 2);
        // Others make it slow.
        (world.idle, world.varies) = (20.0, 10.0);
        world.seconds(60, 2);
        let mean = (0..120).map(|_| world.second(2).share / 120.0).sum::<f64>();
        assert!(mean > 0.7, "{mean}");
    }

    #[test]
    fn our_own_load_never_becomes_what_is_compared_with() {
        let mut world = World::new(1.5, 60.0);
        let steering = world.seconds(300, 2);
        assert!(steering.share < 0.15, "{steering:?}");
    }

    #[test]
    fn once_known_a_twentieth_of_the_time_is_quiet_at_most() {
        let mut world = World::new(1.5, 3.7);
        world.seconds(60, 2);
        world.quiet = Duration::ZERO;
        world.seconds(200, 2);
        let part = world.quiet.as_secs_f64() / 200.0;
        assert!(part > 0.02 && part <= 0.055, "{part}");
    }

    #[test]
    fn an_application_that_comes_meets_what_was_learned() {
        let mut world = World::new(1.5, 3.7);
        let learned = world.seconds(60, 4).share;
        world.is_alone = true;
        assert!(world.seconds(30, 4).share > 3.9);
        world.is_alone = false;
        let again = world.second(4);
        assert!((again.share / learned - 1.0).abs() < 0.3, "{learned} {again:?}");
    }

    #[test]
    fn what_was_learned_is_doubted_after_an_hour_or_beside_more_sessions() {
        let share = |load: f64, s_ago: f64| {
            let mut world = World { load, ..World::new(1.5, 3.7) };
            world.controller.remember(1.0, Some(1.0), s_ago);
            world.second(4).share
        };
        assert_eq!((share(1.0, 60.0), share(1.0, 7200.0), share(4.0, 60.0)), (1.0, START, 0.25));
    }

    #[test]
    fn workers_that_leave_do_not_make_the_batches_of_the_others_longer() {
        let mut world = World { load: 1.0, ..World::new(1.5, 0.02) };
        world.controller.remember(4.0, Some(1.0), 60.0);
        let four = world.second(4);
        let two = world.second(2);
        assert_eq!((four.share, two.share), (4.0, 2.0));
        assert_eq!((four.batch, two.batch), (BATCH_BESIDE, BATCH_BESIDE));
    }

    #[test]
    fn a_tolerance_inside_the_noise_is_said_to_be_so_and_does_not_crawl() {
        let mut world = World { varies: 4.0, tolerated_ms: 1.0, ..World::new(1.5, 1.0) };
        world.seconds(60, 2);
        let mean = (0..120).map(|_| world.second(2).share / 120.0).sum::<f64>();
        assert!(mean > 0.3, "{mean}");
    }

    #[test]
    fn the_reason_names_what_is_felt_and_the_limit() {
        let mut world = World::new(1.5, 1.9);
        world.seconds(10, 2);
        world.per_share = 60.0;
        let why = world.seconds(2, 2).why.unwrap();
        assert!(why.starts_with("making way: with us a short transaction takes "), "{why}");
        assert!(why.ends_with(" ms, limit 5.0 ms more"), "{why}");
    }

    #[test]
    fn what_waits_for_the_applications_sessions_is_seen_though_no_probe_sees_it() {
        let pool = Pool { asked: Some(5_000.0), waiting: 0.0 };
        let mut world = World { pool: Some(pool), ..World::new(1.5, 0.02) };
        world.seconds(30, 2);
        let (mut shares, mut waits) = (0.0, Vec::new());
        for _ in 0..200 {
            shares += world.second(2).share / 200.0;
            waits.push(world.pool.as_ref().unwrap().waiting / 5_000.0);
        }
        waits.sort_by(f64::total_cmp);
        // One worker at work all the time would be all that there is.
        assert!(shares > 0.1 && shares < 0.9, "{shares}");
        assert!(waits[190] < 0.1, "{waits:?}");
    }

    #[test]
    fn an_application_whose_sessions_never_rest_does_not_starve_us() {
        let pool = Pool { asked: None, waiting: 0.0 };
        let mut world = World { pool: Some(pool), ..World::new(1.5, 0.02) };
        world.seconds(60, 2);
        let mean = (0..240).map(|_| world.second(2).share / 240.0).sum::<f64>();
        assert!(mean > 1.4, "{mean}");
        // What was found again and again is looked for less and less often.
        world.quiet = Duration::ZERO;
        world.seconds(800, 2);
        let part = world.quiet.as_secs_f64() / 800.0;
        assert!(part < 0.06, "{part}");
    }

    #[test]
    fn without_probes_it_gets_less_and_less() {
        let mut world = World::new(1.5, 0.1);
        world.seconds(60, 1);
        let facts = Facts { busy: 1.0, workers: 1, tolerated_ms: 5.0, is_alone: false, load: None };
        let mut share = 1.0;
        for _ in 0..120 {
            world.now += Duration::from_secs(1);
            share = world.controller.step(&facts, 0.5, world.now).share;
        }
        assert!(share < 0.5, "{share}");
    }
}
