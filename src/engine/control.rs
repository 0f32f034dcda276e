//! The heartbeat: tells the database that this process is here, brings back what the run asks of it, and reports progress.
//!
//! Must not know: what the workers are doing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::finish::{self, Leaves};
use super::shared::{Shared, Wait, WaitKind};
use crate::db::Session;
use crate::event::{Event, Progress};
use crate::run::RunState;
use crate::store::{self, Beat, Orders, StoreError, Told, Totals};

/// Time between two beats: an order takes effect within one, and a batch.
pub(super) const BEAT: Duration = Duration::from_millis(500);
/// Weight of the latest beat in the mean of speeds.
const LATEST: f64 = 0.2;

/// The totals as an event.
pub(super) fn progress(totals: &Totals) -> Progress {
    Progress {
        rows_changed: totals.rows_changed,
        rows_passed: totals.rows_passed,
        rows_total: totals.rows_total,
        ranges_done: totals.ranges_done,
        ranges_open: totals.ranges_open,
        bad_rows: totals.bad_rows,
        ..Progress::default()
    }
}

/// The control connection of a process.
pub(super) struct Control {
    shared: Arc<Shared>,
    session: Option<Session>,
    rows_per_s: f64,
    rows_changed: u64,
    wal_bytes: Option<f64>,
    at: Instant,
}

impl Control {
    pub(super) fn new(shared: Arc<Shared>, session: Session) -> Self {
        let (rows_per_s, rows_changed, wal_bytes) = (0.0, 0, None);
        Self { shared, session: Some(session), rows_per_s, rows_changed, wal_bytes, at: Instant::now() }
    }

    /// Beats until it is dropped.
    pub(super) async fn steer(mut self) {
        let mut ticks = tokio::time::interval(BEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.beat().await;
        }
    }

    /// One beat. Without a connection nothing is guessed: the last orders stay, and the reason is shown.
    pub(super) async fn beat(&mut self) {
        let since = self.at.elapsed();
        self.at = Instant::now();
        self.measure(since);
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

    fn measure(&mut self, since: Duration) {
        let rows = self.shared.tally.rows_changed();
        let speed = (rows - self.rows_changed) as f64 / since.as_secs_f64().max(0.001);
        self.rows_per_s += (speed - self.rows_per_s) * LATEST;
        self.rows_changed = rows;
    }

    async fn exchange(&mut self, since: Duration) -> Result<bool, StoreError> {
        let mut session = match self.session.take() {
            Some(session) if session.is_usable() => session,
            _ => self.shared.pool.session().await?,
        };
        let shared = self.shared.clone();
        let waiting = shared.waiting();
        let error = shared.take_error();
        let beat = Beat {
            process: &shared.process,
            host: &shared.host,
            pid: std::process::id() as i32,
            workers: shared.live.load(Ordering::Relaxed) as i32,
            rows_per_s: self.rows_per_s,
            waiting: waiting.as_ref().map(|wait| wait.reason.as_str()),
            last_error: error.as_deref(),
        };
        let Told { orders, totals, wal_bytes } = store::beat(&mut session, shared.run.id, &beat).await?;
        if let Some(before) = self.wal_bytes.replace(wal_bytes) {
            self.shared.log_grows((wal_bytes - before) / since.as_secs_f64().max(0.001));
        }
        self.take_orders(&orders);
        self.watch_leaves(&mut session, &orders).await?;
        let halted = self.report(&totals, &orders, waiting);
        self.session = Some(session);
        Ok(halted)
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
        self.shared.pool.resize(self.shared.wanted() as usize + 1);
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

    fn report(&self, totals: &Totals, orders: &Orders, waiting: Option<Wait>) -> bool {
        let here = self.shared.live.load(Ordering::Relaxed);
        let waiting = match orders.state {
            RunState::Running | RunState::Complete => waiting,
            RunState::Paused | RunState::Blocked | RunState::Cancelled => {
                Some(Wait::halted(orders.state.sentence(orders.reason.as_deref())))
            }
        };
        let halted = waiting.as_ref().is_some_and(|wait| wait.kind == WaitKind::Halted);
        self.shared.report(Progress {
            workers: here + orders.other_workers,
            processes: 1 + orders.other_processes,
            waiting: waiting.map(|wait| wait.reason),
            halted,
            ..progress(totals)
        });
        halted
    }

    fn report_lost(&self, error: &StoreError) {
        let waiting = Some(format!("no connection: {error}"));
        self.shared.report(Progress { waiting, halted: true, ..self.shared.last_progress() });
    }
}
