//! The heartbeat: tells the database that this process is here, brings back what the run asks of it, and reports progress.
//!
//! Must not know: what the workers are doing.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::brakeman::Brakeman;
use super::finish::{self, Leaves};
use super::holding::Holding;
use super::ledger::Wait;
use super::shared::Shared;
use super::tally::Tally;
use super::way::{self, Way};
use crate::db::Session;
use crate::event::{Event, Progress};
use crate::run::{Hold, RunState};
use crate::store::{self, Beat, Orders, StoreError, Told, Totals};

/// Time between two beats: an order takes effect within one, and a batch.
pub(super) const BEAT: Duration = Duration::from_millis(500);
/// Weight of the latest beat in the mean of speeds.
const LATEST: f64 = 0.2;
/// The same for what is spent of a share, which changes once a second.
const LATEST_BUSY: f64 = 0.5;

/// The totals as an event.
pub(super) fn progress(totals: &Totals) -> Progress {
    Progress {
        rows_changed: totals.rows_changed,
        rows_passed: totals.rows_passed,
        rows_total: totals.rows_total,
        ranges_done: totals.ranges_done,
        ranges_open: totals.ranges_open,
        bad_rows: totals.bad_rows,
        times: totals.times,
        ..Progress::default()
    }
}

/// The control connection of a process.
pub(super) struct Control {
    shared: Arc<Shared>,
    session: Option<Session>,
    speed: Speed,
    wal_bytes: Option<f64>,
    at: Instant,
    /// Whether this process may guard.
    may_lead: watch::Sender<bool>,
    brakeman: Arc<Mutex<Brakeman>>,
    holding: Holding,
    way: Way,
}

/// What the workers of this process do in a second.
#[derive(Default)]
struct Speed {
    rows_per_s: f64,
    rows_changed: u64,
    /// Batch-seconds a second.
    busy: f64,
    busy_s: f64,
}

impl Speed {
    fn measure(&mut self, tally: &Tally, since: Duration) {
        let s = since.as_secs_f64().max(0.001);
        let (rows, busy_s) = (tally.rows_changed(), tally.busy_s());
        self.rows_per_s += ((rows - self.rows_changed) as f64 / s - self.rows_per_s) * LATEST;
        self.busy += ((busy_s - self.busy_s) / s - self.busy) * LATEST_BUSY;
        (self.rows_changed, self.busy_s) = (rows, busy_s);
    }
}

impl Control {
    pub(super) fn new(
        shared: Arc<Shared>,
        session: Session,
        may_lead: watch::Sender<bool>,
        brakeman: Arc<Mutex<Brakeman>>,
    ) -> Self {
        let now = Instant::now();
        Self {
            shared,
            session: Some(session),
            speed: Speed::default(),
            wal_bytes: None,
            at: now,
            may_lead,
            brakeman,
            holding: Holding::default(),
            way: Way::default(),
        }
    }

    /// Beats until it is dropped.
    pub(super) async fn steer(mut self) {
        let (mut beats, mut looks) = (tokio::time::interval(BEAT), tokio::time::interval(way::LOOK));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = beats.tick() => self.beat().await,
                _ = looks.tick() => self.make_way().await,
            }
        }
    }

    /// One beat. Without a connection nothing is guessed: the last orders stay, and the reason is shown.
    pub(super) async fn beat(&mut self) {
        let since = self.at.elapsed();
        self.at = Instant::now();
        self.speed.measure(&self.shared.tally, since);
        let halted = match self.exchange(since).await {
            Ok(halted) => halted,
            Err(error) => {
                self.session = None;
                self.report_lost(&error);
                true
            }
        };
        if halted {
            self.shared.tally.halted(since);
        }
    }

    /// Looks whether somebody waits for a batch of ours, if one is in hand that is long enough for that.
    async fn make_way(&mut self) {
        let old = Way::old_batches(&self.shared);
        if old.is_empty() {
            self.way.forget();
        }
        let Some(session) = self.session.as_ref().filter(|session| session.is_usable() && !old.is_empty())
        else {
            return;
        };
        if let Err(error) = self.way.make(&self.shared, session, &old).await {
            tracing::debug!(%error, "nobody could be asked who waits for us");
            self.session = None;
        }
    }

    async fn exchange(&mut self, since: Duration) -> Result<bool, StoreError> {
        // A lost one must have left the pool before there is room for another.
        let mut session = match self.session.take().filter(Session::is_usable) {
            Some(session) => session,
            None => self.shared.session_beside().await?,
        };
        let shared = self.shared.clone();
        let waiting = self.held();
        let held_s = self.holding.held(self.at).unwrap_or_default().as_secs_f64();
        let error = shared.take_error();
        let beat = Beat {
            process: &shared.process,
            host: &shared.host,
            pid: std::process::id() as i32,
            workers: shared.live.load(Ordering::Relaxed) as i32,
            rows_per_s: self.speed.rows_per_s,
            waiting: waiting.as_ref().map(|wait| (wait.reason.as_str(), wait.hold, held_s)),
            last_error: error.as_deref(),
            times: shared.times(),
            retries: shared.tally.retries(),
            auto_workers: shared.auto_workers() as i32,
            busy: self.speed.busy,
        };
        let told = store::beat(&mut session, shared.run.id, &beat).await?;
        shared.at_home(&told.identity)?;
        if let Some(before) = self.wal_bytes.replace(told.wal_bytes) {
            self.shared.log_grows((told.wal_bytes - before) / since.as_secs_f64().max(0.001));
        }
        self.take_orders(&told.orders);
        self.brake(&told);
        self.watch_leaves(&mut session, &told.orders).await?;
        let halted = self.report(&told.totals, &told.orders);
        self.session = Some(session);
        Ok(halted)
    }

    /// What the guard has published decides how the workers go on.
    fn brake(&mut self, told: &Told) {
        let leads = told.guard.leader.as_ref() == Some(&self.shared.process);
        self.may_lead
            .send_if_modified(|may| std::mem::replace(may, leads || told.guard.lead_is_free) != *may);
        let now = Instant::now();
        self.shared.heard(&told.guard, now);
        let mut brakeman = self.brakeman.lock();
        brakeman.hear(told.clone(), now);
        brakeman.work(&self.shared, now);
    }

    /// What holds the process back, and the events that this makes.
    fn held(&mut self) -> Option<Wait> {
        let (state, reason) = {
            let orders = self.shared.orders.borrow();
            (orders.state, orders.reason.clone())
        };
        let waiting = match state {
            RunState::Running | RunState::Complete => {
                self.shared.braking.cause().or_else(|| self.shared.waiting())
            }
            RunState::Paused | RunState::Blocked | RunState::Cancelled => {
                Some(Wait::new(Hold::Paused, "person", state.sentence(reason.as_deref())))
            }
        };
        for event in self.holding.update(waiting.as_ref(), self.at) {
            self.shared.emit(event);
        }
        waiting
    }

    fn take_orders(&self, orders: &Orders) {
        let before = self.shared.orders.borrow().clone();
        if before.state != orders.state {
            self.shared.emit(Event::StateChanged { state: orders.state, reason: orders.reason.clone() });
        }
        if before.knobs != orders.knobs {
            self.shared.emit(Event::KnobsChanged { knobs: orders.knobs.clone() });
        }
        self.shared.orders.send_if_modified(|now| {
            let changed = *now != *orders;
            now.clone_from(orders);
            changed
        });
        self.shared.pool.resize(self.shared.wanted() as usize + self.shared.connections_beside());
    }

    /// A partition that goes is noticed here, and by the worker whose batch meets it; one that comes joins here.
    async fn watch_leaves(&self, session: &mut Session, orders: &Orders) -> Result<(), StoreError> {
        if self.shared.plan.table.kind != "p" || orders.state != RunState::Running {
            return Ok(());
        }
        match finish::reconcile(&self.shared, session).await? {
            Leaves::Same => {}
            Leaves::New => self
                .shared
                .emit(Event::Notice { message: "a new partition was found and joins the run".into() }),
            // The worker that meets it, or that finds nothing else left, blocks the run with the same words.
            Leaves::Gone(name) => self.shared.failed(&format!("partition {name} is gone")),
        }
        Ok(())
    }

    fn report(&mut self, totals: &Totals, orders: &Orders) -> bool {
        let here = self.shared.live.load(Ordering::Relaxed);
        let waiting = self.held();
        let halted = waiting.as_ref().is_some_and(Wait::is_halt);
        self.shared.report(Progress {
            workers: here + orders.other_workers,
            processes: 1 + orders.other_processes,
            hold: waiting.as_ref().and_then(|wait| wait.hold),
            held_ms: waiting
                .as_ref()
                .and_then(|_| self.holding.held(self.at))
                .map(|time| time.as_millis() as u64),
            waiting: waiting.map(|wait| wait.reason),
            halted,
            ..progress(totals)
        });
        halted
    }

    fn report_lost(&mut self, error: &StoreError) {
        let lost = Wait::new(Hold::Blocked, "connection", format!("no connection: {error}"));
        for event in self.holding.update(Some(&lost), self.at) {
            self.shared.emit(event);
        }
        let held_ms = self.holding.held(self.at).map(|time| time.as_millis() as u64);
        let (waiting, hold) = (Some(lost.reason), lost.hold);
        self.shared.report(Progress { waiting, hold, held_ms, halted: true, ..self.shared.last_progress() });
    }
}
