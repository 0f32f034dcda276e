//! The leader of a database: one process at a time, which takes its place whenever the row of the guard is
//! free.
//!
//! Must not know: what a process does about what was published.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::controller::{Controller, Facts, Steering};
use super::latency::PROBE_EVERY;
use super::presence::Presence;
use super::wal_history::WalHistory;
use crate::db::{Error, Primary, Session, sqlstate};
use crate::run::RunId;
use crate::scan::Walk;
use crate::sql;
use crate::store::{self, Lead, Learned, Led};

/// A probe is waited for so long: with what comes before and after, the signals are still read every few
/// seconds. Its `statement_timeout` does not hold for its COMMIT, which may wait for a synchronous standby.
const PROBE_ANSWER_MAX: Duration = Duration::from_secs(2);
/// A request to cancel one may take so long.
const CANCEL_MAX: Duration = Duration::from_secs(1);
/// Time between two readings.
const READ: Duration = Duration::from_secs(1);
/// While no other session is at work, or no worker makes way for them, one probe in so many is enough: it
/// tells the WAL position.
const PROBES_ALONE: u32 = 4;
/// Others are looked at for so many ticks in any case: it is not known yet whether a worker makes way.
const FIRST_TICKS: u32 = 80;
/// Time between two looks at the sessions of others: each second tick, which may come a little early.
const LOOK: Duration = Duration::from_millis(40);
/// The longest such time. A look that takes the server long, because there are many sessions, is taken less
/// often: at most a twentieth of the time goes into looking.
const LOOK_MAX: Duration = Duration::from_millis(250);
const LOOKING_MAX: u32 = 20;
/// After a failure, before the next attempt.
const AGAIN: Duration = Duration::from_secs(1);

/// What the rest of the process asks of its monitor, as of the last heartbeat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// Whether this process leads, or may.
    pub may_lead: bool,
    /// Whether its run is in mode auto, at work or stopped.
    pub is_auto: bool,
    /// Workers of this process that share what the application bears.
    pub auto_workers: u32,
    /// How much longer a short transaction of the application may take because of us, in milliseconds.
    pub tolerated_ms: f64,
}

/// The part of a process that leads if it may.
pub struct Monitor {
    /// The run's server.
    pub primary: Arc<Primary>,
    /// The run of this process.
    pub run: RunId,
    /// How its table is walked: probes read a row of it.
    pub walk: Walk,
    /// The name of the process.
    pub process: String,
    /// What is asked of it.
    pub asked: watch::Receiver<Asked>,
    /// Why it cannot read the signals, while it cannot.
    pub trouble: watch::Sender<Option<String>>,
    /// Whether no other session is at work, as this process has published it.
    pub is_alone: watch::Sender<bool>,
}

/// What is kept while this process leads.
pub struct Leading {
    /// None after a loss, until the next one is needed: the pool has no connection more than that.
    session: Option<Session>,
    controller: Controller,
    presence: Presence,
    /// When others are looked at next, and when they were last, by the server's clock.
    next_look: Instant,
    looked_s: Option<f64>,
    wal_history: WalHistory,
    probe: String,
    /// When the row that the probe reads was chosen.
    chosen: Instant,
    /// What the others spend, and with how many workers, as it was a second ago.
    busy: f64,
    workers: u32,
    tolerated_ms: f64,
}

impl Monitor {
    /// Reads the signals once before anything is done, so that no run begins at a moment at which it should
    /// not. None: another process leads, or this one cannot for the moment.
    pub async fn begin(&self) -> Option<Leading> {
        match self.take_lead().await {
            Ok(leading) => leading,
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    /// Leads whenever the lead is free, until it is dropped.
    pub async fn watch(mut self, mut leading: Option<Leading>) {
        loop {
            if let Some(leading) = leading.take()
                && let Err(error) = self.lead(leading).await
            {
                self.failed(&error);
            }
            tokio::time::sleep(AGAIN).await;
            if self.asked.wait_for(|asked| asked.may_lead).await.is_err() {
                return;
            }
            leading = self.begin().await;
        }
    }

    fn failed(&self, error: &Error) {
        tracing::info!(%error, "this process cannot read the signals");
        self.trouble.send_replace(Some(error.to_string()));
    }

    /// Takes the lead, if it is free, and reads the signals for the first time.
    async fn take_lead(&self) -> Result<Option<Leading>, Error> {
        let mut session = self.primary.session_beside().await?;
        let Asked { auto_workers, tolerated_ms, .. } = self.asked.borrow().clone();
        let now = Instant::now();
        let mut leading = Leading {
            controller: Controller::new(now),
            presence: Presence::new(now),
            next_look: now,
            looked_s: None,
            wal_history: WalHistory::default(),
            probe: self.probe(&mut session).await?,
            chosen: now,
            session: Some(session),
            busy: 0.0,
            workers: auto_workers,
            tolerated_ms,
        };
        let Some(led) = self.publish(&mut leading).await? else { return Ok(None) };
        if let Some(Learned { effort, load, s_ago }) = led.learned {
            leading.controller.remember(effort, load, s_ago);
        }
        Ok(Some(leading))
    }

    /// Leads until another process does.
    async fn lead(&self, mut leading: Leading) -> Result<(), Error> {
        let mut probes = tokio::time::interval(PROBE_EVERY);
        let mut readings = tokio::time::interval_at(tokio::time::Instant::now() + READ, READ);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        readings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_alone = false;
        for number in 0u32.. {
            let is_reading = tokio::select! {
                biased;
                _ = readings.tick() => true,
                _ = probes.tick() => false,
            };
            if !is_reading {
                let steers = number < FIRST_TICKS || leading.workers > 0 || self.asked.borrow().is_auto;
                // A look that follows a probe would come just after the commits of others that were flushed
                // together with that of the probe.
                if steers {
                    self.look(&mut leading).await?;
                }
                if steers && !was_alone || number.is_multiple_of(PROBES_ALONE) {
                    self.run_probe(&mut leading).await?;
                }
            }
            // An application that comes must not wait for the next reading, nor we once it has gone.
            let is_alone = leading.presence.alone_for(Instant::now()).is_some();
            let has_changed = std::mem::replace(&mut was_alone, is_alone) != is_alone;
            if has_changed {
                leading.presence.forget_load();
            }
            if (is_reading || has_changed) && self.publish(&mut leading).await?.is_none() {
                return Ok(());
            }
            if has_changed {
                self.is_alone.send_replace(is_alone);
            }
        }
        Ok(())
    }

    /// Looks whether others are at work.
    async fn look(&self, leading: &mut Leading) -> Result<(), Error> {
        let began = Instant::now();
        if began < leading.next_look {
            return Ok(());
        }
        let looked_s = leading.looked_s;
        let session = self.open(&mut leading.session).await?;
        leading.next_look = began + LOOK_MAX;
        match store::others_seen(session, looked_s).await {
            Ok(seen) => {
                let took = Duration::from_secs_f64(seen.took_ms.max(0.0) / 1000.0);
                leading.next_look = began + (took * LOOKING_MAX).clamp(LOOK, LOOK_MAX);
                leading.looked_s = Some(seen.clock_s);
                let now = Instant::now();
                leading.controller.looked(&seen, began, now);
                leading.presence.look(&seen, now);
            }
            // What cannot be seen counts as an application.
            Err(error) if error.server().is_some() => tracing::debug!(%error, "others cannot be seen"),
            Err(_) => leading.give_up_probe().await,
        }
        Ok(())
    }

    /// A short transaction on the last row of a leaf that has work left, else of any that is there; without
    /// one it reads nothing.
    async fn probe(&self, session: &mut Session) -> Result<String, Error> {
        let leaves = store::leaves(session, self.run).await?;
        let Some(leaf) = leaves.iter().find(|leaf| leaf.has_work).or(leaves.last()) else {
            return Ok(sql::latency_probe(None));
        };
        let scan = self.walk.leaf(leaf.table.clone(), leaf.order);
        match scan.last_now(session).await {
            Ok(last) => Ok(sql::latency_probe(last.map(|mark| scan.read_at(&mark)).as_deref())),
            // It is locked, or gone since.
            Err(error) if error.server().is_some() => Ok(sql::latency_probe(None)),
            Err(error) => Err(error),
        }
    }

    async fn run_probe(&self, leading: &mut Leading) -> Result<(), Error> {
        let session = self.open(&mut leading.session).await?;
        session.answers_within(PROBE_ANSWER_MAX);
        let began = Instant::now();
        let answer = session.query_text(&leading.probe).await;
        let now = Instant::now();
        // A lock on the table is another signal's business.
        let is_locked =
            answer.as_ref().is_err_and(|error| error.sqlstate() == Some(sqlstate::LOCK_NOT_AVAILABLE));
        if !is_locked {
            leading.controller.probed(began, now);
        }
        match answer {
            Ok(Some(lsn)) => leading.wal_history.add(now, lsn),
            Ok(None) => {}
            Err(error) if error.server().is_some() => {
                if leading.chosen.elapsed() > READ {
                    leading.chosen = now;
                    leading.probe = self.probe(session).await?;
                }
            }
            Err(_) => leading.give_up_probe().await,
        }
        Ok(())
    }

    async fn open<'a>(&self, kept: &'a mut Option<Session>) -> Result<&'a mut Session, Error> {
        Ok(match kept {
            Some(session) => session,
            none => none.insert(self.primary.session_beside().await?),
        })
    }

    /// Reads the signals, decides, and publishes both. None: another process leads.
    async fn publish(&self, leading: &mut Leading) -> Result<Option<Led>, Error> {
        let now = Instant::now();
        let alone = leading.presence.alone_for(now);
        let facts = Facts {
            busy: leading.busy,
            workers: leading.workers,
            tolerated_ms: leading.tolerated_ms,
            is_alone: alone.is_some(),
            load: leading.presence.load(),
        };
        let Steering { share, batch, why, quiet, learned } =
            leading.controller.step(&facts, fastrand::f64(), now);
        let from_now = |at: Instant| {
            at.saturating_duration_since(now).as_secs_f64() - now.saturating_duration_since(at).as_secs_f64()
        };
        let (lsns, ages) = leading.wal_history.columns(now);
        let lead = Lead {
            process: &self.process,
            share: Some(share),
            why: why.as_deref(),
            quiet: quiet.map(|(from, until)| (from_now(from), (until - from).as_secs_f64())),
            wal_history: (&lsns, &ages),
            alone_s: alone.map(|time| time.as_secs_f64()),
            batch_ms: Some(batch.as_secs_f64() * 1000.0),
            learned,
            load: facts.load,
        };
        let session = self.open(&mut leading.session).await?;
        let Some(led) = store::read_guard(session, &lead).await? else {
            return Ok(None);
        };
        self.trouble.send_if_modified(|trouble| trouble.take().is_some());
        (leading.busy, leading.workers) = (led.busy, led.workers);
        let tolerated_ms = self.asked.borrow().tolerated_ms;
        leading.tolerated_ms = led.tolerated_ms.unwrap_or(tolerated_ms);
        Ok(Some(led))
    }
}

impl Leading {
    /// The answer of a probe did not come: what it waits for is given up, so that it does not pile up in the
    /// server, and the lead is kept.
    async fn give_up_probe(&mut self) {
        if let Some(session) = self.session.take() {
            // A server that does not answer this either is one for the reading to find out about.
            let _ = tokio::time::timeout(CANCEL_MAX, session.canceller().cancel()).await;
        }
    }
}
