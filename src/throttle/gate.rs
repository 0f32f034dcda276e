//! What holds for all workers of the process just now: stopped, at a level below the full one, or quiet for a
//! moment; and why.
//!
//! Must not know: how any of that was found out.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::level::Level;
use super::reason::{Reason, Why};
use crate::run::Hold;

/// What was decided last.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    pub(super) stop: Option<Reason>,
    pub(super) level: Level,
    /// Why the level is not the full one.
    pub(super) slow: Option<Reason>,
    /// When no worker works, so that the application can be measured without us.
    pub(super) quiet: Option<(Instant, Instant)>,
}

/// The decision, as every worker sees it.
#[derive(Debug)]
pub(super) struct Gate(Mutex<Decision>);

impl Gate {
    pub(super) fn new(workers: u32) -> Self {
        let level = Level::new(f64::from(workers), workers, None);
        Self(Mutex::new(Decision { stop: None, level, slow: None, quiet: None }))
    }

    pub(super) fn set(&self, decision: Decision) {
        *self.0.lock() = decision;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.lock().stop.is_some()
    }

    pub(super) fn level(&self) -> Level {
        self.0.lock().level
    }

    /// What holds the whole process back: what stops it, else what slows it down.
    pub(super) fn reason(&self) -> Option<Reason> {
        let decision = self.0.lock();
        decision.stop.clone().or_else(|| decision.slow.clone())
    }

    /// What the worker has to wait for before it begins a batch, and for how long before it looks again, at
    /// most.
    pub(super) fn holds(&self, worker: u32, now: Instant) -> Option<(Reason, Option<Duration>)> {
        let decision = self.0.lock();
        if let Some(stop) = &decision.stop {
            return Some((stop.clone(), None));
        }
        if let Some((_, until)) = decision.quiet.filter(|(from, until)| (*from..*until).contains(&now)) {
            let text = "measuring the application without us, for a moment";
            let reason = Reason::new(Hold::Throttled, Why::Quiet, text);
            return Some((reason, Some(until.duration_since(now))));
        }
        let rests = worker >= decision.level.working();
        rests.then(|| (decision.slow.clone().unwrap_or_else(|| share(decision.level)), None))
    }

    /// How long the worker rests after a batch that took so long, and why.
    pub(super) fn rest(&self, worker: u32, took: Duration) -> Option<(Reason, Duration)> {
        let decision = self.0.lock();
        let time = decision.level.rest(worker, took);
        (!time.is_zero()).then(|| (decision.slow.clone().unwrap_or_else(|| share(decision.level)), time))
    }
}

fn share(level: Level) -> Reason {
    let text = format!("this process's share is {:.2} batch-seconds a second", level.share());
    Reason::new(Hold::Throttled, Why::Share, text)
}
