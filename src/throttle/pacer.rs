//! From what the leader has published, the run's knobs and the job's own signals to what the workers may do.
//!
//! Must not know: how signals are read, what a worker does.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::gate::Decision;
use super::judge::{CustomReading, Judge, Seen, Verdict};
use super::level::Level;
use super::reason::{Reason, Why};
use crate::human;
use crate::run::pace::{BATCH_BESIDE, FLOOR, READING_VALID, START};
use crate::run::{Hold, Knobs, Mode, RunId};
use crate::signal::blind;
use crate::store::{Heard, Published};
use crate::window::Standing;

/// What the last heartbeat brought, and when.
struct Latest {
    heard: Heard,
    at: Instant,
}

/// What is known to judge by, and the judge.
pub(super) struct Pacer {
    run: RunId,
    judge: Judge,
    began: Instant,
    latest: Option<Latest>,
    /// When the latest reading was new to us, and how old it was then. From there on our own clock counts:
    /// the server's may jump.
    read: Option<(Instant, Duration)>,
    /// Whether it was said what this role cannot see.
    has_said_blind: bool,
}

impl Pacer {
    pub(super) fn new(run: RunId, now: Instant) -> Self {
        Self { run, judge: Judge::new(now), began: now, latest: None, read: None, has_said_blind: false }
    }

    /// A heartbeat has brought this.
    pub(super) fn hear(&mut self, heard: Heard, now: Instant) {
        let before = self.latest.as_ref().and_then(|latest| latest.heard.guard.read_at_s);
        if heard.guard.read_at_s != before {
            let age = |s: f64| Duration::try_from_secs_f64(s.max(0.0)).unwrap_or(Duration::MAX);
            self.read = heard.guard.read_s_ago.map(|s| (now, age(s)));
        }
        self.latest = Some(Latest { heard, at: now });
    }

    /// How old the readings are.
    fn age(&self, now: Instant) -> Option<Duration> {
        self.read.map(|(at, age)| age.saturating_add(now.saturating_duration_since(at)))
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.age(now).is_some_and(|age| age <= READING_VALID)
    }

    /// What the workers may do by what is known now; none before the first heartbeat.
    pub(super) fn decide(
        &mut self,
        workers: u32,
        trouble: Option<&str>,
        custom: &[CustomReading],
        now: Instant,
    ) -> Option<Decision> {
        let (latest, age) = (self.latest.take()?, self.age(now));
        let heard = &latest.heard;
        let seen = Seen {
            run: self.run,
            readings: &heard.guard.readings,
            read_at_s: heard.guard.read_at_s,
            age,
            trouble,
            custom,
            is_alone: self.is_alone(heard, now),
        };
        let knobs = &heard.assignment.knobs;
        let verdict = self.judge.judge(&knobs.guard, &seen, now);
        let share = self.share(heard, workers, &verdict, now);
        let level = Level::new(share, workers, batch(knobs, heard, seen.is_alone));
        let slow = if level.is_full() { None } else { why_slow(&verdict, &heard.guard) };
        let clock_s = heard.clock_s + now.saturating_duration_since(latest.at).as_secs_f64();
        let stop = closed(knobs, clock_s).or(verdict.stop);
        let quiet = quiet(knobs, &heard.guard, latest.at).filter(|_| !seen.is_alone);
        let decision = Decision { stop, level, slow, quiet };
        self.latest = Some(latest);
        Some(decision)
    }

    /// Says once what is hidden from the leader.
    pub(super) fn blind(&mut self, now: Instant) -> Option<String> {
        let guard = &self.latest.as_ref()?.heard.guard;
        let blind = blind(&guard.readings).filter(|_| self.is_fresh(now) && !self.has_said_blind)?;
        self.has_said_blind = true;
        Some(format!("the guard is blind for {blind}; GRANT pg_read_all_stats to its role to let it see"))
    }

    /// Whether the leader has seen no other session at work.
    fn is_alone(&self, heard: &Heard, now: Instant) -> bool {
        heard.guard.alone_s.is_some() && self.is_fresh(now)
    }

    /// The batch-seconds a second of this process: its fair part, and what the others leave of theirs.
    fn share(&self, heard: &Heard, workers: u32, verdict: &Verdict, now: Instant) -> f64 {
        let (all, is_alone) = (f64::from(workers), self.is_alone(heard, now));
        if heard.assignment.knobs.mode == Mode::Full {
            return all;
        }
        let of_all = match heard.guard.share.filter(|_| self.is_fresh(now)) {
            Some(_) if is_alone => all + f64::from(heard.other_auto_workers),
            Some(share) => share,
            None if now.duration_since(self.began) <= READING_VALID => START,
            None => FLOOR,
        };
        let part = all / (all + f64::from(heard.other_auto_workers));
        let ours = (of_all * part).max(of_all - heard.other_busy);
        (ours * verdict.factor).max(FLOOR * part).min(all)
    }
}

/// How long a batch takes; none: as long as the run says.
fn batch(knobs: &Knobs, heard: &Heard, is_alone: bool) -> Option<Duration> {
    if knobs.mode == Mode::Full || is_alone {
        return None;
    }
    let measured = heard.guard.batch_ms.map(|ms| Duration::from_secs_f64(ms.max(1.0) / 1000.0));
    Some(measured.unwrap_or(BATCH_BESIDE))
}

/// Outside of the run's daily window, by the database's clock.
fn closed(knobs: &Knobs, clock_s: f64) -> Option<Reason> {
    let window = knobs.window.as_ref()?;
    let now = Timestamp::from_millisecond((clock_s * 1000.0) as i64).ok()?;
    let Standing::Closed { until } = window.standing(now) else { return None };
    let left = human::duration(until.duration_since(now).unsigned_abs());
    let text = format!("outside of its window {window}, which opens in {left}");
    Some(Reason::new(Hold::Paused, Why::Window, text))
}

/// The signals say more than the controller, which sees what they do to us.
fn why_slow(verdict: &Verdict, guard: &Published) -> Option<Reason> {
    let measured = || guard.share_why.clone().map(|text| Reason::new(Hold::Throttled, Why::Latency, text));
    verdict.slow.clone().or_else(measured)
}

/// The quiet time, by our clock, as it was heard of.
fn quiet(knobs: &Knobs, guard: &Published, heard: Instant) -> Option<(Instant, Instant)> {
    let quiet = guard.quiet.filter(|quiet| knobs.mode == Mode::Auto && quiet.until_s > 0.0)?;
    let at = |s: f64| heard + Duration::from_secs_f64(s.max(0.0));
    Some((at(quiet.in_s), at(quiet.until_s)))
}
