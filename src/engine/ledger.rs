//! What the workers of this process spend their time on, and what they wait for just now.
//!
//! Must not know: a clock; the caller says when.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::run::{Hold, Times};

/// What a worker or the process waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// The same as long as the reason is the same, whatever its numbers are.
    pub(super) key: String,
    pub(super) reason: String,
    /// How it holds back; none: it waits for its own kind, which is part of the work.
    pub(super) hold: Option<Hold>,
}

impl Wait {
    pub(super) fn new(hold: Hold, key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into(), hold: Some(hold) }
    }

    /// For other workers.
    pub(super) fn idle(reason: impl Into<String>) -> Self {
        Self { key: "idle".into(), reason: reason.into(), hold: None }
    }

    /// Whether nothing can be done meanwhile.
    pub(super) fn is_halt(&self) -> bool {
        matches!(self.hold, Some(Hold::Paused | Hold::Blocked))
    }
}

/// Each worker, since when it does what it does, and what that is.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    workers: BTreeMap<u32, (Instant, Option<Wait>)>,
    /// In microseconds, so that many short times are not rounded away.
    working: u128,
    throttled: u128,
    paused: u128,
    blocked: u128,
}

impl Ledger {
    /// The worker waits from now on, or works.
    pub(super) fn turn(&mut self, worker: u32, wait: Option<Wait>, now: Instant) {
        if let Some((since, before)) = self.workers.insert(worker, (now, wait)) {
            self.add(before.and_then(|wait| wait.hold), since, now);
        }
    }

    /// The worker has left.
    pub(super) fn gone(&mut self, worker: u32, now: Instant) {
        if let Some((since, before)) = self.workers.remove(&worker) {
            self.add(before.and_then(|wait| wait.hold), since, now);
        }
    }

    fn add(&mut self, hold: Option<Hold>, since: Instant, now: Instant) {
        let account = match hold {
            None => &mut self.working,
            Some(Hold::Throttled) => &mut self.throttled,
            Some(Hold::Paused) => &mut self.paused,
            Some(Hold::Blocked) => &mut self.blocked,
        };
        *account += now.saturating_duration_since(since).as_micros();
    }

    /// Up to now.
    pub(super) fn times(&mut self, now: Instant) -> Times {
        let workers: Vec<_> = self.workers.keys().copied().collect();
        for worker in workers {
            let wait = self.workers.get(&worker).and_then(|(_, wait)| wait.clone());
            self.turn(worker, wait, now);
        }
        let ms = |micros: u128| (micros / 1000) as u64;
        Times {
            working_ms: ms(self.working),
            throttled_ms: ms(self.throttled),
            paused_ms: ms(self.paused),
            blocked_ms: ms(self.blocked),
        }
    }

    /// What the whole process waits for: something only if every worker waits. A wait that is part of the work is told first.
    pub(super) fn waiting(&self) -> Option<&Wait> {
        let mut waits = self.workers.values().map(|(_, wait)| wait.as_ref());
        if waits.clone().any(|wait| wait.is_none()) {
            return None;
        }
        let part_of_it = waits.clone().flatten().find(|wait| !wait.is_halt());
        part_of_it.or(waits.next().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_moment_of_a_worker_goes_into_one_account() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut ledger = Ledger::default();
        ledger.turn(0, None, at(0));
        ledger.turn(1, None, at(0));
        ledger.turn(0, Some(Wait::new(Hold::Throttled, "ceiling", "x")), at(100));
        ledger.turn(0, None, at(150));
        ledger.turn(1, Some(Wait::new(Hold::Blocked, "lock", "y")), at(200));
        ledger.turn(1, Some(Wait::new(Hold::Paused, "person", "z")), at(300));
        ledger.gone(1, at(600));
        let times = ledger.times(at(1000));
        assert_eq!(
            times,
            Times { working_ms: 100 + 850 + 200, throttled_ms: 50, paused_ms: 300, blocked_ms: 100 }
        );
        assert_eq!(ledger.times(at(1000)), times);
    }

    #[test]
    fn the_process_waits_only_if_every_worker_does() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        assert_eq!(ledger.waiting(), None);
        ledger.turn(0, Some(Wait::new(Hold::Blocked, "lock", "y")), now);
        ledger.turn(1, None, now);
        assert_eq!(ledger.waiting(), None);
        ledger.turn(1, Some(Wait::idle("others")), now);
        assert_eq!(ledger.waiting(), Some(&Wait::idle("others")));
    }
}
