//! Works the brake of this process: from what the guard has published, the run's knobs and the job's own signals to what the workers may do.
//!
//! Must not know: how signals are read, what a worker does.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::ledger::Wait;
use super::shared::Shared;
use crate::event::Event;
use crate::human;
use crate::pace::{Brake, Cause, FLOOR, Level, OwnReading, Seen, Verdict};
use crate::run::{Hold, Knobs, Mode};
use crate::signal::blind;
use crate::store::{Published, Told};
use crate::window::Standing;

/// A published share is believed for so long, in seconds.
const VALID_S: f64 = 5.0;
/// Until somebody has measured how much the application bears.
const START: f64 = 0.25;

/// The brake, and the hand on it.
pub(super) struct Brakeman {
    brake: Brake,
    began: Instant,
    /// Whether it was told what this role cannot see.
    told_blind: bool,
}

impl Brakeman {
    pub(super) fn new(now: Instant) -> Self {
        Self { brake: Brake::new(now), began: now, told_blind: false }
    }

    /// Sets the workers' level by what the last beat brought. Called with every beat.
    pub(super) fn work(&mut self, shared: &Shared, told: &Told, own: &[OwnReading], now: Instant) {
        let trouble = shared.guard_trouble();
        let seen = Seen {
            run: shared.run.id,
            readings: &told.guard.readings,
            read_at_s: told.guard.read_at_s,
            age: told.guard.read_s_ago.map(|s| Duration::from_secs_f64(s.max(0.0))),
            trouble: trouble.as_deref(),
            own,
        };
        self.tell_blind(shared, &told.guard);
        let knobs = &told.orders.knobs;
        let verdict = self.brake.judge(&knobs.guard, &seen, now);
        let workers = shared.wanted();
        let share = self.share(knobs, told, workers, &verdict, now);
        let level = Level::new(share, workers);
        let slow = if level.is_full() { None } else { why_slow(&verdict, &told.guard) };
        let closed = closed(knobs, told.clock_s);
        let stop = closed.or_else(|| verdict.stop.map(|cause| wait(Hold::Paused, cause)));
        shared.braking.set(stop, level, slow, quiet(knobs, &told.guard, now));
    }

    /// Says once what is hidden from whoever guards.
    fn tell_blind(&mut self, shared: &Shared, guard: &Published) {
        let fresh = guard.read_s_ago.is_some_and(|age| age <= VALID_S);
        if let Some(blind) = blind(&guard.readings).filter(|_| fresh && !self.told_blind) {
            self.told_blind = true;
            let message =
                format!("the guard is blind for {blind}; GRANT pg_read_all_stats to its role to let it see");
            shared.emit(Event::Notice { message });
        }
    }

    /// The batch-seconds a second of this process.
    fn share(&self, knobs: &Knobs, told: &Told, workers: u32, verdict: &Verdict, now: Instant) -> f64 {
        let all = f64::from(workers);
        if knobs.mode == Mode::Full {
            return all;
        }
        let is_fresh = told.guard.read_s_ago.is_some_and(|age| age <= VALID_S);
        let of_all = match told.guard.share.filter(|_| is_fresh) {
            Some(share) => share,
            None if now.duration_since(self.began).as_secs_f64() <= VALID_S => START,
            None => FLOOR,
        };
        let part = all / (all + f64::from(told.other_auto_workers));
        (of_all * part * verdict.factor).max(FLOOR * part).min(all)
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

/// The quiet time, by our clock.
fn quiet(knobs: &Knobs, guard: &Published, now: Instant) -> Option<(Instant, Instant)> {
    let quiet = guard.quiet.filter(|quiet| knobs.mode == Mode::Auto && quiet.until_s > 0.0)?;
    let at = |s: f64| now + Duration::from_secs_f64(s.max(0.0));
    Some((at(quiet.in_s), at(quiet.until_s)))
}
