//! Runs the rows of the quarantine again, one after the other: lock its entry, change the row, take the entry
//! out, COMMIT.
//!
//! Several processes share them by the locks of the entries, as workers share ranges.
//!
//! Must not know: why a row was bad, who mended it.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;

use super::attend::{of_run, writable};
use super::lease::{self, BatchError};
use super::{EngineError, error_policy, subject};
use crate::catalog::Server;
use crate::change::Measure;
use crate::db::{Error, Found, NextAct, Pool, Primary, Session, identity};
use crate::job::{Job, Limits};
use crate::key::Key;
use crate::plan::{self, Plan};
use crate::run::{RangeNo, RunId, RunKind, RunState};
use crate::scan::Scan;
use crate::sql::settings;
use crate::store::{self, BadKey, Run, StoreError};

/// Entries that are read at once.
const PART: i64 = 1_000;

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// It was changed.
    Changed,
    /// There is no row of its key any more: nothing is to be done.
    Gone,
    /// The job does not select it any more: nothing is to be done.
    Unselected,
    /// It failed again, and stays.
    StillBad {
        /// Five characters.
        sqlstate: String,
        /// What the server said.
        message: String,
    },
}

/// One row that was run again.
#[derive(Clone, Debug, Serialize)]
pub struct Retried {
    /// Its table, as PostgreSQL would quote it.
    pub table: String,
    /// Its key.
    pub key: Key,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What became of all of them.
#[derive(Clone, Debug, Serialize)]
pub struct RetrySummary {
    /// The run.
    pub run: RunId,
    /// The job's name.
    pub job: String,
    /// Rows changed by this process.
    pub changed: u64,
    /// Rows that left the quarantine without a change.
    pub dropped: u64,
    /// Rows that failed again.
    pub still_bad: u64,
    /// Rows that are in the quarantine now.
    pub left: u64,
}

/// Runs every row in the quarantine of the job's latest run again and tells what became of it.
///
/// # Errors
/// See [`EngineError`]. What was told before has been committed and flushed.
pub async fn retry_bad_rows(
    pool: &Pool,
    job: &Job,
    by: &str,
    tell: &mut (dyn FnMut(Retried) + Send),
) -> Result<RetrySummary, EngineError> {
    let retried = Box::pin(retry_all(pool, job, by, tell)).await;
    if retried.is_err() {
        // The next process must not have to wait for what this one has left open.
        pool.end_lost().await;
    }
    retried
}

async fn retry_all(
    pool: &Pool,
    job: &Job,
    by: &str,
    tell: &mut (dyn FnMut(Retried) + Send),
) -> Result<RetrySummary, EngineError> {
    let mut session = pool.session().await?;
    let server = writable(&session, pool).await?;
    let plan = plan::preflight(&mut session, job, &server.user, RunKind::Backfill).await?;
    let latest = store::latest(&session, job.name.as_str(), RunKind::Backfill).await?;
    let run = latest.ok_or_else(|| EngineError::Store(StoreError::NoRun(job.name.to_string())))?;
    if let Some(why) = subject::differs(&run, job, &plan, &server) {
        return Err(EngineError::InTheWay(why));
    }
    may_change(&run, run.state)?;
    if store::is_undone(&session, run.id).await? {
        let what = format!("run {} of job \"{}\" was undone", run.id, run.job);
        return Err(EngineError::NotNow(format!(
            "{what}\nhint: pgbackfill run with --new-run runs it again"
        )));
    }
    let plan = of_run(plan, &run, &server);
    let mut retry = Retry::new(pool, session, run, plan, job.limits, &server, tell);
    retry.all().await?;
    retry.end(by).await
}

/// While a run is paused or cancelled nothing is to be changed.
fn may_change(run: &Run, state: RunState) -> Result<(), EngineError> {
    match state {
        RunState::Running | RunState::Complete | RunState::Blocked => Ok(()),
        RunState::Paused | RunState::Cancelled => Err(EngineError::NotNow(format!(
            "run {} of job \"{}\" is {state}\nhint: pgbackfill resume {} first",
            run.id, run.job, run.job
        ))),
    }
}

struct Retry<'a> {
    pool: &'a Pool,
    primary: Primary,
    session: Session,
    run: Run,
    plan: Plan,
    limits: Limits,
    settings: String,
    answer_max: Duration,
    summary: RetrySummary,
    tell: &'a mut (dyn FnMut(Retried) + Send),
}

/// What one attempt found.
enum Attempt {
    Settled(Fate),
    /// Another process is at it, or was.
    Elsewhere,
}

impl<'a> Retry<'a> {
    fn new(
        pool: &'a Pool,
        session: Session,
        run: Run,
        plan: Plan,
        limits: Limits,
        server: &Server,
        tell: &'a mut (dyn FnMut(Retried) + Send),
    ) -> Self {
        let timeout = plan::statement_timeout(limits, run.knobs.batch_time_ms.get());
        let timeout_ms = timeout.as_millis().to_string();
        let mut all = plan::batch_settings((&run.job, &run.settings), limits, server.version);
        all.push(("statement_timeout".into(), timeout_ms));
        // A row that is said to be changed must be found changed, also after a crash.
        all.retain(|(name, _)| name != "synchronous_commit");
        let pairs: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let job = run.job.clone();
        let summary = RetrySummary { run: run.id, job, changed: 0, dropped: 0, still_bad: 0, left: 0 };
        Self {
            pool,
            primary: Primary::new(pool, &server.system_identifier, server.timeline, CancellationToken::new()),
            session,
            run,
            plan,
            limits,
            settings: settings::set_all(&pairs),
            answer_max: plan::answer_max(timeout),
            summary,
            tell,
        }
    }

    /// Each once; at the end those that another process had, which may have ended without settling them.
    async fn all(&mut self) -> Result<(), EngineError> {
        let (mut last, mut elsewhere): (Option<BadKey>, Vec<BadKey>) = (None, Vec::new());
        loop {
            let part = store::next_bad_rows(&self.session, self.run.id, last.as_ref(), PART).await?;
            let Some(end) = part.last().cloned() else { break };
            last = Some(end);
            for bad in part {
                if !self.row(&bad).await? {
                    elsewhere.push(bad);
                }
            }
        }
        for bad in elsewhere {
            let mut pauses = error_policy::back_off();
            while store::is_bad_row(&self.session, self.run.id, &bad).await? && !self.row(&bad).await? {
                pause(&mut pauses).await;
            }
        }
        Ok(())
    }

    /// False if another process has it.
    async fn row(&mut self, bad: &BadKey) -> Result<bool, EngineError> {
        let mut pauses = error_policy::back_off();
        let mut failures = 0;
        let fate = loop {
            match self.attempt(bad).await {
                Ok(Attempt::Settled(fate)) => break fate,
                Ok(Attempt::Elsewhere) | Err(BatchError::ClaimLost | BatchError::Rewritten) => {
                    return Ok(false);
                }
                Err(BatchError::Failed(error)) => {
                    failures += 1;
                    match error.next_act() {
                        NextAct::Bisect => break self.still_bad(bad, &error).await?,
                        NextAct::Retry | NextAct::Halve if failures <= self.limits.retries => {
                            pause(&mut pauses).await;
                        }
                        NextAct::Reconnect if failures <= self.limits.retries => {
                            self.reconnect(error).await?;
                        }
                        _ => return Err(failed(bad, error)),
                    }
                }
                Err(BatchError::RunNotRunning(state)) => {
                    may_change(&self.run, state)?;
                }
                Err(BatchError::TableChanged(why) | BatchError::NotRepeatable(why)) => {
                    return Err(EngineError::NotNow(why));
                }
            }
        };
        self.told(bad, fate);
        Ok(true)
    }

    /// Another connection to the same server; what was in doubt is in its row.
    async fn reconnect(&mut self, why: Error) -> Result<(), EngineError> {
        let (began, mut pauses, mut last) = (Instant::now(), error_policy::back_off(), why);
        // The lost one keeps its place until the new one is there.
        self.pool.resize(2);
        while began.elapsed() <= self.limits.reconnect_timeout() {
            pause(&mut pauses).await;
            match self.pool.session().await {
                Ok(session) => return self.go_on_with(session).await,
                Err(error) if error.next_act() == NextAct::Reconnect => last = error,
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.into())
    }

    async fn go_on_with(&mut self, session: Session) -> Result<(), EngineError> {
        match self.primary.judge(&identity(&session).await?) {
            Found::Same => {
                self.session = session;
                // With the lost one goes its transaction, which may hold the row until it is ended.
                self.pool.end_lost().await;
                Ok(())
            }
            Found::Promoted(what) | Found::Stale(what) => {
                Err(EngineError::Unreachable(format!("{what}\nhint: run it again")))
            }
            Found::Other(what) => Err(EngineError::Foreign(what)),
        }
    }

    fn told(&mut self, bad: &BadKey, fate: Fate) {
        match fate {
            Fate::Changed => self.summary.changed += 1,
            Fate::Gone | Fate::Unselected => self.summary.dropped += 1,
            Fate::StillBad { .. } => self.summary.still_bad += 1,
        }
        (self.tell)(Retried { table: bad.table.to_string(), key: bad.key.clone(), fate });
    }

    /// One transaction.
    async fn attempt(&mut self, bad: &BadKey) -> Result<Attempt, BatchError> {
        let attempt = self.attempt_in_txn(bad).await;
        if !matches!(attempt, Ok(Attempt::Settled(_))) {
            // The first error is the one to tell; a session whose rollback fails too is closed when it is
            // dropped.
            let _ = self.session.rollback().await;
        }
        attempt
    }

    async fn attempt_in_txn(&mut self, bad: &BadKey) -> Result<Attempt, BatchError> {
        let scan = self.plan.scan_by_key(bad.table.clone());
        if !self.lock_in_txn(bad, &scan).await? {
            return Ok(Attempt::Elsewhere);
        }
        let row = scan.row(&bad.key);
        // The row may be gone after the change.
        let range = range_in_txn(&self.session, self.run.id, bad, &scan).await?;
        let answer = self.plan.change.statement(&row).run_in_txn(&self.session, Measure::Rows).await?;
        let changed = answer.rows;
        let fate = match (changed, range) {
            (0, _) => {
                let exists = row.exist_in_txn(&self.session).await?;
                store::drop_bad_row_in_txn(&self.session, self.run.id, bad).await?;
                if exists { Fate::Unselected } else { Fate::Gone }
            }
            (_, Some(range)) => {
                store::settle_bad_row_in_txn(&self.session, self.run.id, bad, range).await?;
                Fate::Changed
            }
            (_, None) => return Err(Error::Protocol(format!("no range has the key {}", bad.key)).into()),
        };
        self.session.commit().await?;
        Ok(Attempt::Settled(fate))
    }

    /// BEGIN, and the lock of the entry; goes on only if run and table are as they have to be. False: another
    /// process has it.
    async fn lock_in_txn(&mut self, bad: &BadKey, scan: &Scan) -> Result<bool, BatchError> {
        self.session.answers_within(self.answer_max);
        let (walked, key) = (scan.source(), self.plan.walk.key_names());
        let fence =
            store::lock_bad_row(&mut self.session, &self.settings, self.run.id, bad, &walked, &key).await?;
        let Some(fence) = fence else { return Ok(false) };
        if may_change(&self.run, fence.run_state).is_err() {
            return Err(BatchError::RunNotRunning(fence.run_state));
        }
        match fence.changed {
            Some(why) => Err(BatchError::TableChanged(lease::changed(scan, why))),
            None => Ok(true),
        }
    }

    async fn still_bad(&mut self, bad: &BadKey, error: &Error) -> Result<Fate, EngineError> {
        let (sqlstate, message) = (error.sqlstate().unwrap_or_default().to_owned(), error.to_string());
        self.session.answers_within(self.answer_max);
        self.session.begin(&self.settings).await?;
        let noted = store::bad_row_again_in_txn(&self.session, self.run.id, bad, &sqlstate, &message).await;
        self.session.commit_or_rollback(noted).await.map_err(|error| failed(bad, error))?;
        Ok(Fate::StillBad { sqlstate, message })
    }

    /// What is left, and a line in the audit trail.
    async fn end(mut self, by: &str) -> Result<RetrySummary, EngineError> {
        self.summary.left = store::bad_rows_count(&self.session, self.run.id).await?;
        let RetrySummary { changed, dropped, still_bad, .. } = &self.summary;
        if changed + dropped + still_bad > 0 {
            let detail = format!(
                "rows of the quarantine: {changed} changed, {dropped} taken out, {still_bad} still bad"
            );
            store::note(&mut self.session, self.run.id, "retried", by, &detail).await?;
        }
        Ok(self.summary)
    }
}

/// The range that has the row: what the quarantine says, or, of rows that were put aside before it said that,
/// the one whose bounds the row is between.
async fn range_in_txn(
    session: &Session,
    run: RunId,
    bad: &BadKey,
    scan: &Scan,
) -> Result<Option<RangeNo>, Error> {
    if bad.range.is_some() {
        return Ok(bad.range);
    }
    let row = scan.row(&bad.key);
    let mut params = row.params();
    params.extend([(&run.0 as _, Type::INT8), (&bad.leaf.0 as _, Type::INT4)]);
    let Some(query) = scan.range_of_row() else { return Ok(None) };
    let found = session.query_opt(&query, &params).await?;
    Ok(found.map(|row| RangeNo(row.get(0))))
}

async fn pause(pauses: &mut backon::ExponentialBackoff) {
    // Without a limit on their number there is always a next one.
    tokio::time::sleep(pauses.next().unwrap_or_default()).await;
}

/// Locks of others are told with the row that they are on.
fn failed(bad: &BadKey, error: Error) -> EngineError {
    let BadKey { table, key, .. } = bad;
    match error.next_act() {
        NextAct::Retry => EngineError::NotNow(format!(
            "row {key} of {table}: {error}\nhint: another session holds it; run it again when that has ended"
        )),
        NextAct::Block | NextAct::Halve | NextAct::AwaitPerson | NextAct::Bisect => {
            EngineError::NotNow(format!("row {key} of {table}: {error}"))
        }
        NextAct::Reconnect => error.into(),
    }
}
