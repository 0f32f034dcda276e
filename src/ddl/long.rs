//! What takes its time beside the application, which never waits for it: building and removing an index,
//! looking for a constraint in the rows that are there.
//!
//! CREATE INDEX CONCURRENTLY waits for the transactions of others and must not be limited by `lock_timeout`,
//! which counts these waits.
//!
//! Must not know: which step it is for.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;

use super::error::StepError;
use super::news::{StepNews, Tell};
use crate::db::{Canceller, Error, ServerError, Session, sqlstate};
use crate::human;
use crate::sql::{Qualified, ddl, fixed, settings};
use crate::store;

/// Between two looks at how far it has got.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// It is told so often at most, unless it does something else.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// An index of the largest table that we know of takes days.
const ANSWER_MAX: Duration = Duration::from_secs(30 * 86_400);
/// A server from this version on notices in the middle of a statement that its client is gone.
const CHECKS_CONNECTION_FROM: i32 = 140_000;

/// The session that works, and the one that looks.
pub(super) struct Long<'a> {
    pub(super) session: &'a mut Session,
    pub(super) watch: &'a Session,
    pub(super) backend: i32,
    pub(super) server_version: i32,
    /// Whether a pooler stands before the server, so that settings of a session are not ours to change.
    pub(super) is_pooled: bool,
    /// The step's row and its name.
    pub(super) step: (i64, &'a str),
    pub(super) stop: &'a CancellationToken,
}

impl Long<'_> {
    /// Builds an index. An error of the server is one of this index: what is left of it is to be removed, as
    /// one that is unique would be enforced.
    pub(super) async fn build(
        &mut self,
        (index, sql): (&Qualified, &str),
        tell: Tell<'_>,
    ) -> Result<Option<Error>, StepError> {
        self.take_limits_away().await?;
        tell(&StepNews::Does(format!("builds index {index} beside the writers")));
        let failed = match self.watched(sql, tell).await {
            Ok(()) => return Ok(None),
            Err(error) => error,
        };
        let Some(server) = failed.server() else { return Err(failed.into()) };
        let is_taken = server.sqlstate == "42P07"
            || (server.sqlstate == sqlstate::UNIQUE_VIOLATION && server.message.contains("pg_class_relname"));
        // Others have the name by now: what is there is judged next.
        Ok(Some(failed).filter(|_| !is_taken))
    }

    /// What is said of an index that could not be built, once nothing is left of it.
    pub(super) fn not_built(&self, failed: Error) -> StepError {
        if self.stop.is_cancelled() {
            return StepError::Stopped;
        }
        let of_rows =
            failed.server().filter(|server| server.sqlstate == sqlstate::UNIQUE_VIOLATION).map(whole);
        match of_rows {
            Some(message) => {
                let hint = "the index is not there; make the rows unique, and type the command again";
                StepError::Rows { step: self.step.1.to_owned(), message, hint: hint.to_owned() }
            }
            None => failed.into(),
        }
    }

    /// Runs SQL of the job's own that cannot run in a transaction.
    pub(super) async fn run(&mut self, sql: &str, tell: Tell<'_>) -> Result<(), StepError> {
        self.take_limits_away().await?;
        tell(&StepNews::Does("does it, outside of a transaction".to_owned()));
        match self.watched(sql, tell).await {
            Err(_) if self.stop.is_cancelled() => Err(StepError::Stopped),
            ended => Ok(ended?),
        }
    }

    /// Removes an index; none is there if building it failed early.
    pub(super) async fn remove(&mut self, index: &Qualified, tell: Tell<'_>) -> Result<(), StepError> {
        self.take_limits_away().await?;
        tell(&StepNews::Does(format!("removes what is left of index {index}")));
        match self.watched(&ddl::drop_index(index), tell).await {
            Err(error) if error.sqlstate() == Some("42704") => Ok(()),
            ended => Ok(ended?),
        }
    }

    /// Looks for a constraint in all rows, in one snapshot; only other sessions wait for it that
    /// change the table. An error of the server is one of the rows.
    pub(super) async fn validate(
        &mut self,
        sql: &str,
        lock_timeout: Duration,
        tell: Tell<'_>,
    ) -> Result<(), Error> {
        tell(&StepNews::Does("looks at all rows, beside the writers".to_owned()));
        self.session.answers_within(ANSWER_MAX);
        let check =
            if self.server_version >= CHECKS_CONNECTION_FROM { settings::NOTICES_ITS_CLIENT } else { "" };
        let begin = format!("{}; {}{check}", settings::WITHOUT_LIMIT, settings::lock_timeout(lock_timeout));
        self.session.begin(&begin).await?;
        let canceller = self.session.canceller();
        let work = stoppable(self.session.execute(sql, &[]), &canceller, self.stop);
        let done = beside(work, self.watch, self.step.0).await;
        self.session.answers_within(ANSWER_MAX);
        self.session.commit_or_rollback(done.map(drop)).await
    }

    /// Waits a while for another session that builds an index, perhaps this one; then it is looked at again.
    pub(super) async fn while_built(
        &self,
        (builder, index): (i32, &Qualified),
        told: &mut Option<i32>,
        tell: Tell<'_>,
    ) -> Result<(), StepError> {
        let who = format!("session {builder} is at work on the table, perhaps on index {index}");
        if told.replace(builder) != Some(builder) {
            tell(&StepNews::Waits(who.clone()));
        }
        store::note_step(self.watch, self.step.0, Some(&who)).await?;
        if self.stop.is_cancelled() {
            return Err(StepError::Stopped);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        Ok(())
    }

    /// Statements that cannot run in a transaction have no settings of their own.
    async fn take_limits_away(&mut self) -> Result<(), StepError> {
        self.session.answers_within(ANSWER_MAX);
        if !self.is_pooled {
            self.session.batch_execute(settings::SESSION_WITHOUT_LIMIT).await?;
            if self.server_version >= CHECKS_CONNECTION_FROM {
                self.session.batch_execute(settings::SESSION_NOTICES_ITS_CLIENT).await?;
            }
            return Ok(());
        }
        let row = self.session.query_one(fixed::DOOR_FACTS, &[]).await?;
        for setting in ["lock_timeout", "statement_timeout"] {
            let ms: i32 = row.get(format!("{setting}_ms").as_str());
            if ms > 0 {
                return Err(StepError::Cannot {
                    step: self.step.1.to_owned(),
                    message: format!(
                        "{setting} is {ms} ms here, which would end the building of an index, and behind a pooler it cannot be changed for one statement"
                    ),
                    hint: "connect to the server itself, past the pooler, for this command".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Runs a statement and tells how far it has got.
    async fn watched(&self, sql: &str, tell: Tell<'_>) -> Result<(), Error> {
        let canceller = self.session.canceller();
        // What is removed after a stop is not stopped again.
        let stop = if self.stop.is_cancelled() { &CancellationToken::new() } else { self.stop };
        let work = stoppable(self.session.batch_execute(sql), &canceller, stop);
        tokio::pin!(work);
        let mut progress = Progress::default();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => {}
            }
            let row = tokio::select! {
                done = &mut work => return done,
                row = progress_of(self.watch, self.backend) => row?,
            };
            if let Some(row) = row {
                progress.tell(&row, tell);
            }
            store::note_step(
                self.watch,
                self.step.0,
                Some(&progress.text).filter(|text| !text.is_empty()).map(String::as_str),
            )
            .await?;
        }
    }
}

/// Cancels the statement when a person wants to stop; how it ends is waited for.
async fn stoppable<T>(
    work: impl Future<Output = Result<T, Error>>,
    canceller: &Canceller,
    stop: &CancellationToken,
) -> Result<T, Error> {
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = stop.cancelled() => {}
    }
    // A statement that has just ended has nothing to cancel.
    let _ = canceller.cancel().await;
    work.await
}

/// Keeps the step's row fresh while something runs that tells nothing.
async fn beside<T>(
    work: impl Future<Output = Result<T, Error>>,
    watch: &Session,
    step: i64,
) -> Result<T, Error> {
    tokio::pin!(work);
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = ticks.tick() => {}
        }
        store::note_step(watch, step, None).await?;
    }
}

async fn progress_of(watch: &Session, backend: i32) -> Result<Option<Row>, Error> {
    watch.query_opt(fixed::STEP_PROGRESS, &[(&backend, Type::INT4)]).await
}

/// The server's words about rows that are in the way.
pub(super) fn whole(error: &ServerError) -> String {
    let detail = error.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    human::one_line(&format!("{}{detail}", error.message))
}

/// What was told of an index that is being built.
#[derive(Default)]
struct Progress {
    /// The last look.
    text: String,
    phase: String,
    told: Option<Instant>,
}

impl Progress {
    fn tell(&mut self, row: &Row, tell: Tell<'_>) {
        // Not shown of other roles' sessions.
        let phase = row.get::<_, Option<String>>("phase").unwrap_or_else(|| "at work".to_owned());
        let percent = row.get::<_, Option<i64>>("percent").map(|percent| format!(", {percent} %"));
        let waits = row.get::<_, Option<i32>>("locker").map(|pid| {
            let get = |column: &str| row.get::<_, Option<String>>(column);
            let user = get("user_name").map(|user| format!(" of {user}")).unwrap_or_default();
            let name = get("application").map(|name| format!(" ({name})")).unwrap_or_default();
            let age = row.get::<_, Option<f64>>("age_ms").map(|ms| {
                let age = Duration::from_secs_f64(ms.max(0.0) / 1000.0);
                format!(", in a transaction for {}", human::duration(age))
            });
            format!(": session {pid}{user}{name}{}", age.unwrap_or_default())
        });
        self.text = format!("{phase}{}{}", percent.unwrap_or_default(), waits.unwrap_or_default());
        let is_news = phase != self.phase || self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY);
        if is_news {
            tell(&StepNews::Does(self.text.clone()));
            (self.phase, self.told) = (phase, Some(Instant::now()));
        }
    }
}
