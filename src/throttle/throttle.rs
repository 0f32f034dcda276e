//! May I go?
//!
//! Must not know: what is done once a worker may.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::ceilings::{Ceilings, Debt};
use super::custom_signals::CustomSignals;
use super::gate::Gate;
use super::pacer::Pacer;
use super::reason::{Reason, Why};
use super::team::Team;
use crate::db::Primary;
use crate::run::pace::FLOOR;
use crate::run::{Hold, Knobs, RunId, RunState};
use crate::store::Heard;

/// How often a worker that waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A worker that a person has paused looks again less often: it is woken anyway.
const PAUSED_LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Time between two judgements. They do not wait for the heartbeat: a signal that cannot be read any more has
/// to count, too.
const JUDGED_EVERY: Duration = Duration::from_millis(250);
/// Batches that take longer than so many times their target count as that long.
const TOOK_MAX: u32 = 4;
/// Rows of a batch that is short because the pace is low: fewer make it no shorter, because most of it is its
/// round trips.
const SHORT_BATCH_ROWS: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Go {
    /// A batch may begin.
    Now,
    /// Not yet.
    Wait {
        /// Why.
        reason: Reason,
        /// It is asked again after so long at the latest.
        at_most: Duration,
    },
    /// Not any more: the run is in this state.
    Over(RunState),
}

/// What the workers of this process may do.
pub struct Throttle {
    team: Arc<Team>,
    gate: Gate,
    pacer: Mutex<Pacer>,
    ceilings: Ceilings,
    custom: CustomSignals,
    /// Why this process cannot read the signals for all, while it cannot.
    trouble: watch::Receiver<Option<String>>,
}

impl Throttle {
    /// Nothing is held back before the first judgement.
    #[must_use]
    pub fn new(
        run: RunId,
        team: Arc<Team>,
        custom: CustomSignals,
        trouble: watch::Receiver<Option<String>>,
    ) -> Self {
        Self {
            gate: Gate::new(team.wanted()),
            team,
            pacer: Mutex::new(Pacer::new(run, Instant::now())),
            ceilings: Ceilings::default(),
            custom,
            trouble,
        }
    }

    /// May the worker begin a batch? Asked of the run's state, the window and the guard, the quiet second,
    /// and the share, in this order.
    #[must_use]
    pub fn may_go(&self, worker: u32, now: Instant) -> Go {
        let assignment = self.team.assignment();
        match assignment.state {
            RunState::Running => {}
            RunState::Paused => {
                let text = assignment.reason.unwrap_or_else(|| "paused".into());
                let reason = Reason::new(Hold::Paused, Why::Person, text);
                return Go::Wait { reason, at_most: PAUSED_LOOK_AGAIN };
            }
            ended @ (RunState::Blocked | RunState::Cancelled | RunState::Complete) => return Go::Over(ended),
        }
        match self.gate.holds(worker, now) {
            Some((reason, at_most)) => {
                Go::Wait { reason, at_most: at_most.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN) }
            }
            None => Go::Now,
        }
    }

    /// Waits until the ceilings have been paid for what was done, at the price of the moment; gives up when
    /// `exit` is cancelled.
    pub async fn pay(&self, worker: u32, debt: &mut Debt, account: &Account, exit: &CancellationToken) {
        while !debt.is_settled() && !exit.is_cancelled() {
            // Before the price is read: a change after it is seen.
            let mut changed = self.team.subscribe();
            let share = self.team.share();
            if !share.is_unlimited() {
                account.waits(worker, self.ceiling());
            }
            tokio::select! {
                () = self.ceilings.settle(debt, share) => {}
                _ = changed.changed() => {}
                () = exit.cancelled() => {}
            }
        }
        account.works(worker);
    }

    fn ceiling(&self) -> Reason {
        let knobs = self.team.knobs();
        let rows = knobs.max_rows_per_s.map(|rows| format!("max_rows_per_second = {rows}"));
        let wal = knobs.max_wal_bytes_per_s.map(|bytes| format!("max_wal_per_second = {bytes} bytes"));
        let all: Vec<_> = rows.into_iter().chain(wal).collect();
        Reason::new(Hold::Throttled, Why::Ceiling, format!("held at {}", all.join(" and ")))
    }

    /// How long the worker rests after a turn that took so long, and why.
    #[must_use]
    pub fn rest(&self, worker: u32, took: Duration) -> Option<(Reason, Duration)> {
        // What a batch waited for others, or for the network, was no work of the server's.
        let batch_time = Duration::from_millis(self.knobs(worker).batch_time_ms.get().into());
        self.gate.rest(worker, took.min(batch_time * TOOK_MAX))
    }

    /// The knobs as they are for one worker just now: where its pace is low its batches are short.
    #[must_use]
    pub fn knobs(&self, worker: u32) -> Knobs {
        let mut knobs = self.team.knobs();
        let full = Duration::from_millis(knobs.batch_time_ms.get().into());
        let time = self.gate.level().batch_time(worker, full);
        if time < full {
            knobs.batch_time_ms = NonZeroU32::new(time.as_millis() as u32).unwrap_or(NonZeroU32::MIN);
            let least = knobs.min_rows_per_batch.max(SHORT_BATCH_ROWS);
            knobs.min_rows_per_batch = least.min(knobs.max_rows_per_batch);
        }
        knobs
    }

    /// The part of its time that the worker works.
    #[must_use]
    pub fn duty(&self, worker: u32) -> f64 {
        self.gate.level().duty(worker).max(FLOOR)
    }

    /// What holds the whole process back.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.gate.reason()
    }

    /// Workers of this process that share what the application bears.
    #[must_use]
    pub fn auto_workers(&self) -> u32 {
        self.team.auto_workers(self.gate.is_stopped())
    }

    /// A heartbeat has brought this; gives what a person should know.
    pub fn hear(&self, heard: Heard) -> Option<String> {
        let now = Instant::now();
        let mut pacer = self.pacer.lock();
        pacer.hear(heard, now);
        self.decide(&mut pacer, now);
        pacer.blind(now)
    }

    fn decide(&self, pacer: &mut Pacer, now: Instant) {
        let (trouble, custom) = (self.trouble.borrow().clone(), self.custom.readings(now));
        if let Some(decision) = pacer.decide(self.team.wanted(), trouble.as_deref(), &custom, now) {
            self.gate.set(decision);
        }
    }

    /// Reads the signals that the job brings along once.
    pub async fn read_custom(&self, primary: &Primary) {
        self.custom.read(primary, &mut None).await;
    }

    /// Reads the signals that the job brings along until it is dropped.
    pub async fn watch_custom(&self, primary: &Primary) {
        self.custom.watch(primary).await;
    }

    /// Judges again and again until it is dropped.
    pub async fn watch(&self) {
        let mut ticks = tokio::time::interval(JUDGED_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.decide(&mut self.pacer.lock(), Instant::now());
        }
    }
}
