//! The heartbeat: tells the database that this process is here, brings back what the run asks of it, and
//! reports progress.
//!
//! Must not know: what the workers are doing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::blockers;
use super::part::Part;
use super::partitions::{self, Leaves};
use super::speed::Speed;
use crate::db::Session;
use crate::event::{Event, Progress};
use crate::monitor::Asked;
use crate::run::{Hold, Mode, RunState};
use crate::store::{self, Assignment, Beat, Heard, StoreError, Waiters};
use crate::throttle::{HoldLog, Reason, Why};

/// Time between two beats: what the run asks takes effect within one, and a batch.
pub(super) const BEAT: Duration = Duration::from_millis(500);

/// What was reported last, for a process that leaves without a connection.
pub(super) type LastProgress = Arc<Mutex<Progress>>;

/// The heartbeat of a process.
pub(super) struct Heartbeat {
    part: Arc<Part>,
    session: Option<Session>,
    speed: Speed,
    wal_bytes: Option<f64>,
    at: Instant,
    /// What it asks of the monitor.
    asked: watch::Sender<Asked>,
    /// Whether no other session is at work, as the monitor of this process has published it.
    is_alone: watch::Receiver<bool>,
    hold_log: HoldLog,
    waiters: Waiters,
    last: LastProgress,
}

impl Heartbeat {
    pub(super) fn new(
        part: Arc<Part>,
        session: Session,
        asked: watch::Sender<Asked>,
        is_alone: watch::Receiver<bool>,
        last: LastProgress,
    ) -> Self {
        Self {
            part,
            session: Some(session),
            speed: Speed::default(),
            wal_bytes: None,
            at: Instant::now(),
            asked,
            is_alone,
            hold_log: HoldLog::default(),
            waiters: Waiters::default(),
            last,
        }
    }

    /// Beats until it is dropped.
    pub(super) async fn run(mut self) {
        let (mut beats, mut looks) = (tokio::time::interval(BEAT), tokio::time::interval(blockers::LOOK));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = beats.tick() => self.beat().await,
                // An application that comes must not wait for the next beat, nor we once it has gone.
                Ok(()) = self.is_alone.changed() => {
                    self.beat().await;
                    beats.reset();
                }
                _ = looks.tick() => self.cancel_blockers().await,
            }
        }
    }

    /// One beat. Without a connection nothing is guessed: what the run asked last holds, and the reason is
    /// shown.
    pub(super) async fn beat(&mut self) {
        let since = self.at.elapsed();
        self.at = Instant::now();
        self.speed.measure(&self.part.counters, since);
        let halted = match self.exchange(since).await {
            Ok(halted) => halted,
            Err(error) => {
                self.session = None;
                self.report_lost(&error);
                true
            }
        };
        if halted {
            self.part.counters.halted(since);
        }
    }

    /// Looks whether a session waits for a batch of ours, if one is old enough for that.
    async fn cancel_blockers(&mut self) {
        let old = blockers::old_batches(&self.part);
        if old.is_empty() {
            self.waiters.forget();
        }
        let Some(session) = self.session.as_ref().filter(|session| session.is_usable() && !old.is_empty())
        else {
            return;
        };
        if let Err(error) = blockers::cancel_blockers(&self.part, session, &mut self.waiters, &old).await {
            tracing::debug!(%error, "it could not be asked who waits for us");
            self.session = None;
        }
    }

    /// True if nothing may be done.
    async fn exchange(&mut self, since: Duration) -> Result<bool, StoreError> {
        let part = self.part.clone();
        // A lost one must have left the pool before there is room for another.
        let mut session = match self.session.take().filter(Session::is_usable) {
            Some(session) => session,
            None => part.primary.session_beside().await?,
        };
        let heard = self.beat_on(&mut session).await?;
        part.primary.check(&heard.identity)?;
        if let Some(before) = self.wal_bytes.replace(heard.wal_bytes) {
            part.strategy.wal_grows((heard.wal_bytes - before) / since.as_secs_f64().max(0.001));
        }
        self.take_assignment(&heard.assignment);
        if let Some(message) = part.throttle.hear(heard.clone()) {
            part.events.notice(message);
        }
        self.ask_monitor(&heard);
        self.watch_leaves(&mut session, &heard.assignment).await?;
        let halted = self.report(&heard);
        self.session = Some(session);
        Ok(halted)
    }

    async fn beat_on(&mut self, session: &mut Session) -> Result<Heard, StoreError> {
        let part = self.part.clone();
        let waiting = self.held_by();
        let held_s = self.hold_log.held(self.at).unwrap_or_default().as_secs_f64();
        let error = part.account.take_error();
        let beat = Beat {
            process: &part.facts.process,
            host: &part.facts.host,
            pid: std::process::id() as i32,
            workers: part.team.here() as i32,
            rows_per_s: self.speed.rows_per_s,
            rows_passed_per_s: self.speed.rows_passed_per_s,
            waiting: waiting.as_ref().map(|reason| (reason.text.as_str(), reason.hold, held_s)),
            last_error: error.as_deref(),
            times: part.account.times(),
            retries: part.counters.retries(),
            auto_workers: part.throttle.auto_workers() as i32,
            busy: self.speed.busy,
        };
        store::beat(session, part.facts.run_id(), &beat).await
    }

    fn ask_monitor(&self, heard: &Heard) {
        let (part, guard) = (&self.part, &heard.guard);
        let leads = guard.leader.as_ref() == Some(&part.facts.process);
        self.asked.send_replace(Asked {
            may_lead: leads || guard.lead_is_free,
            is_auto: heard.assignment.knobs.mode == Mode::Auto,
            auto_workers: part.throttle.auto_workers(),
            tolerated_ms: heard.assignment.knobs.guard.added_latency_ms.into(),
        });
    }

    /// What holds the process back; tells when that begins and ends.
    fn held_by(&mut self) -> Option<Reason> {
        let part = &self.part;
        let Assignment { state, reason, .. } = part.team.assignment();
        let waiting = match state {
            RunState::Running | RunState::Complete => {
                part.throttle.reason().or_else(|| part.account.waiting())
            }
            RunState::Paused | RunState::Blocked | RunState::Cancelled => {
                Some(Reason::new(Hold::Paused, Why::Person, state.sentence(reason.as_deref())))
            }
        };
        for event in self.hold_log.update(waiting.as_ref(), self.at) {
            part.events.emit(event);
        }
        waiting
    }

    fn take_assignment(&self, assignment: &Assignment) {
        let part = &self.part;
        let before = part.team.assignment();
        if before.state != assignment.state {
            let (state, reason) = (assignment.state, assignment.reason.clone());
            part.events.emit(Event::StateChanged { state, reason });
        }
        if before.knobs != assignment.knobs {
            part.events.emit(Event::KnobsChanged { knobs: assignment.knobs.clone() });
        }
        part.team.assign(assignment);
        part.primary.pool().resize(part.team.wanted() as usize + part.facts.connections_beside);
    }

    /// A partition that goes is noticed here, and by the worker whose batch meets it; one that comes joins
    /// here.
    async fn watch_leaves(&self, session: &mut Session, assignment: &Assignment) -> Result<(), StoreError> {
        let part = &self.part;
        if part.facts.plan.table.kind != "p" || assignment.state != RunState::Running {
            return Ok(());
        }
        match partitions::reconcile(part, session).await? {
            Leaves::Same => {}
            Leaves::New => part.events.notice("a new partition was found and joins the run"),
            // The worker that meets it, or that finds nothing else left, blocks the run with the same words.
            Leaves::Gone(name) => part.account.failed(&format!("partition {name} is gone")),
        }
        Ok(())
    }

    /// True if nothing may be done.
    fn report(&mut self, heard: &Heard) -> bool {
        let waiting = self.held_by();
        let halted = waiting.as_ref().is_some_and(Reason::is_halt);
        let held = waiting.as_ref().and_then(|_| self.hold_log.held(self.at));
        let (assignment, totals) = (&heard.assignment, heard.totals.clone());
        let passed_per_s = self.speed.rows_passed_per_s + heard.other_rows_passed_per_s;
        self.tell(Progress {
            kind: self.part.facts.run.kind,
            workers: self.part.team.here() + assignment.other_workers,
            processes: 1 + assignment.other_processes,
            hold: waiting.as_ref().and_then(|reason| reason.hold),
            held_ms: held.map(|time| time.as_millis() as u64),
            waiting: waiting.map(|reason| reason.text),
            rows_per_s: self.speed.rows_per_s + heard.other_rows_per_s,
            eta_s: totals.eta_s(assignment.state, passed_per_s).filter(|_| !halted),
            halted,
            totals,
        });
        halted
    }

    fn report_lost(&mut self, error: &StoreError) {
        let lost = Reason::new(Hold::Blocked, Why::Connection, format!("no connection: {error}"));
        for event in self.hold_log.update(Some(&lost), self.at) {
            self.part.events.emit(event);
        }
        let held_ms = self.hold_log.held(self.at).map(|time| time.as_millis() as u64);
        let before = self.last.lock().clone();
        let (waiting, hold) = (Some(lost.text), lost.hold);
        self.tell(Progress { waiting, hold, held_ms, eta_s: None, halted: true, ..before });
    }

    fn tell(&self, progress: Progress) {
        self.last.lock().clone_from(&progress);
        self.part.events.emit(Event::Progress(progress));
    }
}
