//! What the tasks of one process share.
//!
//! Must not know: what a task does with it.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::braking::Braking;
use super::enter::Entered;
use super::hand::Hands;
use super::home::Home;
use super::ledger::{Ledger, Wait};
use super::own::Own;
use super::tally::Tally;
use super::worker::End;
use super::{Events, Options, Stop, connections_beside};
use crate::db::Pool;
use crate::catalog::{self, Checkpoints, Holder};
use crate::event::{Event, Progress};
use crate::job::{Job, Limits, OwnSignal};
use crate::pace::{Ceilings, Share};
use crate::plan::{self, Choice, Order, Plan, Told};
use crate::run::{Knobs, Mode, RunState, Times};
use crate::sql::settings;
use crate::store::{Claim, Counters, Hint, Orders, Published, Run};
use crate::stripe::Striping;

/// Rows of a batch that is short because the pace is low: fewer make it no shorter, because most of it is its round trips.
const SHORT_BATCH_ROWS: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// One process's part in a run.
pub(super) struct Shared {
    pub(super) pool: Pool,
    pub(super) run: Run,
    /// Of the server on which the run was entered.
    pub(super) home: Home,
    pub(super) plan: Plan,
    pub(super) limits: Limits,
    /// Unique over all processes: host, process id and the moment of its start.
    pub(super) process: String,
    pub(super) host: String,
    pub(super) by: String,
    pub(super) workers: Option<NonZeroU32>,
    pub(super) max_rows: Option<NonZeroU64>,
    pub(super) ceilings: Ceilings,
    pub(super) tally: Tally,
    pub(super) orders: watch::Sender<Orders>,
    pub(super) stop: watch::Receiver<Stop>,
    /// Live workers of this process.
    pub(super) live: AtomicU32,
    /// How many of them the server has connections for, as far as we know.
    pub(super) room: AtomicU32,
    /// Why all have to leave, once there is a reason that no order gives.
    pub(super) leaving: watch::Sender<Option<End>>,
    /// How often something beside the workers had no connection.
    pub(super) lacking: watch::Sender<u64>,
    /// When the run's server was there last.
    reached: Mutex<Instant>,
    events: Events,
    settings: Vec<(String, String)>,
    pub(super) hands: Hands,
    pub(super) braking: Braking,
    pub(super) signals: Vec<OwnSignal>,
    ledger: Mutex<Ledger>,
    pub(super) own: Own,
    /// The share of the guard's leader, and when it was heard of.
    heard_share: Mutex<Option<(Instant, f64)>>,
    guard_trouble: Mutex<Option<String>>,
    last_error: Mutex<Option<String>>,
    /// Why a range rests, and until when that is to be told.
    resting: Mutex<Option<(String, Instant)>>,
    progress: Mutex<Progress>,
    order: Mutex<Order>,
    checkpoints: Checkpoints,
    wal_bytes_per_s: AtomicU64,
}

/// The share of a leader is believed for so long, in seconds.
const SHARE_VALID_S: f64 = 5.0;

impl Shared {
    #[allow(clippy::too_many_arguments)] // Called once, from the place where each of these comes to be.
    pub(super) fn new(
        pool: &Pool,
        job: &Job,
        plan: Plan,
        server: &catalog::Server,
        entered: Entered,
        options: &Options,
        events: &Events,
        stop: watch::Receiver<Stop>,
    ) -> Self {
        let pid = std::process::id();
        let order = Order::new(&plan.order, job.order.stripes);
        let workers = options.workers.unwrap_or(entered.run.knobs.workers).get();
        let micros = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
        Self {
            pool: pool.clone(),
            settings: batch_settings(&entered.run, job.limits, server.version),
            orders: watch::Sender::new(entered.orders),
            run: entered.run,
            home: Home::of(server),
            plan,
            limits: job.limits,
            process: format!("{}/{pid}/{micros}", options.host),
            host: options.host.clone(),
            by: options.by.clone(),
            workers: options.workers,
            max_rows: options.max_rows,
            ceilings: Ceilings::default(),
            tally: Tally::default(),
            stop,
            live: AtomicU32::new(0),
            room: AtomicU32::new(u32::MAX),
            leaving: watch::Sender::new(None),
            lacking: watch::Sender::new(0),
            reached: Mutex::new(Instant::now()),
            events: events.clone(),
            hands: Hands::default(),
            braking: Braking::new(workers),
            signals: job.signals.clone(),
            ledger: Mutex::default(),
            own: Own::default(),
            heard_share: Mutex::default(),
            guard_trouble: Mutex::default(),
            last_error: Mutex::default(),
            resting: Mutex::default(),
            progress: Mutex::default(),
            order: Mutex::new(order),
            checkpoints: server.checkpoints,
            wal_bytes_per_s: AtomicU64::new(0),
        }
    }

    pub(super) fn emit(&self, event: Event) {
        match &event {
            Event::Progress(_) => tracing::trace!(?event, "progress"),
            Event::BatchCommitted { worker, range, rows_changed, micros, .. } => {
                tracing::debug!(worker, %range, rows_changed, micros, "batch committed");
            }
            other => tracing::info!(event = ?other, "run {}", self.run.id),
        }
        let _ = self.events.send(event);
    }

    /// This process's part of the ceilings.
    pub(super) fn share(&self) -> Share {
        let orders = self.orders.borrow();
        Share::of(&orders.knobs, self.live.load(Ordering::Relaxed), orders.other_workers)
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow() != Stop::NotYet
    }

    /// Live workers of all processes.
    pub(super) fn workers_everywhere(&self) -> u32 {
        self.live.load(Ordering::Relaxed) + self.orders.borrow().other_workers
    }

    /// Rows that this process may still change, if that is limited.
    pub(super) fn rows_left(&self) -> Option<u64> {
        self.max_rows.map(|max| max.get().saturating_sub(self.tally.rows_changed()))
    }

    /// The same for each worker, so that together they do not change many more.
    pub(super) fn rows_left_each(&self) -> Option<u64> {
        self.rows_left().map(|left| left.div_ceil(self.live.load(Ordering::Relaxed).max(1).into()))
    }

    /// Settings of a batch's transaction, in one statement.
    pub(super) fn batch_settings(&self) -> String {
        let timeout = self.statement_timeout().as_millis().to_string();
        let fixed = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        settings(&fixed.chain([("statement_timeout", timeout.as_str())]).collect::<Vec<_>>())
    }

    /// A batch that takes longer is too large.
    pub(super) fn statement_timeout(&self) -> Duration {
        statement_timeout(self.limits, self.orders.borrow().knobs.batch_time_ms.get())
    }

    /// As long as a host that is gone takes to be noticed, so that a line that is dead in another way is no worse.
    pub(super) fn answer_max(&self) -> Duration {
        answer_max(self.statement_timeout())
    }

    /// How long a worker would like to keep its range after a batch: the next batch and what it will have to wait for the ceilings.
    pub(super) fn hint(&self, worker: u32, rows: u32) -> Hint {
        let target_s = f64::from(self.orders.borrow().knobs.batch_time_ms.get()) / 1000.0;
        let live = f64::from(self.live.load(Ordering::Relaxed).max(1));
        let paid_s = self.share().rows_per_s.map_or(0.0, |per_s| f64::from(rows) * live / per_s);
        Hint { worker: format!("{}/{worker}", self.process), for_s: 0.5 + 3.0 * target_s + 2.0 * paid_s }
    }

    pub(super) fn waits(&self, worker: u32, wait: Wait) {
        self.ledger.lock().turn(worker, Some(wait), Instant::now());
    }

    pub(super) fn works(&self, worker: u32) {
        self.ledger.lock().turn(worker, None, Instant::now());
    }

    /// What the whole process waits for: something only if every worker waits.
    pub(super) fn waiting(&self) -> Option<Wait> {
        self.ledger.lock().waiting().cloned()
    }

    /// What the workers have spent their time on until now.
    pub(super) fn times(&self) -> Times {
        self.ledger.lock().times(Instant::now())
    }

    /// What the guard has told everybody last.
    pub(super) fn heard(&self, published: &Published, now: Instant) {
        let fresh = published.share.filter(|_| published.read_s_ago.is_some_and(|age| age < SHARE_VALID_S));
        *self.heard_share.lock() = fresh.map(|share| (now, share));
    }

    /// The share of a leader that spoke a moment ago.
    pub(super) fn fresh_share(&self) -> Option<f64> {
        let heard = *self.heard_share.lock();
        heard.filter(|(at, _)| at.elapsed().as_secs_f64() < SHARE_VALID_S).map(|(_, share)| share)
    }

    /// Connections besides those of the workers.
    pub(super) fn connections_beside(&self) -> usize {
        connections_beside(&self.signals)
    }

    /// Why this process cannot guard, while it cannot.
    pub(super) fn guard_failed(&self, why: Option<String>) {
        *self.guard_trouble.lock() = why;
    }

    pub(super) fn guard_trouble(&self) -> Option<String> {
        self.guard_trouble.lock().clone()
    }

    /// How much longer a short transaction of the application may take because of us.
    pub(super) fn added_latency_ms(&self) -> f64 {
        self.orders.borrow().knobs.guard.added_latency_ms.into()
    }

    /// Workers of this process that share what the controller gives.
    pub(super) fn auto_workers(&self) -> u32 {
        let orders = self.orders.borrow();
        // Whoever is stopped leaves his part to the others.
        let works = orders.state == RunState::Running && !self.braking.is_stopped();
        let shares = orders.knobs.mode == Mode::Auto && works;
        if shares { self.live.load(Ordering::Relaxed) } else { 0 }
    }

    /// The knobs as they are for one worker just now.
    pub(super) fn knobs(&self, worker: u32) -> Knobs {
        let mut knobs = self.orders.borrow().knobs.clone();
        let full = Duration::from_millis(knobs.batch_time_ms.get().into());
        let time = self.braking.level().batch_time(worker, full);
        if time < full {
            knobs.batch_time_ms = NonZeroU32::new(time.as_millis() as u32).unwrap_or(NonZeroU32::MIN);
            let least = knobs.min_rows_per_batch.max(SHORT_BATCH_ROWS);
            knobs.min_rows_per_batch = least.min(knobs.max_rows_per_batch);
        }
        knobs
    }

    /// How the next range is to be striped.
    pub(super) fn choice(&self) -> Choice {
        self.order.lock().choice()
    }

    /// The log of the server, all that is written there included, grew at this speed since the last beat.
    pub(super) fn log_grows(&self, wal_bytes_per_s: f64) {
        self.wal_bytes_per_s.store(wal_bytes_per_s as u64, Ordering::Relaxed);
    }

    /// The longest time for all stripes of a range.
    pub(super) fn cycle_max(&self) -> Duration {
        plan::cycle_max(&self.checkpoints, self.wal_bytes_per_s.load(Ordering::Relaxed) as f64)
    }

    /// A range is done: what its updates were decides about the next ones.
    pub(super) fn learn(&self, striping: Striping, counters: Counters) {
        let stripes = striping.stripes().get();
        let told = Told { stripes, rows_changed: counters.rows_changed, rows_hot: counters.rows_hot };
        self.order.lock().learn(told);
    }

    /// Whether somebody is to be looked for who makes stripes useless.
    pub(super) fn seeks_holder(&self) -> bool {
        self.order.lock().is_futile()
    }

    pub(super) fn blame(&self, holder: &Holder) {
        let mut order = self.order.lock();
        order.blame(holder);
        self.emit(Event::Notice { message: order.choice().why });
    }

    pub(super) fn planned(&self, claim: &Claim, why: String) {
        let (range, table) = (claim.number, claim.table.to_string());
        self.emit(Event::RangePlanned { range, table, stripes: claim.striping.stripes().get(), why });
    }

    pub(super) fn failed(&self, message: &str) {
        *self.last_error.lock() = Some(message.to_owned());
    }

    /// The last error, once.
    pub(super) fn take_error(&self) -> Option<String> {
        self.last_error.lock().take()
    }

    pub(super) fn report(&self, progress: Progress) {
        self.progress.lock().clone_from(&progress);
        self.emit(Event::Progress(progress));
    }

    pub(super) fn last_progress(&self) -> Progress {
        self.progress.lock().clone()
    }

    pub(super) fn gone(&self, worker: u32) {
        self.hands.drop(worker);
        self.ledger.lock().gone(worker, Instant::now());
    }

    /// Waits for `time`, less if the orders change or somebody wants us to stop.
    pub(super) async fn pause(&self, time: Duration) {
        let mut orders = self.orders.subscribe();
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = orders.changed() => {}
            () = self.called_off() => {}
        }
    }

    /// Until all workers are to leave, or somebody wants us to stop.
    pub(super) async fn called_off(&self) {
        let (mut stop, mut leaving) = (self.stop.clone(), self.leaving.subscribe());
        // A receiver that was never read sees a change however long ago it was, so none is missed.
        tokio::select! {
            _ = leaving.wait_for(Option::is_some) => {}
            () = changed(&mut stop) => {}
        }
    }

    /// The same, as a wait that a person can see.
    pub(super) async fn wait(&self, worker: u32, wait: Wait, time: Duration) {
        self.waits(worker, wait);
        self.pause(time).await;
        self.works(worker);
    }

    /// A range is let alone for so long.
    pub(super) fn rests(&self, why: String, time: Duration) {
        // Whoever takes it then is at it for a while.
        *self.resting.lock() = Some((why, Instant::now() + time * 2));
    }

    /// Why a range was let alone lately.
    pub(super) fn resting(&self) -> Option<String> {
        self.resting.lock().as_ref().filter(|(_, until)| Instant::now() < *until).map(|(why, _)| why.clone())
    }

    /// All workers leave, for the first of such reasons.
    pub(super) fn leave(&self, end: End) {
        self.leaving.send_if_modified(|leaving| leaving.is_none() && leaving.replace(end).is_none());
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.borrow().is_some()
    }

    pub(super) fn lacks_connection(&self) {
        self.lacking.send_modify(|times| *times += 1);
    }

    /// The run's server has answered.
    pub(super) fn reached(&self) {
        *self.reached.lock() = Instant::now();
    }

    /// For so long nobody of this process has reached it.
    pub(super) fn unreached_for(&self) -> Duration {
        self.reached.lock().elapsed()
    }

    /// How many workers this process should have.
    pub(super) fn wanted(&self) -> u32 {
        self.own_workers().unwrap_or(self.orders.borrow().knobs.workers).get()
    }

    /// Its own number, if it has one; that holds until somebody turns the run's knob.
    pub(super) fn own_workers(&self) -> Option<NonZeroU32> {
        self.workers.filter(|_| self.orders.borrow().knobs.workers == self.run.knobs.workers)
    }
}

/// A caller that dropped its sender will never ask to stop: then this never ends.
pub(super) async fn changed(stop: &mut watch::Receiver<Stop>) {
    if stop.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A few times the target of a batch.
pub(super) fn statement_timeout(limits: Limits, target_ms: u32) -> Duration {
    let ms = limits.statement_timeout_ms.map_or((target_ms * 20).max(2_000), |ms| ms.get().max(target_ms));
    Duration::from_millis(ms.into())
}

/// The statement's time, and the way there and back.
pub(super) fn answer_max(statement_timeout: Duration) -> Duration {
    statement_timeout + Duration::from_secs(10)
}

/// What holds for every batch of the run, whatever the role's own settings are.
pub(super) fn batch_settings(run: &Run, limits: Limits, server_version: i32) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = serde_json::from_str::<BTreeMap<String, String>>(&run.settings)
        .unwrap_or_default()
        .into_iter()
        .collect();
    let lock_timeout = limits.lock_timeout_ms.to_string();
    let ours = [
        ("lock_timeout", lock_timeout.as_str()),
        // A process that is frozen inside a batch gives its locks back.
        ("idle_in_transaction_session_timeout", "5s"),
        // Rows and cursor are lost together or kept together, so nothing is gained by waiting for the disk.
        ("synchronous_commit", "off"),
        ("plan_cache_mode", "force_custom_plan"),
        // Every batch would compile again what runs for a tenth of a second.
        ("jit", "off"),
        // A lost host is noticed in about 12 s instead of two hours.
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "12000"),
    ];
    all.extend(ours.map(|(name, value)| (name.to_owned(), value.to_owned())));
    if server_version >= 140_000 {
        // A killed process is noticed in the middle of its statement.
        all.push(("client_connection_check_interval".into(), "500".into()));
    }
    all
}
