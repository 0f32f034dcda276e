//! Whether the sessions of others are at work all the time, so that what they have to do waits for one of
//! them where no statement, and no probe, shows it: before an application's pool of connections.
//!
//! In a short quiet time such a queue is worked off and not gone, so that with us and without us all of them
//! are at work. It takes long quiet times to see whether it is ours.
//!
//! Must not know: how a look is taken, what follows.

use std::time::{Duration, Instant};

use super::recent::Recent;
use super::turns::Turn;

/// From this part of the sessions on that run a statement, a queue before them grows: of what comes at random
/// moments to a pool of eight, 20 % has to wait (Erlang's C formula). Measured at half of the peak of an
/// application of eight sessions: without this its p99 rose to 0.2 to 1.8 s.
const FULL: f64 = 0.65;
/// From this part on it is near: 6 % has to wait.
const NEAR: f64 = 0.5;
/// The looks of this time are looked at.
const RECENT: Duration = Duration::from_secs(1);
/// Fewer say nothing.
const LOOKS: usize = 8;
/// The end of a long quiet time, when what was in the queue has been done.
const END: Duration = Duration::from_millis(500);
/// Fewer of its looks say nothing.
const LOOKS_AT_END: usize = 4;
/// After so many long quiet times in which it did not get better, we are not the reason.
const QUIET_TIMES: usize = 3;
/// They follow each other within so long, or say nothing together.
const QUIET_TIMES_WITHIN: Duration = Duration::from_secs(20);
/// This is believed for so long at first, and for twice as long each time that it is found again.
const BELIEVED: Duration = Duration::from_secs(60);
/// And for so long at the most.
const BELIEVED_MAX: Duration = Duration::from_secs(960);

/// How many of the sessions of others are at work.
#[derive(Clone, Debug)]
pub(super) struct Saturation {
    working: Recent<Look>,
    /// Those of the quiet time of this number.
    quiet: (u64, Recent<Look>),
    /// Long quiet times in a row in which they were at work all the time.
    full_quiet_times: Recent<()>,
    /// They are at work all the time without us, too: found when, and believed for how long.
    by_themselves: Option<(Instant, Duration)>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    running: usize,
    sessions: usize,
}

/// How many of the sessions of others are free for more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Headroom {
    /// Enough, or we are not the reason that there are not.
    Enough,
    /// Few.
    Little,
    /// Too few: so many of so many run a statement, on average.
    None { running: f64, sessions: f64 },
}

impl Default for Saturation {
    fn default() -> Self {
        Self {
            working: Recent::of(RECENT),
            quiet: (0, Recent::of(END)),
            full_quiet_times: Recent::of(QUIET_TIMES_WITHIN),
            by_themselves: None,
        }
    }
}

impl Saturation {
    /// A look met so many that run a statement, of so many sessions of others.
    pub(super) fn met(&mut self, running: usize, sessions: usize, turn: Turn, now: Instant) {
        let look = Look { running, sessions };
        match turn {
            Turn::Work(_) => self.working.add(look, now),
            Turn::Quiet(number) => {
                if std::mem::replace(&mut self.quiet.0, number) != number {
                    self.quiet.1.clear();
                }
                self.quiet.1.add(look, now);
            }
            Turn::Between => {}
        }
    }

    /// A long quiet time has ended. True: it is now known that we are not the reason.
    pub(super) fn long_quiet_ended(&mut self, now: Instant) -> bool {
        let Some((running, sessions)) = means(&self.quiet.1, LOOKS_AT_END) else { return false };
        self.quiet.1.clear();
        if running < sessions * FULL {
            self.full_quiet_times.clear();
            self.by_themselves = None;
            return false;
        }
        self.full_quiet_times.add((), now);
        let is_known = self.full_quiet_times.len() >= QUIET_TIMES;
        if is_known {
            let believed = self.by_themselves.map_or(BELIEVED, |(_, time)| (time * 2).min(BELIEVED_MAX));
            self.by_themselves = Some((now, believed));
            self.full_quiet_times.clear();
        }
        is_known
    }

    /// From now on we work at another pace.
    pub(super) fn forget_work(&mut self) {
        self.working.clear();
    }

    /// How many of them are free while we work.
    #[must_use]
    pub(super) fn headroom(&self, now: Instant) -> Headroom {
        let is_believed = self.by_themselves.is_some_and(|(found, time)| now.duration_since(found) < time);
        match means(&self.working, LOOKS) {
            Some((running, sessions)) if running >= sessions * FULL && !is_believed => {
                Headroom::None { running, sessions }
            }
            Some((running, sessions)) if running >= sessions * NEAR && !is_believed => Headroom::Little,
            _ => Headroom::Enough,
        }
    }
}

/// How many run a statement, and how many sessions there are, on average; none: too few looks, or no session.
fn means(looks: &Recent<Look>, enough: usize) -> Option<(f64, f64)> {
    let count = looks.len() as f64;
    let mean = |of: fn(&Look) -> usize| looks.iter().map(of).sum::<usize>() as f64 / count;
    let (running, sessions) = (mean(|look| look.running), mean(|look| look.sessions));
    (looks.len() >= enough && sessions > 0.0).then_some((running, sessions))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(50);

    fn met(saturation: &mut Saturation, running: usize, turn: Turn, now: Instant) -> Instant {
        (1..=20).fold(now, |now, _| {
            saturation.met(running, 8, turn, now + EVERY);
            now + EVERY
        })
    }

    #[test]
    fn a_pool_of_which_most_are_at_work_has_no_headroom() {
        let headroom = |running| {
            let mut saturation = Saturation::default();
            let now = met(&mut saturation, running, Turn::Work(1), Instant::now());
            saturation.headroom(now)
        };
        assert_eq!(headroom(3), Headroom::Enough);
        assert_eq!(headroom(6), Headroom::None { running: 6.0, sessions: 8.0 });
    }

    #[test]
    fn what_stays_full_in_three_long_quiet_times_is_not_for_us_for_a_minute() {
        let (mut saturation, mut now) = (Saturation::default(), Instant::now());
        for quiet in 0..3 {
            now = met(&mut saturation, 8, Turn::Work(quiet), now);
            assert_ne!(saturation.headroom(now), Headroom::Enough);
            now = met(&mut saturation, 8, Turn::Quiet(quiet), now);
            assert_eq!(saturation.long_quiet_ended(now), quiet == 2);
        }
        assert_eq!(saturation.headroom(now), Headroom::Enough);
        now = met(&mut saturation, 8, Turn::Work(9), now + Duration::from_secs(60));
        assert_ne!(saturation.headroom(now), Headroom::Enough);
    }

    #[test]
    fn a_queue_that_is_worked_off_in_a_long_quiet_time_is_ours() {
        let (mut saturation, mut now) = (Saturation::default(), Instant::now());
        for quiet in 0..9 {
            now = met(&mut saturation, 8, Turn::Work(quiet), now);
            now = met(&mut saturation, 8, Turn::Quiet(quiet), now);
            now = met(&mut saturation, if quiet % 3 == 2 { 3 } else { 8 }, Turn::Quiet(quiet), now);
            assert!(!saturation.long_quiet_ended(now));
        }
        assert_ne!(saturation.headroom(now), Headroom::Enough);
    }

    #[test]
    fn quiet_times_in_which_nothing_was_seen_or_that_are_far_apart_say_nothing() {
        let (mut saturation, mut now) = (Saturation::default(), Instant::now());
        now = met(&mut saturation, 8, Turn::Quiet(1), now);
        assert!(!saturation.long_quiet_ended(now));
        // No look met the next two.
        assert!(!saturation.long_quiet_ended(now) && !saturation.long_quiet_ended(now));
        for quiet in 2..6 {
            now = met(&mut saturation, 8, Turn::Quiet(quiet), now + Duration::from_secs(12));
            assert!(!saturation.long_quiet_ended(now));
        }
    }
}
