//! Work and quiet times in turns: at random moments no worker works for a short time, so that what the
//! application feels with us can be compared with what it feels without us.
//!
//! Must not know: what is measured.

use std::time::{Duration, Instant};

/// A quiet time begins so long after it was announced at the earliest, so that every process has heard of it.
const ANNOUNCED: Duration = Duration::from_secs(1);
/// The batches in hand may end first, and what begins it has its way to every process.
const SETTLING: Duration = Duration::from_millis(40);
/// How long it is measured without us.
const QUIET: Duration = Duration::from_millis(200);
/// How long, where a queue of the application has to be worked off first.
const LONG_QUIET: Duration = Duration::from_secs(1);
/// From one quiet time to the next while little is known: at random up to a half less or more.
const EVERY_AT_FIRST: Duration = Duration::from_millis(2_400);
/// And once it is known what we do to the application: so many times as long as one takes, 4 % of the time.
const EVERY: u32 = 24;
/// What is measured while we work is told apart by so long.
const BLOCK: Duration = Duration::from_millis(200);

/// What a moment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The workers work; a number for each short while.
    Work(u64),
    /// No worker works; a number for each such time.
    Quiet(u64),
    /// The batches in hand end, or begin again.
    Between,
}

/// The quiet times.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    began: Instant,
    /// The one that was announced last.
    quiet: Option<(Instant, Instant)>,
    number: u64,
    /// When the one after it is to begin.
    next: Option<Instant>,
    /// How long the batches of the latest one take to end.
    settling: Duration,
    /// The next one is to be a long one.
    is_next_long: bool,
    /// When the latest long one ends; none: there was none, or its end was told.
    long_until: Option<Instant>,
}

impl Turns {
    /// None was announced yet.
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            quiet: None,
            number: 0,
            next: None,
            settling: SETTLING,
            is_next_long: false,
            long_until: None,
        }
    }

    /// What the time from one moment to another belongs to, if it is that of a probe.
    #[must_use]
    pub(super) fn between(&self, began: Instant, ended: Instant) -> Turn {
        match (self.at(began), self.at(ended)) {
            (Turn::Quiet(began), Turn::Quiet(ended)) if began == ended => Turn::Quiet(ended),
            // What began under our load has felt it, whenever it ended.
            (work @ Turn::Work(_), _) => work,
            _ => Turn::Between,
        }
    }

    /// What this moment belongs to.
    #[must_use]
    pub(super) fn at(&self, now: Instant) -> Turn {
        match self.quiet {
            Some((from, until)) if now >= from + self.settling && now < until => Turn::Quiet(self.number),
            Some((from, until)) if now >= from && now < until + SETTLING => Turn::Between,
            _ => {
                let since = now.saturating_duration_since(self.began);
                Turn::Work((since.as_millis() / BLOCK.as_millis()) as u64)
            }
        }
    }

    /// The latest quiet time, from when until when; announced before it begins.
    #[must_use]
    pub(super) fn quiet(&self) -> Option<(Instant, Instant)> {
        self.quiet
    }

    /// Announces the next quiet time once the last one is over. `chance` is between 0 and 1; batches take so
    /// long.
    pub(super) fn announce(&mut self, is_known: bool, chance: f64, batch: Duration, now: Instant) {
        if self.quiet.is_some_and(|(_, until)| now < until) {
            return;
        }
        let every = if is_known { (SETTLING + batch + QUIET) * EVERY } else { EVERY_AT_FIRST };
        let last = self.quiet.map_or(now, |(from, _)| from);
        let next = *self.next.get_or_insert(last + every.mul_f64(0.5 + chance));
        // What is farther away is announced later: until then much may change.
        if next <= now + ANNOUNCED * 2 {
            let from = next.max(now + ANNOUNCED);
            self.settling = SETTLING + batch;
            let is_long = std::mem::take(&mut self.is_next_long);
            let until = from + self.settling + if is_long { LONG_QUIET } else { QUIET };
            self.long_until = is_long.then_some(until);
            (self.number, self.quiet, self.next) = (self.number + 1, Some((from, until)), None);
        }
    }

    /// The next quiet time comes as soon as it can.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.next = Some(now);
    }

    /// The next quiet time is a long one, and comes as soon as it can.
    pub(super) fn hurry_long(&mut self, now: Instant) {
        if self.long_until.is_none() {
            self.is_next_long = true;
            self.hurry(now);
        }
    }

    /// Whether a long quiet time has ended, told once.
    pub(super) fn long_has_ended(&mut self, now: Instant) -> bool {
        self.long_until.take_if(|until| now >= *until).is_some()
    }

    /// None is to come.
    pub(super) fn stop(&mut self) {
        (self.quiet, self.next) = (None, None);
        (self.long_until, self.is_next_long) = (None, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Duration = Duration::from_millis(10);

    /// The part of the time that is quiet, with these chances in turn, over ten minutes.
    fn quiet_part(is_known: bool) -> f64 {
        let began = Instant::now();
        let mut turns = Turns::new(began);
        let (mut quiet, all) = (0, 60_000u32);
        for ten_ms in 0..all {
            let now = began + Duration::from_millis(10) * ten_ms;
            if ten_ms % 100 == 0 {
                turns.announce(is_known, f64::from(ten_ms % 7) / 7.0, BATCH, now);
            }
            quiet += u32::from(turns.quiet().is_some_and(|(from, until)| (from..until).contains(&now)));
        }
        f64::from(quiet) / f64::from(all)
    }

    #[test]
    fn once_it_is_known_what_we_do_a_twentieth_of_the_time_is_quiet_at_most() {
        let known = quiet_part(true);
        assert!(known > 0.02 && known <= 0.05, "{known}");
        assert!(quiet_part(false) > known * 1.5);
    }

    #[test]
    fn a_quiet_time_is_announced_a_second_before() {
        let now = Instant::now();
        let mut turns = Turns::new(now);
        turns.announce(false, 0.0, BATCH, now);
        let (from, until) = turns.quiet().unwrap();
        assert!(from >= now + Duration::from_secs(1));
        assert_eq!(turns.at(now), Turn::Work(0));
        assert_eq!(turns.at(from + Duration::from_millis(10)), Turn::Between);
        assert_eq!(turns.at(from + Duration::from_millis(100)), Turn::Quiet(1));
        assert_eq!(turns.at(until), Turn::Between);
        assert!(matches!(turns.at(until + Duration::from_millis(100)), Turn::Work(_)));
        let within = from + Duration::from_millis(100);
        assert_eq!(turns.between(within, within), Turn::Quiet(1));
        assert_eq!(turns.between(from + Duration::from_millis(10), within), Turn::Between);
        assert_eq!(turns.between(now, within), Turn::Work(0));
    }
}
