//! Works the brake of this process: from what the guard has published, the run's knobs and the job's own signals to what the workers may do.
//!
//! Must not know: how signals are read, what a worker does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

use super::ledger::Wait;
use super::shared::Shared;
use crate::event::Event;
use crate::human;
use crate::pace::{Brake, Cause, FLOOR, Level, Seen, Verdict};
use crate::run::{Hold, Knobs, Mode};
use crate::signal::blind;
use crate::store::{Published, Told};
use crate::window::Standing;

/// A published share is believed for so long.
const VALID: Duration = Duration::from_secs(5);
/// Until somebody has measured how much the application bears.
const START: f64 = 0.25;
/// Time between two judgements. They do not wait for the heartbeat: a signal that nobody can read any more has to count, too.
const JUDGED_EVERY: Duration = Duration::from_millis(250);

/// What the last heartbeat brought, and how old the readings were then.
struct Heard {
    told: Told,
    at: Instant,
}

/// The brake, and the hand on it.
pub(super) struct Brakeman {
    brake: Brake,
    began: Instant,
    heard: Option<Heard>,
    /// When the latest reading was new to us, and how old it was then. From there on our own clock counts: the server's may jump.
    read: Option<(Instant, Duration)>,
    /// Whether it was told what this role cannot see.
    told_blind: bool,
}

/// Judges again and again until it is dropped.
pub(super) async fn watch(shared: Arc<Shared>, brakeman: Arc<Mutex<Brakeman>>) {
    let mut ticks = tokio::time::interval(JUDGED_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        brakeman.lock().work(&shared, Instant::now());
    }
}

impl Brakeman {
    pub(super) fn new(now: Instant) -> Self {
        Self { brake: Brake::new(now), began: now, heard: None, read: None, told_blind: false }
    }

    /// A heartbeat has brought this.
    pub(super) fn hear(&mut self, told: Told, now: Instant) {
        let before = self.heard.as_ref().and_then(|heard| heard.told.guard.read_at_s);
        if told.guard.read_at_s != before {
            let age = |s: f64| Duration::try_from_secs_f64(s.max(0.0)).unwrap_or(Duration::MAX);
            self.read = told.guard.read_s_ago.map(|s| (now, age(s)));
        }
        self.heard = Some(Heard { told, at: now });
    }

    /// How old the readings are.
    fn age(&self, now: Instant) -> Option<Duration> {
        self.read.map(|(at, age)| age.saturating_add(now.saturating_duration_since(at)))
    }

    /// Sets the workers' level by what is known now.
    pub(super) fn work(&mut self, shared: &Shared, now: Instant) {
        let (Some(heard), age) = (self.heard.take(), self.age(now)) else { return };
        let told = &heard.told;
        let (trouble, own) = (shared.guard_trouble(), shared.own.readings(now));
        let seen = Seen {
            run: shared.run.id,
            readings: &told.guard.readings,
            read_at_s: told.guard.read_at_s,
            age,
            trouble: trouble.as_deref(),
            own: &own,
        };
        let is_fresh = age.is_some_and(|age| age <= VALID);
        self.tell_blind(shared, &told.guard, is_fresh);
        let knobs = &told.orders.knobs;
        let verdict = self.brake.judge(&knobs.guard, &seen, now);
        let workers = shared.wanted();
        let share = self.share(knobs, told, is_fresh, workers, &verdict, now);
        let level = Level::new(share, workers);
        let slow = if level.is_full() { None } else { why_slow(&verdict, &told.guard) };
        let closed = closed(knobs, told.clock_s + now.saturating_duration_since(heard.at).as_secs_f64());
        let stop = closed.or_else(|| verdict.stop.map(|cause| wait(Hold::Paused, cause)));
        shared.braking.set(stop, level, slow, quiet(knobs, &told.guard, heard.at));
        self.heard = Some(heard);
    }

    /// Says once what is hidden from whoever guards.
    fn tell_blind(&mut self, shared: &Shared, guard: &Published, is_fresh: bool) {
        if let Some(blind) = blind(&guard.readings).filter(|_| is_fresh && !self.told_blind) {
            self.told_blind = true;
            let message =
                format!("the guard is blind for {blind}; GRANT pg_read_all_stats to its role to let it see");
            shared.emit(Event::Notice { message });
        }
    }

    /// The batch-seconds a second of this process: its fair part, and what the others leave of theirs.
    fn share(
        &self,
        knobs: &Knobs,
        told: &Told,
        is_fresh: bool,
        workers: u32,
        verdict: &Verdict,
        now: Instant,
    ) -> f64 {
        let all = f64::from(workers);
        if knobs.mode == Mode::Full {
            return all;
        }
        let of_all = match told.guard.share.filter(|_| is_fresh) {
            Some(share) => share,
            None if now.duration_since(self.began) <= VALID => START,
            None => FLOOR,
        };
        let part = all / (all + f64::from(told.other_auto_workers));
        let ours = (of_all * part).max(of_all - told.other_busy);
        (ours * verdict.factor).max(FLOOR * part).min(all)
    }
}

/// Outside of the run's daily window, by the database's clock.
fn closed(knobs: &Knobs, clock_s: f64) -> Option<Wait> {
    let window = knobs.window.as_ref()?;
    let now = Timestamp::from_millisecond((clock_s * 1000.0) as i64).ok()?;
    let Standing::Closed { until } = window.standing(now) else { return None };
    let left = human::duration(until.duration_since(now).unsigned_abs());
    Some(Wait::new(Hold::Paused, "window", format!("outside of its window {window}, which opens in {left}")))
}

/// The signals say more than the controller, which sees what they do to us.
fn why_slow(verdict: &Verdict, guard: &Published) -> Option<Wait> {
    let measured = || guard.share_why.clone().map(|text| Cause { key: "latency".into(), text });
    verdict.slow.clone().or_else(measured).map(|cause| wait(Hold::Throttled, cause))
}

fn wait(hold: Hold, cause: Cause) -> Wait {
    Wait::new(hold, cause.key, cause.text)
}

/// The quiet time, by our clock, as it was heard of.
fn quiet(knobs: &Knobs, guard: &Published, heard: Instant) -> Option<(Instant, Instant)> {
    let quiet = guard.quiet.filter(|quiet| knobs.mode == Mode::Auto && quiet.until_s > 0.0)?;
    let at = |s: f64| heard + Duration::from_secs_f64(s.max(0.0));
    Some((at(quiet.in_s), at(quiet.until_s)))
}
