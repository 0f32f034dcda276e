//! The guard of a whole database, in whichever process leads: sends canaries, reads the signals once a second, steers, and
//! publishes all of it for the processes of every run.
//!
//! Must not know: what a process does about what was published.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::past::Past;
use super::shared::Shared;
use crate::db::{Error, Session};
use crate::pace::{CANARY_EVERY, Controller, Steering};
use crate::plan;
use crate::sql;
use crate::store::{self, Lead};

/// A canary is waited for so long: with what comes before and after, the signals are still read every few seconds. Its
/// `statement_timeout` does not hold for its COMMIT, which may wait for a synchronous standby.
const CANARY_ANSWER_MAX: Duration = Duration::from_secs(2);
/// A request to cancel one may take so long.
const CANCEL_MAX: Duration = Duration::from_secs(1);
/// Time between two readings.
const READ: Duration = Duration::from_secs(1);
/// `lock_not_available`.
const LOCKED: &str = "55P03";
/// After a failure, before the next attempt.
const AGAIN: Duration = Duration::from_secs(1);

/// What is kept while this process leads.
pub(super) struct Leading {
    /// None after a loss, until the next one is needed: the pool has no connection more than that.
    session: Option<Session>,
    controller: Controller,
    past: Past,
    canary: String,
    /// When the canary's row was chosen.
    chosen: Instant,
    /// What the others spend, and with how many workers, as it was a second ago.
    busy: f64,
    workers: u32,
    tolerated_ms: f64,
}

/// Reads the signals once before anything is done, so that nobody begins at a moment at which he should not. None: another process
/// leads, or nobody can for the moment.
pub(super) async fn begin(shared: &Shared) -> Option<Leading> {
    match Leading::take(shared).await {
        Ok(leading) => leading,
        Err(error) => {
            failed(shared, &error);
            None
        }
    }
}

/// Guards whenever the lead is free, until it is dropped.
pub(super) async fn guard(
    shared: Arc<Shared>,
    mut may_lead: watch::Receiver<bool>,
    mut leading: Option<Leading>,
) {
    loop {
        if let Some(leading) = leading.take()
            && let Err(error) = leading.lead(&shared).await
        {
            failed(&shared, &error);
        }
        tokio::time::sleep(AGAIN).await;
        if may_lead.wait_for(|may| *may).await.is_err() {
            return;
        }
        leading = begin(&shared).await;
    }
}

fn failed(shared: &Shared, error: &Error) {
    tracing::info!(%error, "this process cannot guard");
    shared.guard_failed(Some(error.to_string()));
}

/// A short transaction on the last row of a leaf that has work left, else of any that is there; without one it reads nothing.
async fn canary(shared: &Shared, session: &mut Session) -> Result<String, Error> {
    let leaves = store::leaves(session, shared.run.id).await?;
    let Some(leaf) = leaves.iter().find(|leaf| leaf.has_work).or(leaves.last()) else {
        return Ok(sql::canary(None));
    };
    let target = shared.plan.target(leaf.table.clone());
    match plan::probe_last_key(session, &target).await {
        Ok(key) => Ok(sql::canary(key.as_ref().map(|key| (&target, key)))),
        // It is locked, or gone since.
        Err(error) if error.server().is_some() => Ok(sql::canary(None)),
        Err(error) => Err(error),
    }
}

async fn open<'a>(kept: &'a mut Option<Session>, shared: &Shared) -> Result<&'a mut Session, Error> {
    Ok(match kept {
        Some(session) => session,
        none => none.insert(shared.session_beside().await?),
    })
}

impl Leading {
    /// Takes the lead, if it is free, and reads the signals for the first time.
    async fn take(shared: &Shared) -> Result<Option<Self>, Error> {
        let mut session = shared.session_beside().await?;
        let mut leading = Self {
            controller: Controller::new(shared.fresh_share(), Instant::now()),
            past: Past::default(),
            canary: canary(shared, &mut session).await?,
            chosen: Instant::now(),
            session: Some(session),
            busy: 0.0,
            workers: shared.auto_workers(),
            tolerated_ms: shared.added_latency_ms(),
        };
        Ok(leading.read(shared).await?.then_some(leading))
    }

    /// Leads until another process does.
    async fn lead(mut self, shared: &Shared) -> Result<(), Error> {
        let mut canaries = tokio::time::interval(CANARY_EVERY);
        let mut readings = tokio::time::interval_at(tokio::time::Instant::now() + READ, READ);
        canaries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        readings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = readings.tick() => {
                    if !self.read(shared).await? {
                        return Ok(());
                    }
                }
                _ = canaries.tick() => self.sing(shared).await?,
            }
        }
    }

    async fn sing(&mut self, shared: &Shared) -> Result<(), Error> {
        let session = open(&mut self.session, shared).await?;
        session.answers_within(CANARY_ANSWER_MAX);
        let began = Instant::now();
        let sung = session.query_text(&self.canary).await;
        let now = Instant::now();
        // Somebody has locked the table: that is another signal's business.
        let is_locked = sung.as_ref().is_err_and(|error| error.sqlstate() == Some(LOCKED));
        if !is_locked {
            self.controller.sang(now.duration_since(began).as_secs_f64() * 1000.0, now);
        }
        match sung {
            Ok(Some(lsn)) => self.past.add(now, lsn),
            Ok(None) => {}
            Err(error) if error.server().is_some() => {
                if self.chosen.elapsed() > READ {
                    self.chosen = now;
                    self.canary = canary(shared, session).await?;
                }
            }
            Err(_) => self.give_up().await,
        }
        Ok(())
    }

    /// The canary's answer did not come: what it waits for is given up, so that it does not pile up in the server, and the lead is kept.
    async fn give_up(&mut self) {
        if let Some(session) = self.session.take() {
            // A server that does not answer this either is one for the reading to find out about.
            let _ = tokio::time::timeout(CANCEL_MAX, session.canceller().cancel()).await;
        }
    }

    /// False if another process leads.
    async fn read(&mut self, shared: &Shared) -> Result<bool, Error> {
        let now = Instant::now();
        let Steering { share, why, quiet } =
            self.controller.step(self.busy, self.workers, self.tolerated_ms, now);
        let from_now = |at: Instant| {
            at.saturating_duration_since(now).as_secs_f64() - now.saturating_duration_since(at).as_secs_f64()
        };
        let (lsns, ages) = self.past.columns(now);
        let lead = Lead {
            process: &shared.process,
            share: Some(share),
            why: why.as_deref(),
            quiet: quiet.map(|(from, until)| (from_now(from), (until - from).as_secs_f64())),
            past: (&lsns, &ages),
        };
        let Some(answer) = store::read_guard(open(&mut self.session, shared).await?, &lead).await? else {
            return Ok(false);
        };
        shared.guard_failed(None);
        (self.busy, self.workers) = (answer.busy, answer.workers);
        self.tolerated_ms = answer.tolerated_ms.unwrap_or_else(|| shared.added_latency_ms());
        Ok(true)
    }
}
