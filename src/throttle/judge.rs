//! What the guard's signals allow a run: everything, less, or nothing for the moment, and why.
//!
//! A signal that went over its bound holds until it is well below it again, so that no run is stopped and
//! started twice a second. A signal that could not be read is not a green light: soon it means slowly, and
//! after its deadline it means wait.
//!
//! Must not know: who reads the signals, who obeys.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::reason::{Reason, Why};
use super::standbys::Standbys;
use crate::human;
use crate::run::pace::{FLOOR, READING_VALID};
use crate::run::{Hold, RunId};
use crate::signal::{Bounds, Guard, Reading, Signal};

/// What is over its bound is held until it is below this part of it.
const RELEASE: f64 = 0.7;
/// Each second over a bound leaves this part of the pace.
const EASE_PER_S: f64 = 0.8;
/// Each second below gives it back.
const RECOVER_PER_S: f64 = 1.1;
/// Where less work does not make a signal fall.
const STANDING: f64 = 0.5;

/// What the signals allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Why nothing may be done, if nothing may.
    pub stop: Option<Reason>,
    /// Why less may be done, if less may.
    pub slow: Option<Reason>,
    /// The part of the pace that is left.
    pub factor: f64,
}

/// A reading of a signal that the job brings along.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomReading {
    /// Its name.
    pub name: String,
    /// What its query gave, or why it gave nothing.
    pub value: Result<f64, String>,
    /// The run stops above.
    pub limit: f64,
}

/// What there is to judge by.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The run that wants to work.
    pub run: RunId,
    /// What was read.
    pub readings: &'a [Reading],
    /// When, by the database's clock; the same value means the same readings.
    pub read_at_s: Option<f64>,
    /// How old they are.
    pub age: Option<Duration>,
    /// Why they are not younger, if that is known.
    pub trouble: Option<&'a str>,
    /// The signals that the job brings along.
    pub custom: &'a [CustomReading],
    /// Nobody else is at work in the cluster: then only what lies beyond this server slows down.
    pub is_alone: bool,
}

/// Which bound of a signal holds at present.
#[derive(Clone, Debug, Default)]
struct HeldBounds {
    slow: bool,
    stop: bool,
    /// What was read when a bound was passed last, in words.
    said: String,
    /// It holds because nothing has been read since.
    is_blind: bool,
}

/// How much of a signal its readings tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    Full,
    Partial,
}

/// What one process remembers about the signals that one run obeys.
#[derive(Clone, Debug)]
pub struct Judge {
    held: BTreeMap<Signal, HeldBounds>,
    standbys: Standbys,
    /// Since when a signal of the job could not be read.
    unread: BTreeMap<String, Instant>,
    /// Since when a signal of the server could not be read, and when that was seen last.
    blind: BTreeMap<Signal, (Instant, Instant)>,
    eased: f64,
    judged: Instant,
    began: Instant,
    read_at_s: Option<f64>,
}

impl Judge {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            held: BTreeMap::new(),
            standbys: Standbys::default(),
            unread: BTreeMap::new(),
            blind: BTreeMap::new(),
            eased: 1.0,
            judged: now,
            began: now,
            read_at_s: None,
        }
    }

    /// Judges what was seen. Called a few times a second.
    pub fn judge(&mut self, guard: &Guard, seen: &Seen<'_>, now: Instant) -> Verdict {
        // What was left by processes before this one counts as no older than this one: it may begin before
        // the first reading.
        let here = now.duration_since(self.began);
        let age = seen.age.map_or(here, |age| age.min(here));
        let is_new = seen.read_at_s.is_some() && seen.read_at_s != self.read_at_s;
        self.read_at_s = seen.read_at_s;
        if is_new && seen.age.is_some_and(|age| age <= READING_VALID) {
            self.take(guard, seen, now);
        }
        let stops = Self::unreadable(guard, seen, age)
            .into_iter()
            .chain(self.over(guard, |_, held| held.stop, |bounds| bounds.stop))
            .chain(self.missing(guard))
            .chain(self.relied_on_blind(guard))
            .chain(self.custom(guard, seen.custom, now));
        let stop = all_of(Hold::Paused, &stops.collect::<Vec<_>>());
        let counts = |signal: Signal| !seen.is_alone || signal.is_beyond();
        let slows: Vec<Reason> =
            self.over(guard, |signal, held| counts(signal) && held.slow && !held.stop, |bounds| bounds.slow);
        let factor = self.factor(age, counts, now);
        let slow = if age > READING_VALID {
            Some(Reason { hold: Some(Hold::Throttled), ..stale(age, seen.trouble) })
        } else {
            all_of(Hold::Throttled, &slows)
        };
        Verdict { stop, slow, factor }
    }

    /// Remembers which bounds were passed, and which standbys were there.
    fn take(&mut self, guard: &Guard, seen: &Seen<'_>, now: Instant) {
        self.standbys.take(seen.readings, now);
        let is_one_away = self.standbys.is_one_away(guard.standbys.as_deref());
        for signal in Signal::ALL {
            let readings: Vec<&Reading> = relevant(guard, seen, signal).collect();
            // How far behind a standby is that is away cannot be known.
            let lacks_one = signal == Signal::ReplicaLag && is_one_away;
            let is_vague = |reading: &&Reading| reading.value.is_none() || reading.at_least;
            let sight = if lacks_one || readings.iter().any(is_vague) { Sight::Partial } else { Sight::Full };
            self.held.entry(signal).or_default().take(guard.bounds(signal), &readings, sight);
            if readings.iter().any(|reading| reading.value.is_none()) {
                self.blind.entry(signal).or_insert((now, now)).1 = now;
            } else {
                self.blind.remove(&signal);
            }
        }
    }

    /// The bounds that hold, as reasons.
    fn over(
        &self,
        guard: &Guard,
        is_held: impl Fn(Signal, &HeldBounds) -> bool,
        bound: impl Fn(&Bounds) -> Option<u64>,
    ) -> Vec<Reason> {
        let reason = |signal: Signal| {
            let held = self.held.get(&signal).filter(|held| is_held(signal, held))?;
            let limit = bound(&guard.bounds(signal))?;
            let limit =
                if limit > 0 { format!(", limit {}", signal.shown(limit as f64)) } else { String::new() };
            let blind = if held.is_blind { format!("; since then {}", hidden()) } else { String::new() };
            let text = format!("{}{limit}{blind}", held.said);
            Some(Reason::new(Hold::Paused, Why::Signal(signal), text))
        };
        Signal::ALL.into_iter().filter_map(reason).collect()
    }

    fn unreadable(guard: &Guard, seen: &Seen<'_>, age: Duration) -> Vec<Reason> {
        let deadline = Duration::from_millis(guard.deadline_ms.into());
        let mut found = Vec::new();
        if age > deadline {
            found.push(stale(age, seen.trouble));
        }
        let listed = guard.standbys.as_deref().unwrap_or_default();
        let blind = |reading: &&Reading| {
            reading.signal == Signal::ReplicaLag
                && reading.value.is_none()
                && listed.contains(&reading.subject)
        };
        found.extend(seen.readings.iter().find(blind).map(|reading| {
            let text = format!(
                "the lag of replica {} cannot be read by this role: GRANT pg_read_all_stats to it, or take it off standbys",
                reading.subject
            );
            Reason::new(Hold::Paused, Why::Blind, text)
        }));
        found
    }

    /// Standbys that should be connected and are not.
    fn missing(&self, guard: &Guard) -> Vec<Reason> {
        let missing = self.standbys.missing(guard.standbys.as_deref()).into_iter();
        missing.map(|text| Reason::new(Hold::Paused, Why::StandbyGone, text)).collect()
    }

    /// Bounds that a person set, of signals that could not be read for too long.
    fn relied_on_blind(&self, guard: &Guard) -> Vec<Reason> {
        let deadline = Duration::from_millis(guard.deadline_ms.into());
        let blind = self.blind.iter().filter(|(signal, _)| guard.relies_on(**signal));
        let reason = |(signal, (since, last)): (&Signal, &(Instant, Instant))| {
            let time = last.duration_since(*since);
            let (name, time, why) = (signal.as_str(), (time > deadline).then_some(time)?, hidden());
            let text = format!(
                "{name} is limited, but for {} {why}, or set {name}_slow and {name}_stop to off",
                human::duration(time)
            );
            Some(Reason::new(Hold::Paused, Why::Blind, text))
        };
        blind.filter_map(reason).collect()
    }

    fn custom(&mut self, guard: &Guard, readings: &[CustomReading], now: Instant) -> Vec<Reason> {
        let deadline = Duration::from_millis(guard.deadline_ms.into());
        let mut found = Vec::new();
        for CustomReading { name, value, limit } in readings {
            let text = match value {
                Ok(value) => {
                    self.unread.remove(name);
                    (value > limit).then(|| format!("{name} is {value}, limit {limit}"))
                }
                Err(why) => {
                    let since = *self.unread.entry(name.clone()).or_insert(now);
                    (now.duration_since(since) > deadline).then(|| format!("{name} cannot be read: {why}"))
                }
            };
            found.extend(text.map(|text| Reason::new(Hold::Paused, Why::Custom(name.clone()), text)));
        }
        found
    }

    fn factor(&mut self, age: Duration, counts: impl Fn(Signal) -> bool, now: Instant) -> f64 {
        let s = now.duration_since(self.judged).as_secs_f64().min(2.0);
        self.judged = now;
        let slowing = |signal: &Signal| {
            self.held.get(signal).is_some_and(|held| held.slow && counts(*signal) || held.stop)
        };
        let eases = Signal::ALL.iter().any(|signal| !signal.is_standing() && slowing(signal));
        let stands = Signal::ALL.iter().any(|signal| signal.is_standing() && slowing(signal));
        let change = if eases { EASE_PER_S.powf(s) } else { RECOVER_PER_S.powf(s) };
        self.eased = (self.eased * change).clamp(FLOOR, 1.0);
        match age {
            age if age > READING_VALID => FLOOR,
            _ if stands => self.eased.min(STANDING),
            _ => self.eased,
        }
    }
}

impl HeldBounds {
    /// A signal that cannot be read just now, in full or at all, lets go of no bound that holds.
    fn take(&mut self, bounds: Bounds, readings: &[&Reading], sight: Sight) {
        let value = readings.iter().filter_map(|reading| reading.value).reduce(f64::max);
        let (slow, stop) = (passes(value, bounds.slow, self.slow), passes(value, bounds.stop, self.stop));
        if slow || stop {
            let worst = readings.iter().find(|reading| reading.value == value);
            self.said = worst.and_then(|reading| reading.said()).unwrap_or_default();
        }
        self.is_blind = !slow && !stop && readings.iter().any(|reading| reading.value.is_none());
        self.slow = slow || (self.slow && sight == Sight::Partial && bounds.slow.is_some());
        self.stop = stop || (self.stop && sight == Sight::Partial && bounds.stop.is_some());
    }
}

fn passes(value: Option<f64>, bound: Option<u64>, held: bool) -> bool {
    let (Some(value), Some(bound)) = (value, bound) else { return false };
    let bound = bound as f64;
    value >= if held { bound * RELEASE } else { bound }
}

/// The readings of a signal that are about this run or about the whole server.
fn relevant<'a>(guard: &'a Guard, seen: &Seen<'a>, signal: Signal) -> impl Iterator<Item = &'a Reading> {
    let run = seen.run.0;
    let counts = move |reading: &Reading| match &guard.standbys {
        Some(listed) => listed.contains(&reading.subject),
        None => !reading.logical,
    };
    seen.readings.iter().filter(move |reading| {
        reading.signal == signal
            && reading.run.is_none_or(|about| about == run)
            && (signal != Signal::ReplicaLag || counts(reading))
    })
}

fn hidden() -> &'static str {
    "it could not be read: GRANT pg_read_all_stats to the role of pgbackfill"
}

fn stale(age: Duration, trouble: Option<&str>) -> Reason {
    let why = trouble.map(|why| format!(": {why}")).unwrap_or_default();
    let text = format!("the server's signals have not been read for {}{why}", human::duration(age));
    Reason::new(Hold::Paused, Why::Stale, text)
}

/// Several reasons as one: the first gives the cause.
fn all_of(hold: Hold, reasons: &[Reason]) -> Option<Reason> {
    let texts: Vec<_> = reasons.iter().map(|reason| reason.text.as_str()).collect();
    reasons.first().map(|first| Reason::new(hold, first.why.clone(), texts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: RunId = RunId(7);

    /// A judge, a clock, and what is read each second.
    struct Watch {
        judge: Judge,
        guard: Guard,
        is_alone: bool,
        now: Instant,
        second: f64,
    }

    impl Watch {
        fn new() -> Self {
            let now = Instant::now();
            Self { judge: Judge::new(now), guard: Guard::default(), is_alone: false, now, second: 0.0 }
        }

        /// A second later, with these readings fresh.
        fn read(&mut self, readings: &[Reading]) -> Verdict {
            self.look(readings, &[], Duration::ZERO)
        }

        fn look(&mut self, readings: &[Reading], custom: &[CustomReading], age: Duration) -> Verdict {
            self.now += Duration::from_secs(1);
            if age.is_zero() {
                self.second += 1.0;
            }
            let read_at_s = Some(self.second).filter(|second| *second > 0.0);
            let seen = Seen {
                run: RUN,
                readings,
                read_at_s,
                age: Some(age),
                trouble: None,
                custom,
                is_alone: self.is_alone,
            };
            self.judge.judge(&self.guard, &seen, self.now)
        }
    }

    fn reading(signal: Signal, subject: &str, value: f64) -> Reading {
        Reading {
            signal,
            run: None,
            subject: subject.into(),
            value: Some(value),
            logical: false,
            at_least: false,
        }
    }

    fn lag(ms: f64) -> [Reading; 1] {
        [reading(Signal::ReplicaLag, "r1", ms)]
    }

    fn text(reason: Option<Reason>) -> String {
        reason.map(|reason| reason.text).unwrap_or_default()
    }

    #[test]
    fn a_signal_over_its_limit_stops_and_lets_go_only_well_below_it() {
        let mut watch = Watch::new();
        assert_eq!(watch.read(&lag(900.0)).stop, None);
        insta::assert_snapshot!(text(watch.read(&lag(4210.0)).stop), @"replica r1 is 4.2 s behind, limit 1.0 s");
        assert!(watch.read(&lag(900.0)).stop.is_some());
        assert_eq!(watch.read(&lag(600.0)).stop, None);
    }

    #[test]
    fn where_nobody_else_is_only_what_lies_beyond_the_server_slows_down() {
        let mut watch = Watch { is_alone: true, ..Watch::new() };
        let fill = [reading(Signal::WalFill, "", 40.0)];
        let verdict = watch.read(&fill);
        assert_eq!((verdict.slow, verdict.factor), (None, 1.0));
        assert!(watch.read(&lag(700.0)).slow.is_some());
        watch.is_alone = false;
        assert!(watch.read(&fill).slow.is_some());
    }

    #[test]
    fn over_the_soft_limit_the_pace_falls_and_comes_back() {
        let mut watch = Watch::new();
        let factors: Vec<f64> = (0..5).map(|_| watch.read(&lag(700.0)).factor).collect();
        assert!(factors.windows(2).all(|pair| pair[1] < pair[0]) && factors[4] < 0.4, "{factors:?}");
        let last = watch.read(&lag(700.0));
        insta::assert_snapshot!(text(last.slow), @"replica r1 is 700 ms behind, limit 500 ms");
        let back: Vec<f64> = (0..30).map(|_| watch.read(&lag(0.0)).factor).collect();
        assert!(back[0] > last.factor && (back[29] - 1.0).abs() < 1e-9, "{back:?}");
    }

    #[test]
    fn what_stands_by_itself_leaves_half_of_the_pace() {
        let mut watch = Watch::new();
        let vacuum = [reading(Signal::Maintenance, "autovacuum has been at work on orders", 500.0)];
        (0..20).for_each(|_| drop(watch.read(&vacuum)));
        let verdict = watch.read(&vacuum);
        assert_eq!((verdict.factor, verdict.stop), (0.5, None));
        insta::assert_snapshot!(text(verdict.slow), @"autovacuum has been at work on orders for 500 ms");
        assert!(watch.read(&[]).factor > 0.9);
    }

    #[test]
    fn readings_that_grow_old_mean_slowly_and_then_not_at_all() {
        let mut watch = Watch::new();
        (0..60).for_each(|_| drop(watch.read(&lag(0.0))));
        let old = |watch: &mut Watch, s| watch.look(&lag(0.0), &[], Duration::from_secs(s));
        assert!(old(&mut watch, 4).factor > 0.99);
        assert_eq!((old(&mut watch, 6).factor, old(&mut watch, 6).stop), (FLOOR, None));
        insta::assert_snapshot!(text(old(&mut watch, 16).stop), @"the server's signals have not been read for 16 s");
        assert_eq!(watch.read(&lag(0.0)).stop, None);
    }

    #[test]
    fn what_was_read_before_we_came_is_neither_believed_nor_held_against_us() {
        let mut watch = Watch::new();
        let verdict = watch.look(&lag(60_000.0), &[], Duration::from_secs(86_400));
        assert_eq!((verdict.stop, verdict.slow, verdict.factor), (None, None, 1.0));
    }

    #[test]
    fn a_standby_that_vanishes_stops_us_after_fifteen_seconds() {
        let mut watch = Watch::new();
        watch.read(&lag(0.0));
        let stops: Vec<bool> = (0..20).map(|_| watch.read(&[]).stop.is_some()).collect();
        assert_eq!(stops.iter().position(|stop| *stop), Some(15));
        insta::assert_snapshot!(text(watch.read(&[]).stop), @"replica r1 has not been connected for 21 s; if it is gone for good, set standbys to those that are left");
        assert_eq!(watch.read(&lag(0.0)).stop, None);
    }

    #[test]
    fn a_listed_standby_need_not_have_been_seen_and_others_do_not_count() {
        let mut watch = Watch::new();
        watch.guard.standbys = Some(vec!["r2".into()]);
        assert_eq!(watch.read(&lag(99_000.0)).stop, None);
        (0..15).for_each(|_| drop(watch.read(&lag(0.0))));
        assert!(text(watch.read(&lag(0.0)).stop).starts_with("replica r2 has not been connected for"));
        watch.guard.standbys = Some(vec![]);
        assert_eq!(watch.read(&lag(99_000.0)).stop, None);
    }

    #[test]
    fn a_consumer_of_changes_is_no_standby_unless_it_is_listed() {
        let mut watch = Watch::new();
        let consumer = [Reading { logical: true, ..lag(60_000.0)[0].clone() }];
        assert_eq!(watch.read(&consumer).stop, None);
        (0..30).for_each(|_| drop(watch.read(&[])));
        assert_eq!(watch.read(&[]).stop, None);
        watch.guard.standbys = Some(vec!["r1".into()]);
        assert!(watch.read(&consumer).stop.is_some());
    }

    #[test]
    fn a_guard_that_cannot_read_does_not_say_that_a_standby_is_gone() {
        let mut watch = Watch::new();
        (0..5).for_each(|_| drop(watch.read(&lag(0.0))));
        let stops: Vec<_> =
            (1..60).filter_map(|s| watch.look(&lag(0.0), &[], Duration::from_secs(s)).stop).collect();
        assert!(stops.iter().all(|stop| stop.why == Why::Stale) && !stops.is_empty(), "{stops:?}");
        assert_eq!(watch.read(&lag(0.0)).stop, None);
    }

    #[test]
    fn the_lag_of_a_listed_standby_must_be_readable() {
        let mut watch = Watch::new();
        let blind = [Reading { value: None, ..reading(Signal::ReplicaLag, "r1", 0.0) }];
        assert_eq!(watch.read(&blind).stop, None);
        watch.guard.standbys = Some(vec!["r1".into()]);
        assert!(text(watch.read(&blind).stop).contains("GRANT pg_read_all_stats"));
    }

    #[test]
    fn a_new_leader_that_cannot_tell_yet_how_far_a_standby_is_behind_lets_nothing_go() {
        let mut watch = Watch::new();
        watch.read(&lag(4000.0));
        let short = [Reading { at_least: true, ..lag(300.0)[0].clone() }];
        insta::assert_snapshot!(text(watch.read(&short).stop), @"replica r1 is 4.0 s behind, limit 1.0 s");
        let long = [Reading { at_least: true, ..lag(1500.0)[0].clone() }];
        insta::assert_snapshot!(text(watch.read(&long).stop), @"replica r1 is at least 1.5 s behind, limit 1.0 s");
        assert_eq!(watch.read(&lag(300.0)).stop, None);
        assert_eq!(watch.read(&short).stop, None);
    }

    #[test]
    fn a_standby_that_was_behind_when_it_went_lets_nothing_go_before_it_is_told_as_gone() {
        let mut watch = Watch::new();
        watch.read(&lag(4000.0));
        let stops: Vec<String> = (0..16).map(|_| text(watch.read(&[]).stop)).collect();
        assert!(stops.iter().all(|stop| stop.starts_with("replica r1 is 4.0 s behind")), "{stops:?}");
        assert!(stops[15].contains("; replica r1 has not been connected"), "{stops:?}");
        assert_eq!(watch.read(&lag(0.0)).stop, None);
    }

    #[test]
    fn a_bound_that_a_person_takes_away_lets_go_of_what_cannot_be_read_either() {
        let mut watch = Watch::new();
        let blind = [Reading { value: None, ..lag(0.0)[0].clone() }];
        watch.read(&lag(4000.0));
        insta::assert_snapshot!(text(watch.read(&blind).stop), @"replica r1 is 4.0 s behind, limit 1.0 s; since then it could not be read: GRANT pg_read_all_stats to the role of pgbackfill");
        watch.guard.bounds.insert(Signal::ReplicaLag, Bounds { slow: None, stop: None });
        assert_eq!(watch.read(&blind).stop, None);
    }

    #[test]
    fn a_bound_that_a_person_set_stops_us_once_it_has_been_blind_for_too_long_and_a_usual_one_does_not() {
        let mut watch = Watch::new();
        let blind = [Reading { value: None, ..reading(Signal::OldSnapshot, "other sessions", 0.0) }];
        (0..60).for_each(|_| assert_eq!(watch.read(&blind).stop, None));
        let bounds = Bounds { slow: Some(60_000), stop: None };
        let mut watch = Watch::new();
        watch.guard.bounds.insert(Signal::OldSnapshot, bounds);
        let stops: Vec<bool> = (0..20).map(|_| watch.read(&blind).stop.is_some()).collect();
        assert_eq!(stops.iter().position(|stop| *stop), Some(16));
        insta::assert_snapshot!(text(watch.read(&blind).stop), @"old_snapshot is limited, but for 20 s it could not be read: GRANT pg_read_all_stats to the role of pgbackfill, or set old_snapshot_slow and old_snapshot_stop to off");
        assert_eq!(watch.read(&[]).stop, None);
    }

    #[test]
    fn what_concerns_another_run_does_not_concern_us() {
        let mut watch = Watch::new();
        let other =
            Reading { run: Some(8), ..reading(Signal::DdlWaiting, "session 5 has been waiting", 9.0) };
        assert_eq!(watch.read(std::slice::from_ref(&other)).stop, None);
        let ours = Reading { run: Some(RUN.0), ..other };
        insta::assert_snapshot!(text(watch.read(&[ours]).stop), @"session 5 has been waiting for 9 ms");
    }

    #[test]
    fn several_reasons_are_all_told() {
        let mut watch = Watch::new();
        let both = [lag(5000.0)[0].clone(), reading(Signal::ArchiveBacklog, "", 50.0)];
        insta::assert_snapshot!(text(watch.read(&both).stop), @"replica r1 is 5.0 s behind, limit 1.0 s; 50 segments of WAL wait for the archive, limit 42");
    }

    #[test]
    fn a_signal_of_the_job_stops_above_its_limit_and_when_it_cannot_be_read() {
        let mut watch = Watch::new();
        let own = |value: Result<f64, String>| [CustomReading { name: "queue".into(), value, limit: 10.0 }];
        assert_eq!(watch.look(&[], &own(Ok(10.0)), Duration::ZERO).stop, None);
        insta::assert_snapshot!(text(watch.look(&[], &own(Ok(12.0)), Duration::ZERO).stop), @"queue is 12, limit 10");
        let broken = own(Err("no such table".into()));
        let stops: Vec<bool> =
            (0..20).map(|_| watch.look(&[], &broken, Duration::ZERO).stop.is_some()).collect();
        assert_eq!(stops.iter().position(|stop| *stop), Some(16));
    }
}
