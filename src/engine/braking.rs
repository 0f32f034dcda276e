//! How this process is held back just now: stopped, at a level below the full one, or quiet for a moment; and why.
//!
//! Must not know: how any of that was found out.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::ledger::Wait;
use crate::pace::Level;
use crate::run::Hold;

/// What holds for all workers of the process.
#[derive(Clone, Debug)]
struct State {
    stop: Option<Wait>,
    level: Level,
    /// Why the level is not the full one.
    slow: Option<Wait>,
    quiet: Option<(Instant, Instant)>,
}

/// The state, as everybody sees it.
#[derive(Debug)]
pub(super) struct Braking(Mutex<State>);

impl Braking {
    pub(super) fn new(workers: u32) -> Self {
        let level = Level::new(f64::from(workers), workers);
        Self(Mutex::new(State { stop: None, level, slow: None, quiet: None }))
    }

    pub(super) fn set(
        &self,
        stop: Option<Wait>,
        level: Level,
        slow: Option<Wait>,
        quiet: Option<(Instant, Instant)>,
    ) {
        *self.0.lock() = State { stop, level, slow, quiet };
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.lock().stop.is_some()
    }

    pub(super) fn level(&self) -> Level {
        self.0.lock().level
    }

    /// What holds the whole process back: what stops it, else what slows it down.
    pub(super) fn cause(&self) -> Option<Wait> {
        let state = self.0.lock();
        state.stop.clone().or_else(|| state.slow.clone())
    }

    /// What the worker has to wait for before it begins a batch, and for how long before it looks again, at most.
    pub(super) fn holds(&self, worker: u32, now: Instant) -> Option<(Wait, Option<Duration>)> {
        let state = self.0.lock();
        if let Some(stop) = &state.stop {
            return Some((stop.clone(), None));
        }
        if let Some((_, until)) = state.quiet.filter(|(from, until)| (*from..*until).contains(&now)) {
            let wait =
                Wait::new(Hold::Throttled, "quiet", "measuring the application without us, for a second");
            return Some((wait, Some(until.duration_since(now))));
        }
        let rests = worker >= state.level.working();
        rests.then(|| (state.slow.clone().unwrap_or_else(|| rest(state.level)), None))
    }

    /// How long the worker rests after a batch that took so long, and why.
    pub(super) fn rest(&self, worker: u32, took: Duration) -> Option<(Wait, Duration)> {
        let state = self.0.lock();
        let time = state.level.rest(worker, took);
        (!time.is_zero()).then(|| (state.slow.clone().unwrap_or_else(|| rest(state.level)), time))
    }
}

fn rest(level: Level) -> Wait {
    Wait::new(
        Hold::Throttled,
        "share",
        format!("this process's share is {:.2} batch-seconds a second", level.share()),
    )
}
