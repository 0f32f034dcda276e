//! Whether the sessions of others are at work all the time, so that what they have to do waits for one of
//! them where no statement, and no probe, shows it: before an application's pool of connections.
//!
//! In a short quiet time such a queue is worked off and not gone, so that with us and without us all of them
//! are at work. It takes long quiet times to see whether it is ours.
//!
//! Must not know: how a look is taken, what follows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::turns::Turn;

/// From this part of the sessions on that run a statement, a queue before them grows: of what comes at random
/// moments to a pool of eight, 20 % has to wait (Erlang's C formula). Measured at half of the peak of an
/// application of eight sessions: without this its p99 rose to 0.4 to 1.8 s, while a statement took 1.5 ms.
const FULL: f64 = 0.65;
/// From this part on it is near: 6 % has to wait.
const NEAR: f64 = 0.5;
/// The looks of this time are looked at.
const RECENT: Duration = Duration::from_secs(1);
/// Fewer say nothing.
const LOOKS: usize = 8;
/// Of a long quiet time the end, when what was in the queue has been done.
const END: Duration = Duration::from_millis(500);
/// After so many long quiet times in which it did not get better, it is not for us.
const QUIET_TIMES: u32 = 3;
/// This is believed for so long at first, and for twice as long each time that it is found again.
const BELIEVED: Duration = Duration::from_secs(60);
/// And for so long at the most.
const BELIEVED_MAX: Duration = Duration::from_secs(960);

/// How much of the sessions of others is at work.
#[derive(Clone, Debug, Default)]
pub(super) struct Saturation {
    working: VecDeque<Look>,
    /// Those of the quiet time of this number.
    quiet: (u64, VecDeque<Look>),
    /// Long quiet times in a row in which they were at work all the time.
    full_quiet_times: u32,
    /// They were when nothing of ours was: found when, and believed for how long.
    by_themselves: Option<(Instant, Duration)>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    running: usize,
    sessions: usize,
}

/// How much is left of the sessions of others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Room {
    /// Enough, or it is not for us that there is none.
    Enough,
    /// Not much.
    Little,
    /// None: so many of so many run a statement, on average.
    None { running: f64, sessions: f64 },
}

impl Saturation {
    /// A look met so many that run a statement, of so many sessions of others.
    pub(super) fn met(&mut self, running: usize, sessions: usize, turn: Turn, now: Instant) {
        let look = Look { at: now, running, sessions };
        match turn {
            Turn::Work(_) => keep(&mut self.working, look, RECENT),
            Turn::Quiet(number) => {
                if self.quiet.0 != number {
                    self.quiet = (number, VecDeque::new());
                }
                keep(&mut self.quiet.1, look, END);
            }
            Turn::Between => {}
        }
    }

    /// A long quiet time has ended. True: it is now known that we are not the reason.
    pub(super) fn long_quiet_ended(&mut self, now: Instant) -> bool {
        let is_full = part(&self.quiet.1).is_some_and(|(running, sessions)| running >= sessions * FULL);
        self.full_quiet_times = if is_full { self.full_quiet_times + 1 } else { 0 };
        let is_known = self.full_quiet_times >= QUIET_TIMES;
        if is_known {
            let believed = self.by_themselves.map_or(BELIEVED, |(_, time)| (time * 2).min(BELIEVED_MAX));
            (self.full_quiet_times, self.by_themselves) = (0, Some((now, believed)));
        } else if !is_full {
            self.by_themselves = None;
        }
        is_known
    }

    /// From now on we work at another pace.
    pub(super) fn forget_work(&mut self) {
        self.working.clear();
    }

    /// What is left of them while we work.
    #[must_use]
    pub(super) fn room(&self, now: Instant) -> Room {
        let is_believed = self.by_themselves.is_some_and(|(found, time)| now.duration_since(found) < time);
        match part(&self.working) {
            Some((running, sessions)) if running >= sessions * NEAR && !is_believed => {
                if running >= sessions * FULL { Room::None { running, sessions } } else { Room::Little }
            }
            _ => Room::Enough,
        }
    }
}

fn keep(looks: &mut VecDeque<Look>, look: Look, span: Duration) {
    looks.push_back(look);
    while looks.front().is_some_and(|first| look.at.duration_since(first.at) > span) {
        looks.pop_front();
    }
}

/// How many run a statement, and how many sessions there are, on average.
fn part(looks: &VecDeque<Look>) -> Option<(f64, f64)> {
    let count = looks.len() as f64;
    let mean = |of: fn(&Look) -> usize| looks.iter().map(of).sum::<usize>() as f64 / count;
    let (running, sessions) = (mean(|look| look.running), mean(|look| look.sessions));
    (looks.len() >= LOOKS && sessions > 0.0).then_some((running, sessions))
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
    fn a_pool_of_which_most_are_at_work_has_no_room() {
        let room = |running| {
            let mut saturation = Saturation::default();
            let now = met(&mut saturation, running, Turn::Work(1), Instant::now());
            saturation.room(now)
        };
        assert_eq!(room(3), Room::Enough);
        assert_eq!(room(6), Room::None { running: 6.0, sessions: 8.0 });
    }

    #[test]
    fn what_stays_full_in_three_long_quiet_times_is_not_for_us_for_a_minute() {
        let (mut saturation, mut now) = (Saturation::default(), Instant::now());
        for quiet in 0..3 {
            now = met(&mut saturation, 8, Turn::Work(quiet), now);
            assert_ne!(saturation.room(now), Room::Enough);
            now = met(&mut saturation, 8, Turn::Quiet(quiet), now);
            assert_eq!(saturation.long_quiet_ended(now), quiet == 2);
        }
        assert_eq!(saturation.room(now), Room::Enough);
        now = met(&mut saturation, 8, Turn::Work(9), now + Duration::from_secs(60));
        assert_ne!(saturation.room(now), Room::Enough);
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
        assert_ne!(saturation.room(now), Room::Enough);
    }
}
