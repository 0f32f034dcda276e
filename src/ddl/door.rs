//! How a step gets a lock that stands in front of the application.
//!
//! 1. Batches of ours make way.
//! 2. It looks who holds a lock that conflicts, and waits for those who have held it for long, without asking
//!    for anything: a session that queues for such a lock stands in front of all that come later.
//! 3. SHARE UPDATE EXCLUSIVE first: no read and no write waits behind it; the server sends an autovacuum away
//!    for it, and it keeps out who else would change the table. It is held while the next two are tried.
//! 4. It knocks a few times: NOWAIT does not queue.
//! 5. It queues once, for no longer than `stall`, and then rests so long that all its queueing is at most a
//!    twentieth of the time.
//! 6. What it does runs under what is left of `stall`, and is rolled back otherwise. COMMIT travels with it.
//!
//! Must not know: what is done behind the door, whether it was done already.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;

use super::error::StepError;
use super::holder::{Holder, Holders, key, shown};
use super::news::{LockTimes, StepNews, Tell};
use crate::db::{Error, Session, sqlstate};
use crate::sql::{
    AFTER_ATTEMPT, Attempt, BEFORE_ATTEMPT, END_ALL, LockMode, Qualified, fixed, note_attempt, settings,
    share_update_exclusive,
};
use crate::store;

/// Between two looks at who is in the way.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A step's row is written so often while it waits.
const NOTED_EVERY: Duration = Duration::from_secs(2);
/// Knocks of one round, and the time between two of them.
const KNOCKS: u32 = 5;
/// A lock that is not free is told at once: what takes longer has failed behind the lock.
const KNOCK_MAX: Duration = Duration::from_millis(20);
const KNOCK_EVERY: Duration = Duration::from_millis(20);
/// Of the time that it takes a step, this part may be in front of the application.
const PART_IN_FRONT: u32 = 20;
/// Beyond `deadlock_timeout`, after which the server sends an autovacuum away.
const AFTER_DEADLOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// After that many attempts that had their lock and were not done in time, it is not chance.
const TOO_SLOW_MAX: u32 = 3;
/// For how long batches make way at a time, and how long we wait until they have heard of it: a heartbeat and
/// the longest of their judgements.
const ASIDE: Duration = Duration::from_secs(5);
const ASIDE_HEARD: Duration = Duration::from_millis(1_500);
/// The way there and back, beside the time that the server takes.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// What is to be done behind the door.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    /// Tables to lock, parents first; none where the statement itself takes its lock.
    pub(super) tables: Vec<Qualified>,
    /// Whose locks are looked at.
    pub(super) relations: Vec<u32>,
    pub(super) mode: LockMode,
    pub(super) statements: Vec<String>,
    /// Whether the step is done with it.
    pub(super) is_last: bool,
}

/// How long it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// From queueing to COMMIT.
    pub(super) stall: Duration,
    /// Until the step's turn comes.
    pub(super) patience: Duration,
    /// The server's.
    pub(super) deadlock_timeout: Duration,
}

impl Budget {
    /// How long a statement waits for SHARE UPDATE EXCLUSIVE, behind which no read and no write waits: until
    /// the server has sent an autovacuum away.
    pub(super) fn share_update_exclusive_wait(&self) -> Duration {
        self.deadlock_timeout + AFTER_DEADLOCK_TIMEOUT
    }
}

/// The door of one phase.
pub(super) struct Door<'a> {
    /// Does what is to be done.
    pub(super) session: &'a mut Session,
    /// Looks.
    pub(super) watch: &'a Session,
    pub(super) budget: Budget,
    /// The backend of `session`.
    pub(super) backend: i32,
    stop: &'a CancellationToken,
    holders: Holders,
    /// Not before: what was done in front of the application is to be a small part of the time.
    rest_until: Instant,
    /// Where the WAL was after what was done last: standbys have to have replayed it.
    wal_lsn: Option<String>,
}

/// One step at the door.
struct Turn<'a> {
    step: (i64, &'a str),
    opening: &'a Opening,
    began: Instant,
    noted: Option<Instant>,
    told: String,
    waits_for: String,
    times: LockTimes,
}

impl<'a> Door<'a> {
    pub(super) fn new(
        session: &'a mut Session,
        watch: &'a Session,
        (budget, backend): (Budget, i32),
        stop: &'a CancellationToken,
    ) -> Self {
        let (holders, rest_until) = (Holders::default(), Instant::now());
        Self { session, watch, budget, backend, stop, holders, rest_until, wal_lsn: None }
    }

    /// Does it, or gives up when the patience is at its end; then everything is as it was.
    pub(super) async fn pass(
        &mut self,
        step: (i64, &str),
        opening: &Opening,
        tell: Tell<'_>,
    ) -> Result<LockTimes, StepError> {
        let (began, times) = (Instant::now(), LockTimes::default());
        let mut turn =
            Turn { step, opening, began, noted: None, told: String::new(), waits_for: String::new(), times };
        let mut too_slow = 0;
        self.until_replayed(&mut turn, tell).await?;
        loop {
            self.until_free(&mut turn, tell).await?;
            self.ask_for_way(step.0).await?;
            match self.round(&mut turn).await {
                Ok(true) => return Ok(turn.times),
                Ok(false) => {}
                Err(error) if error.sqlstate() == Some(sqlstate::QUERY_CANCELED) => {
                    too_slow += 1;
                    if too_slow >= TOO_SLOW_MAX {
                        let stall = self.budget.stall;
                        return Err(StepError::TooSlow { step: step.1.to_owned(), stall });
                    }
                }
                Err(error) => return Err(error.into()),
            }
            self.rest(&mut turn, tell).await?;
        }
    }

    /// Waits until the standbys have replayed what was done last.
    async fn until_replayed(&mut self, turn: &mut Turn<'_>, tell: Tell<'_>) -> Result<(), StepError> {
        let Some(lsn) = self.wal_lsn.take() else { return Ok(()) };
        loop {
            let rows = self.watch.query(fixed::DOOR_REPLAYED, &[(&lsn, Type::TEXT)]).await?;
            let Some(row) = rows.first() else { return Ok(()) };
            let who = format!("standby {} has not replayed the step before", row.get::<_, String>(0));
            self.waits(turn, (who.clone(), who), tell).await?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until no session is in the way but those that will be gone at once.
    async fn until_free(&mut self, turn: &mut Turn<'_>, tell: Tell<'_>) -> Result<(), StepError> {
        loop {
            let found = self.look(turn.opening).await?;
            let stall = self.budget.stall;
            let in_the_way: Vec<_> = found.iter().filter(|holder| holder.is_in_the_way(stall)).collect();
            if in_the_way.is_empty() {
                return Ok(());
            }
            self.waits(turn, (key(&in_the_way), shown(&in_the_way)), tell).await?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&mut self, opening: &Opening) -> Result<Vec<Holder>, Error> {
        let asked = (&opening.relations[..], opening.mode, self.backend);
        self.holders.look(self.watch, asked).await
    }

    /// Notes whom it waits for; an error when the patience is at its end.
    async fn waits(
        &self,
        turn: &mut Turn<'_>,
        (key, who): (String, String),
        tell: Tell<'_>,
    ) -> Result<(), StepError> {
        // Ages grow; who it is tells whether it is news.
        let is_news = key != turn.told;
        if is_news {
            tell(&StepNews::Waits(who.clone()));
            turn.told = key;
        }
        if is_news || turn.noted.is_none_or(|noted| noted.elapsed() >= NOTED_EVERY) {
            store::note_step(self.watch, turn.step.0, Some(&who)).await?;
            turn.noted = Some(Instant::now());
        }
        turn.waits_for = who;
        if self.stop.is_cancelled() {
            return Err(StepError::Stopped);
        }
        if turn.began.elapsed() < self.budget.patience {
            return Ok(());
        }
        Err(StepError::closed(turn.step.1.to_owned(), turn.began.elapsed(), turn.waits_for.clone()))
    }

    /// Batches of runs on this table make way for a while.
    async fn ask_for_way(&self, step: i64) -> Result<(), Error> {
        if store::ask_for_way(self.watch, step, ASIDE).await? {
            tokio::time::sleep(ASIDE_HEARD).await;
        }
        Ok(())
    }

    /// One round: true if it is done. 57014 is an error here: it had its lock and was not done in time.
    async fn round(&mut self, turn: &mut Turn<'_>) -> Result<bool, Error> {
        let opening = turn.opening;
        let wait = self.budget.share_update_exclusive_wait();
        self.session.answers_within(wait * 2 + self.budget.stall + ANSWER_MAX);
        self.session.begin(settings::FLUSHED).await?;
        let asked = self.session.batch_execute(&share_update_exclusive(&opening.tables, wait)).await;
        if let Err(error) = asked {
            self.session.rollback().await?;
            return if has_no_lock(&error) { Ok(false) } else { Err(error) };
        }
        // A statement that takes its own lock cannot ask without queueing.
        let knocks = if opening.tables.is_empty() { 0 } else { KNOCKS };
        for _ in 0..knocks {
            self.session.batch_execute(BEFORE_ATTEMPT).await?;
            let asked = Instant::now();
            match self.attempt(turn, true).await {
                Ok(()) => return Ok(true),
                Err(error) if has_no_lock(&error) && asked.elapsed() < KNOCK_MAX => {
                    self.session.batch_execute(AFTER_ATTEMPT).await?;
                }
                // It had its lock, and was not done behind it.
                Err(error) => return self.failed(turn, error, asked.elapsed()).await,
            }
            tokio::time::sleep(KNOCK_EVERY).await;
        }
        let stall = self.budget.stall;
        if self.look(opening).await?.iter().any(|holder| holder.is_in_the_way(stall)) {
            self.session.rollback().await?;
            return Ok(false);
        }
        let queued = Instant::now();
        if let Err(error) = self.attempt(turn, false).await {
            return self.failed(turn, error, queued.elapsed()).await;
        }
        turn.times.tries += 1;
        Ok(true)
    }

    /// An attempt that kept the application waiting in vain counts, and is rested for.
    async fn failed(&mut self, turn: &mut Turn<'_>, error: Error, stood: Duration) -> Result<bool, Error> {
        turn.times.tries += 1;
        turn.times.stood += stood;
        self.rests_for(stood);
        self.session.rollback().await?;
        self.watch.batch_execute(&note_attempt(turn.step.0, stood)).await?;
        if has_no_lock(&error) { Ok(false) } else { Err(error) }
    }

    async fn attempt(&mut self, turn: &mut Turn<'_>, knock: bool) -> Result<(), Error> {
        let Opening { tables, mode, statements, is_last, .. } = turn.opening;
        let attempt = Attempt {
            tables,
            mode: *mode,
            statements,
            step: turn.step.0,
            stall: self.budget.stall,
            is_last: *is_last,
        };
        let told = self.session.query_text_and_commit(&attempt.sql(knock)).await?.unwrap_or_default();
        // Whatever a statement of the job's own has done to the transaction: none stays open.
        self.session.batch_execute(END_ALL).await?;
        let mut words = told.split(' ');
        let mut time = || {
            let ms: f64 = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
            Duration::from_secs_f64(ms.max(0.0) / 1000.0)
        };
        let (stood, held) = (time(), time());
        turn.times.stood += stood;
        turn.times.held += held;
        self.wal_lsn = words.next().map(str::to_owned);
        self.rests_for(stood + held);
        Ok(())
    }

    fn rests_for(&mut self, in_front: Duration) {
        // A little more or less, so that two who met do not meet again.
        let jitter = 0.9 + 0.2 * fastrand::f64();
        let rest = in_front * (PART_IN_FRONT - 1);
        self.rest_until = self.rest_until.max(Instant::now() + rest.mul_f64(jitter));
    }

    /// Between two rounds, and before the first of the next step.
    async fn rest(&self, turn: &mut Turn<'_>, tell: Tell<'_>) -> Result<(), StepError> {
        loop {
            let left = self.rest_until.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.clamp(LOOK_EVERY, NOTED_EVERY)).await;
            let who = if turn.waits_for.is_empty() {
                "the lock was not free when it was asked for".to_owned()
            } else {
                turn.waits_for.clone()
            };
            self.waits(turn, (turn.told.clone(), who), tell).await?;
            if left <= NOTED_EVERY {
                return Ok(());
            }
        }
    }

    /// Rests until what was done in front of the application is a small part of the time.
    pub(super) async fn rested(&self) {
        tokio::time::sleep_until(self.rest_until.into()).await;
    }
}

/// No lock, or a deadlock, which the step loses.
fn has_no_lock(error: &Error) -> bool {
    error.sqlstate().is_some_and(|code| code == sqlstate::LOCK_NOT_AVAILABLE || code == "40P01")
}
