//! What the workers of this process spend their time on, what they wait for just now, and what went wrong
//! last.
//!
//! Must not know: a clock; the caller says when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::reason::Reason;
use crate::run::{Hold, Times};

/// The account of one process.
#[derive(Debug, Default)]
pub struct Account {
    ledger: Mutex<Ledger>,
    last_error: Mutex<Option<String>>,
    /// Why a range is let alone, and until when that is to be told.
    resting: Mutex<Option<(String, Instant)>>,
}

impl Account {
    /// The worker waits from now on.
    pub fn waits(&self, worker: u32, reason: Reason) {
        self.ledger.lock().change(worker, Some(reason), Instant::now());
    }

    /// The worker works from now on.
    pub fn works(&self, worker: u32) {
        self.ledger.lock().change(worker, None, Instant::now());
    }

    /// The worker has left.
    pub fn gone(&self, worker: u32) {
        self.ledger.lock().gone(worker, Instant::now());
    }

    /// What the whole process waits for: something only if every worker waits.
    #[must_use]
    pub fn waiting(&self) -> Option<Reason> {
        self.ledger.lock().waiting().cloned()
    }

    /// What the workers have spent their time on until now.
    #[must_use]
    pub fn times(&self) -> Times {
        self.ledger.lock().times(Instant::now())
    }

    /// Something went wrong.
    pub fn failed(&self, message: &str) {
        *self.last_error.lock() = Some(message.to_owned());
    }

    /// The last error, once.
    #[must_use]
    pub fn take_error(&self) -> Option<String> {
        self.last_error.lock().take()
    }

    /// A range is let alone for so long.
    pub fn rests(&self, why: String, time: Duration) {
        // The worker that takes it then is at it for a while.
        *self.resting.lock() = Some((why, Instant::now() + time * 2));
    }

    /// Why a range was let alone lately.
    #[must_use]
    pub fn resting(&self) -> Option<String> {
        self.resting.lock().as_ref().filter(|(_, until)| Instant::now() < *until).map(|(why, _)| why.clone())
    }
}

/// Each worker, since when it does what it does, and what that is.
#[derive(Debug, Default)]
struct Ledger {
    workers: BTreeMap<u32, (Instant, Option<Reason>)>,
    /// In microseconds, so that many short times are not rounded away.
    working: u128,
    throttled: u128,
    paused: u128,
    blocked: u128,
}

impl Ledger {
    /// The worker waits from now on, or works.
    fn change(&mut self, worker: u32, wait: Option<Reason>, now: Instant) {
        if let Some((since, before)) = self.workers.insert(worker, (now, wait)) {
            self.add(before.and_then(|wait| wait.hold), since, now);
        }
    }

    /// The worker has left.
    fn gone(&mut self, worker: u32, now: Instant) {
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
    fn times(&mut self, now: Instant) -> Times {
        let workers: Vec<_> = self.workers.keys().copied().collect();
        for worker in workers {
            let wait = self.workers.get(&worker).and_then(|(_, wait)| wait.clone());
            self.change(worker, wait, now);
        }
        let ms = |micros: u128| (micros / 1000) as u64;
        Times {
            working_ms: ms(self.working),
            throttled_ms: ms(self.throttled),
            paused_ms: ms(self.paused),
            blocked_ms: ms(self.blocked),
        }
    }

    /// What the whole process waits for: something only if every worker waits. A wait that is part of the
    /// work is told first.
    fn waiting(&self) -> Option<&Reason> {
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
    use super::super::reason::Why;
    use super::*;

    #[test]
    fn every_moment_of_a_worker_goes_into_one_account() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut ledger = Ledger::default();
        ledger.change(0, None, at(0));
        ledger.change(1, None, at(0));
        ledger.change(0, Some(Reason::new(Hold::Throttled, Why::Ceiling, "x")), at(100));
        ledger.change(0, None, at(150));
        ledger.change(1, Some(Reason::new(Hold::Blocked, Why::Retry, "y")), at(200));
        ledger.change(1, Some(Reason::new(Hold::Paused, Why::Person, "z")), at(300));
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
        ledger.change(0, Some(Reason::new(Hold::Blocked, Why::Retry, "y")), now);
        ledger.change(1, None, now);
        assert_eq!(ledger.waiting(), None);
        ledger.change(1, Some(Reason::idle("others")), now);
        assert_eq!(ledger.waiting(), Some(&Reason::idle("others")));
    }
}
