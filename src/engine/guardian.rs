//! The guard of a whole database, in whichever process leads: sends canaries, reads the signals once a second, steers, and
//! publishes all of it for the processes of every run.
//!
//! Must not know: what a process does about what was published.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::shared::Shared;
use crate::db::{Error, Session};
use crate::pace::{Controller, Steering};
use crate::plan;
use crate::sql;
use crate::store::{self, Lead};

/// Time between two canaries.
const CANARY: Duration = Duration::from_millis(50);
/// Time between two readings.
const READ: Duration = Duration::from_secs(1);
/// After a failure, before the next attempt.
const AGAIN: Duration = Duration::from_secs(1);
/// Commits are remembered for so long, one a second after the first seconds.
const PAST: Duration = Duration::from_secs(180);
const PAST_DENSE: Duration = Duration::from_secs(5);

/// Where the log was at past moments.
#[derive(Default)]
struct Past(Vec<(Instant, String)>);

impl Past {
    fn add(&mut self, at: Instant, lsn: String) {
        self.0.push((at, lsn));
        let mut kept: Option<Instant> = None;
        self.0.retain(|(then, _)| {
            let age = at.duration_since(*then);
            let dense = age < PAST_DENSE;
            let next = kept.is_none_or(|kept| then.duration_since(kept) >= READ);
            let keep = age < PAST && (dense || next);
            if keep {
                kept = Some(*then);
            }
            keep
        });
    }

    fn columns(&self, now: Instant) -> (Vec<String>, Vec<f64>) {
        self.0.iter().map(|(at, lsn)| (lsn.clone(), now.duration_since(*at).as_secs_f64())).unzip()
    }
}

/// What is kept while this process leads.
pub(super) struct Leading {
    session: Session,
    controller: Controller,
    past: Past,
    canary: String,
    /// What the others spend, and with how many workers, as it was a second ago.
    busy: f64,
    workers: u32,
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

/// A short transaction on the first leaf's last row, if it has one.
async fn canary(shared: &Shared, session: &Session) -> Result<String, Error> {
    let Some(leaf) = shared.plan.leaves.first() else { return Ok(sql::canary(None)) };
    let target = shared.plan.target(leaf.name.clone());
    let key = plan::last_key(session, &target).await?;
    Ok(sql::canary(key.as_ref().map(|key| (&target, key))))
}

impl Leading {
    /// Takes the lead, if it is free, and reads the signals for the first time.
    async fn take(shared: &Shared) -> Result<Option<Self>, Error> {
        let session = shared.pool.session().await?;
        let mut leading = Self {
            controller: Controller::new(shared.fresh_share(), Instant::now()),
            past: Past::default(),
            canary: canary(shared, &session).await?,
            session,
            busy: 0.0,
            workers: shared.auto_workers(),
        };
        Ok(leading.read(shared).await?.then_some(leading))
    }

    /// Leads until another process does.
    async fn lead(mut self, shared: &Shared) -> Result<(), Error> {
        let mut canaries = tokio::time::interval(CANARY);
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
                _ = canaries.tick() => self.sing().await?,
            }
        }
    }

    async fn sing(&mut self) -> Result<(), Error> {
        self.session.answers_within(store::GUARD_ANSWER_MAX);
        let began = Instant::now();
        let lsn = match self.session.told(&self.canary).await {
            Ok(lsn) => lsn,
            // Somebody has locked the table: that is another signal's business.
            Err(error) if error.server().is_some() => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        self.controller.sang(now.duration_since(began).as_secs_f64() * 1000.0, now);
        if let Some(lsn) = lsn {
            self.past.add(now, lsn);
        }
        Ok(())
    }

    /// False if another process leads.
    async fn read(&mut self, shared: &Shared) -> Result<bool, Error> {
        let now = Instant::now();
        let Steering { share, why, quiet } =
            self.controller.step(self.busy, self.workers, shared.added_latency_ms(), now);
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
        let Some(answer) = store::read_guard(&mut self.session, &lead).await? else { return Ok(false) };
        shared.guard_failed(None);
        (self.busy, self.workers) = (answer.busy, answer.workers);
        Ok(true)
    }
}
