//! Runs the rows of the quarantine again, one after the other: lock its entry, change the row, take the entry out, COMMIT.
//!
//! Several processes share them by the locks of the entries, as workers share ranges.
//!
//! Must not know: why a row was bad, who made it good.

use std::time::Instant;

use serde::Serialize;
use tokio_postgres::types::Type;

use super::batch::Halt;
use super::home::{Home, Place};
use super::{EngineError, enter, retry, shared, writable};
use crate::catalog::Server;
use crate::db::{Error, TextParam, NextAct, Param, Pool, Session, column_type};
use crate::job::{Job, Limits};
use crate::key::Key;
use crate::plan::{self, Plan};
use crate::run::{RunId, RunState};
use crate::sql::{self, Target};
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

/// All of them.
#[derive(Clone, Debug, Serialize)]
pub struct Mended {
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
    /// Rows that are in the quarantine now, whoever has put them there.
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
) -> Result<Mended, EngineError> {
    let mended = mend(pool, job, by, tell).await;
    if mended.is_err() {
        // As for a run: nobody must have to wait for what is left open.
        pool.end_lost().await;
    }
    mended
}

async fn mend(
    pool: &Pool,
    job: &Job,
    by: &str,
    tell: &mut (dyn FnMut(Retried) + Send),
) -> Result<Mended, EngineError> {
    let mut session = pool.session().await?;
    let server = writable(&session, pool).await?;
    let plan = plan::preflight(&mut session, job, &server.user).await?;
    let latest = store::latest(&session, job.name.as_str()).await?;
    let run = latest.ok_or_else(|| EngineError::Store(StoreError::NoRun(job.name.to_string())))?;
    if let Some(why) = enter::differs(&run, job, &plan, &server) {
        return Err(EngineError::InTheWay(why));
    }
    may_go(&run, run.state)?;
    let mut mender = Mender::new(pool, session, run, plan, job.limits, &server, tell);
    mender.all().await?;
    mender.end(by).await
}

/// Who has paused or cancelled a run wants nothing to be changed.
fn may_go(run: &Run, state: RunState) -> Result<(), EngineError> {
    match state {
        RunState::Running | RunState::Complete | RunState::Blocked => Ok(()),
        RunState::Paused | RunState::Cancelled => Err(EngineError::NotNow(format!(
            "run {} of job \"{}\" is {state}\nhint: pgbackfill resume {} first",
            run.id, run.job, run.job
        ))),
    }
}

struct Mender<'a> {
    pool: &'a Pool,
    home: Home,
    session: Session,
    run: Run,
    plan: Plan,
    limits: Limits,
    settings: String,
    answer_max: std::time::Duration,
    mended: Mended,
    tell: &'a mut (dyn FnMut(Retried) + Send),
}

/// What one attempt found.
enum Attempt {
    Settled(Fate),
    /// Somebody else has it in hand, or had.
    Elsewhere,
}

impl<'a> Mender<'a> {
    fn new(
        pool: &'a Pool,
        session: Session,
        run: Run,
        plan: Plan,
        limits: Limits,
        server: &Server,
        tell: &'a mut (dyn FnMut(Retried) + Send),
    ) -> Self {
        let timeout = shared::statement_timeout(limits, run.knobs.batch_time_ms.get());
        let timeout_ms = timeout.as_millis().to_string();
        let mut settings = shared::batch_settings(&run, limits, server.version);
        settings.push(("statement_timeout".into(), timeout_ms));
        // Whoever is told that a row is changed must find it changed, also after a crash.
        settings.retain(|(name, _)| name != "synchronous_commit");
        let pairs: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let job = run.job.clone();
        let mended = Mended { run: run.id, job, changed: 0, dropped: 0, still_bad: 0, left: 0 };
        let settings = sql::settings(&pairs);
        let answer_max = shared::answer_max(timeout);
        Self { pool, home: Home::of(server), session, run, plan, limits, settings, answer_max, mended, tell }
    }

    /// Each once; at the end those that somebody else had, who may have ended without settling them.
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
            let mut pauses = retry::back_off();
            while store::is_bad_row(&self.session, self.run.id, &bad).await? && !self.row(&bad).await? {
                pause(&mut pauses).await;
            }
        }
        Ok(())
    }

    /// False if somebody else has it.
    async fn row(&mut self, bad: &BadKey) -> Result<bool, EngineError> {
        let mut pauses = retry::back_off();
        let mut failures = 0;
        let fate = loop {
            match self.attempt(bad).await {
                Ok(Attempt::Settled(fate)) => break fate,
                Ok(Attempt::Elsewhere) | Err(Halt::Lost) => return Ok(false),
                Err(Halt::Failed(error)) => {
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
                Err(Halt::Ordered(state)) => {
                    may_go(&self.run, state)?;
                }
                Err(Halt::Changed(why)) => return Err(EngineError::NotNow(why)),
            }
        };
        self.told(bad, fate);
        Ok(true)
    }

    /// Another connection to the same server; what was in doubt is in its row.
    async fn reconnect(&mut self, why: Error) -> Result<(), EngineError> {
        let (began, mut pauses, mut last) = (Instant::now(), retry::back_off(), why);
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
        match self.home.place(&crate::db::identity(&session).await?) {
            Place::Home => {
                self.session = session;
                // With the lost one goes its transaction, which may hold the row until somebody ends it.
                self.pool.end_lost().await;
                Ok(())
            }
            Place::Later(what) | Place::Behind(what) => {
                Err(EngineError::Unreachable(format!("{what}\nhint: run it again")))
            }
            Place::Foreign(what) => Err(EngineError::Foreign(what)),
        }
    }

    fn told(&mut self, bad: &BadKey, fate: Fate) {
        match fate {
            Fate::Changed => self.mended.changed += 1,
            Fate::Gone | Fate::Unselected => self.mended.dropped += 1,
            Fate::StillBad { .. } => self.mended.still_bad += 1,
        }
        (self.tell)(Retried { table: bad.table.to_string(), key: bad.key.clone(), fate });
    }

    /// One transaction.
    async fn attempt(&mut self, bad: &BadKey) -> Result<Attempt, Halt> {
        let attempt = self.attempt_in_txn(bad).await;
        if !matches!(attempt, Ok(Attempt::Settled(_))) {
            // The first error is the one to tell; a session whose rollback fails too is closed when it is dropped.
            let _ = self.session.rollback().await;
        }
        attempt
    }

    async fn attempt_in_txn(&mut self, bad: &BadKey) -> Result<Attempt, Halt> {
        let target = self.plan.target(bad.table.clone());
        if !self.lock_in_txn(bad, &target).await? {
            return Ok(Attempt::Elsewhere);
        }
        let texts: Vec<_> = bad.key.0.iter().map(|text| TextParam(text)).collect();
        let types = target.key.iter().map(column_type);
        let mut params: Vec<Param<'_>> = texts.iter().zip(types).map(|(text, ty)| (text as _, ty)).collect();
        let update = sql::update_one(&target, &self.plan.change);
        let fate = if self.session.execute(&update, &params).await? > 0 {
            params.extend([
                (&self.run.id.0 as _, Type::INT8),
                (&bad.leaf.0 as _, Type::INT4),
                (&bad.key.0 as _, Type::TEXT_ARRAY),
            ]);
            let counted = self.session.query(&sql::settle_bad_row(&target), &params).await?.len();
            if counted != 1 {
                return Err(Error::Protocol(format!("{counted} ranges have the key {}", bad.key)).into());
            }
            Fate::Changed
        } else {
            let exists = self.session.query_one(&sql::exists(&target), &params).await?.get(0);
            store::drop_bad_row_in_txn(&self.session, self.run.id, bad).await?;
            if exists { Fate::Unselected } else { Fate::Gone }
        };
        self.session.commit().await?;
        Ok(Attempt::Settled(fate))
    }

    /// BEGIN, and the lock of the entry; goes on only if run and table are as they have to be. False: somebody else has it.
    async fn lock_in_txn(&mut self, bad: &BadKey, target: &Target) -> Result<bool, Halt> {
        let (table, key) = (target.table.to_string(), self.plan.key_names());
        let params = [
            (&self.run.id.0 as _, Type::INT8),
            (&bad.leaf.0 as _, Type::INT4),
            (&bad.key.0 as _, Type::TEXT_ARRAY),
            (&table as _, Type::TEXT),
            (&key as _, Type::TEXT_ARRAY),
        ];
        self.session.answers_within(self.answer_max);
        let lock = sql::lock_bad_row(target);
        let rows = self.session.begin_and_query(&self.settings, &lock, &params).await?;
        let Some(fence) = store::bad_row_fence(&rows) else { return Ok(false) };
        if may_go(&self.run, fence.run_state).is_err() {
            return Err(Halt::Ordered(fence.run_state));
        }
        match fence.changed {
            Some(why) => Err(Halt::Changed(format!("table {table} changed under the run: {why}"))),
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
    async fn end(mut self, by: &str) -> Result<Mended, EngineError> {
        self.mended.left = store::bad_rows_count(&self.session, self.run.id).await?;
        let Mended { changed, dropped, still_bad, .. } = &self.mended;
        if changed + dropped + still_bad > 0 {
            let detail = format!(
                "rows of the quarantine: {changed} changed, {dropped} taken out, {still_bad} still bad"
            );
            store::note(&mut self.session, self.run.id, "retried", by, &detail).await?;
        }
        Ok(self.mended)
    }
}

async fn pause(pauses: &mut backon::ExponentialBackoff) {
    // Without a limit on their number there is always a next one.
    tokio::time::sleep(pauses.next().unwrap_or_default()).await;
}

/// Locks of others are told with the row that they hold.
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
