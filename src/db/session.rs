//! One connection in the hands of one worker, and the transactions on it.
//!
//! Every statement is unnamed and typed, so that each round trip carries a whole statement and PgBouncer in
//! transaction mode can serve it; settings are `SET LOCAL` only. A session that is dropped inside a
//! transaction closes its connection, so that the server rolls back.
//!
//! Every answer has a deadline on this side, too. The server's timeouts say nothing if their message does not
//! arrive, and where something between us still acknowledges our packets, the kernel has no reason to give up
//! either.
//!
//! Must not know: what the statements mean.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::Object;
use futures_util::future::{join, join3};
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, private::BytesMut};
use tokio_postgres::{Client, Row, SimpleQueryMessage, SimpleQueryRow};

use super::handles::Handles;
use super::{Canceller, Error};
use crate::sql::fixed;

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// A transaction may read much: this is longer than any `statement_timeout` of ours, except where
/// [`Session::answers_within`] knows it better.
const TRANSACTION_ANSWER_MAX: Duration = Duration::from_secs(75);

/// A statement without one is quick: as long as a host that is gone takes to be noticed.
const STATEMENT_ANSWER_MAX: Duration = Duration::from_secs(12);

/// A value and the type that the statement gives it.
pub type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// A value of any type in PostgreSQL's text form, sent in text format, so that the server reads it as its
/// own.
#[derive(Clone, Copy, Debug)]
pub struct TextParam<T>(pub T);

impl<T: AsRef<str> + Debug> ToSql for TextParam<T> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_ref().as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

/// One transaction on the server, told from all others.
#[derive(Clone, Debug)]
pub(super) struct TransactionMark {
    backend: i32,
    began: String,
    /// By our clock.
    since: Instant,
}

impl TransactionMark {
    fn read(told: &[SimpleQueryMessage]) -> Option<Self> {
        let row = last_row(told)?;
        let (backend, began) = (row.get(0)?.parse().ok()?, row.get(1)?.to_owned());
        Some(Self { backend, began, since: Instant::now() })
    }
}

fn last_row(told: &[SimpleQueryMessage]) -> Option<&SimpleQueryRow> {
    told.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

/// A session's open transaction, seen by other tasks.
#[derive(Clone, Debug)]
pub struct OpenTransaction(Arc<Mutex<Option<TransactionMark>>>);

impl OpenTransaction {
    /// The server's process that runs it, and since when; none while no transaction is open.
    #[must_use]
    pub fn backend(&self) -> Option<(i32, Instant)> {
        self.0.lock().as_ref().map(|mark| (mark.backend, mark.since))
    }
}

/// Transactions that a lost answer has left open, perhaps. A server that got half of a statement waits for
/// the rest as long as the connection stands on its side, whatever its timeouts, and keeps the range locked.
pub(super) type Lost = Arc<Mutex<Vec<TransactionMark>>>;

pub(super) fn has_lost(lost: &Lost) -> bool {
    !lost.lock().is_empty()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    InTransaction,
}

/// A connection, and whether a transaction is open on it.
pub struct Session {
    object: Option<Object>,
    handles: Handles,
    phase: Phase,
    /// What the next transaction, or this one, asks for.
    answer_max: Option<Duration>,
    /// An answer did not come in time.
    unanswered: AtomicBool,
    /// The open transaction.
    mark: Arc<Mutex<Option<TransactionMark>>>,
    lost: Lost,
}

impl Session {
    pub(super) fn new(object: Object, handles: Handles, lost: Lost) -> Self {
        Self {
            object: Some(object),
            handles,
            phase: Phase::Idle,
            answer_max: None,
            unanswered: AtomicBool::new(false),
            mark: Arc::default(),
            lost,
        }
    }

    fn client(&self) -> &Client {
        // Only `drop` takes the connection out.
        self.object.as_ref().expect("a session has its connection until it is dropped")
    }

    /// A handle that can cancel this session's statement from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.handles.canceller.clone()
    }

    /// A view of this session's transactions for other tasks.
    #[must_use]
    pub fn open_transaction(&self) -> OpenTransaction {
        OpenTransaction(self.mark.clone())
    }

    /// True while the connection stands and no transaction is open on it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.phase == Phase::Idle && !self.client().is_closed() && !self.has_unanswered()
    }

    fn has_unanswered(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// How long the transaction that begins now will wait for each answer: its `statement_timeout` and the
    /// way there and back. An answer that does not come is a lost connection; what became of the statement, a
    /// COMMIT even, is then not known.
    pub fn answers_within(&mut self, time: Duration) {
        self.answer_max = Some(time);
    }

    fn answer_max(&self) -> Duration {
        self.answer_max.unwrap_or(match self.phase {
            Phase::Idle => STATEMENT_ANSWER_MAX,
            Phase::InTransaction => TRANSACTION_ANSWER_MAX,
        })
    }

    /// The answer, or that there is none. After one that did not come, nothing is waited for any more.
    async fn answered<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        let limit = if self.has_unanswered() { Duration::ZERO } else { self.answer_max() };
        if let Ok(answer) = timeout(limit, answer).await {
            return Ok(answer?);
        }
        self.unanswered.store(true, Ordering::Relaxed);
        Err(Error::Connection(format!("no answer within {:?}", self.answer_max())))
    }

    /// The transaction is over.
    fn ended(&mut self) {
        self.phase = Phase::Idle;
        self.answer_max = None;
        *self.mark.lock() = None;
    }

    /// Ends what lost answers have left open.
    pub(super) async fn end_lost(&self) -> Result<(), Error> {
        loop {
            let Some(mark) = self.lost.lock().last().cloned() else { return Ok(()) };
            let params: [Param<'_>; 2] = [(&mark.backend, Type::INT4), (&mark.began, Type::TEXT)];
            match self.query(fixed::TRANSACTION_END, &params).await {
                Ok(ended) => tracing::info!(
                    backend = mark.backend,
                    ended = ended.len(),
                    "looked for a lost transaction"
                ),
                // A server that does not let us will not let us later; then the transaction ends when the
                // server notices.
                Err(error) if error.server().is_some() => {
                    tracing::warn!(%error, "a lost transaction cannot be ended");
                }
                Err(error) => return Err(error),
            }
            self.lost.lock().retain(|other| (other.backend, &other.began) != (mark.backend, &mark.began));
        }
    }

    /// All rows of one statement.
    pub async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Error> {
        self.answered(self.client().query_typed(sql, params)).await
    }

    /// The first row, if there is one.
    pub async fn query_opt(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// The first row; its absence is an error.
    pub async fn query_one(&self, sql: &str, params: &[Param<'_>]) -> Result<Row, Error> {
        self.query_opt(sql, params).await?.ok_or_else(|| Error::Protocol("no row".into()))
    }

    /// Whether the server takes this text for one statement; it is not run. Not through a pooler, which may
    /// not know what was prepared.
    pub async fn parses(&self, sql: &str) -> Result<(), Error> {
        self.answered(self.client().prepare_typed(sql, &[])).await.map(drop)
    }

    /// Rows affected by one statement.
    pub async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, Error> {
        self.answered(self.client().execute_typed(sql, params)).await
    }

    /// Several statements without parameters, in one round trip.
    pub async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.answered(self.client().batch_execute(sql)).await
    }

    /// Several statements without parameters, in one round trip; the first column of the last row.
    pub async fn query_text(&self, sql: &str) -> Result<Option<String>, Error> {
        let told = self.answered(self.client().simple_query(sql)).await?;
        Ok(last_row(&told).and_then(|row| row.get(0)).map(str::to_owned))
    }

    /// The same for statements of an open transaction that end it with COMMIT. After an error it is open
    /// still, and has failed.
    pub async fn query_text_and_commit(&mut self, sql: &str) -> Result<Option<String>, Error> {
        let told = self.query_text(sql).await?;
        self.ended();
        Ok(told)
    }

    /// BEGIN with its settings (`SET LOCAL …; …`).
    pub async fn begin(&mut self, settings: &str) -> Result<(), Error> {
        self.phase = Phase::InTransaction;
        self.open(settings).await
    }

    async fn open(&self, settings: &str) -> Result<(), Error> {
        // Whatever is usual for the role: what a lock finds is true only if the statement sees what was there
        // when it got the lock.
        let begin =
            format!("{BEGIN}; {settings}; {}; {}", fixed::TRANSACTION_TIMEOUT_OFF, fixed::TRANSACTION_MARK);
        let told = self.answered(self.client().simple_query(&begin)).await?;
        *self.mark.lock() = TransactionMark::read(&told);
        Ok(())
    }

    /// BEGIN with its settings and the first query, in one round trip.
    pub async fn begin_and_query(
        &mut self,
        settings: &str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Error> {
        self.phase = Phase::InTransaction;
        // Polled in this order, so sent in this order.
        let (opened, rows) = join(self.open(settings), self.query(sql, params)).await;
        opened?;
        rows
    }

    /// One quick query in a transaction of its own, in one round trip. Unlike a statement without BEGIN, it
    /// has limits on the server, and the next session can end it if its answer is lost.
    pub async fn transact(
        &mut self,
        settings: &str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Error> {
        self.phase = Phase::InTransaction;
        self.answers_within(STATEMENT_ANSWER_MAX);
        // Sent in this order, too.
        let (opened, rows, committed) =
            join3(self.open(settings), self.query(sql, params), self.batch_execute("COMMIT")).await;
        if committed.is_ok() {
            // After a failed statement COMMIT has rolled back.
            self.ended();
        }
        opened?;
        let rows = rows?;
        committed?;
        Ok(rows)
    }

    /// One query in a transaction that is rolled back, whatever comes of it.
    pub async fn query_and_rollback(
        &mut self,
        settings: &str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Error> {
        let rows = self.begin_and_query(settings, sql, params).await;
        let ended = self.rollback().await;
        let rows = rows?;
        ended?;
        Ok(rows)
    }

    /// COMMIT, awaited to its end.
    pub async fn commit(&mut self) -> Result<(), Error> {
        self.batch_execute("COMMIT").await?;
        self.ended();
        Ok(())
    }

    /// One last statement that must give exactly one row, and COMMIT, in one round trip.
    ///
    /// tokio-postgres hides the command tag, so a COMMIT that answers ROLLBACK cannot be seen in itself. It
    /// can only answer so after a statement of the transaction failed, and every statement's answer is looked
    /// at, the last one's here.
    pub async fn query_and_commit(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Row, Error> {
        let (rows, committed) = join(self.query(sql, params), self.batch_execute("COMMIT")).await;
        let mut rows = rows?;
        committed?;
        self.ended();
        match (rows.pop(), rows.len()) {
            (Some(row), 0) => Ok(row),
            (_, others) => {
                Err(Error::Protocol(format!("a checkpoint met {others} other rows instead of its own")))
            }
        }
    }

    /// Ends the transaction by what became of its work: COMMIT, or ROLLBACK after an error. The first error
    /// is the one to tell; a session whose rollback fails, too, is closed when it is dropped.
    pub async fn commit_or_rollback<T, E: From<Error>>(&mut self, work: Result<T, E>) -> Result<T, E> {
        match &work {
            Ok(_) => self.commit().await?,
            Err(_) => self.rollback().await.unwrap_or_default(),
        }
        work
    }

    /// ROLLBACK.
    pub async fn rollback(&mut self) -> Result<(), Error> {
        self.batch_execute("ROLLBACK").await?;
        self.ended();
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        if self.has_unanswered() {
            self.lost.lock().extend(self.mark.lock().take());
            // The driver would wait for its answers before it closes the connection.
            self.handles.driver.abort();
            drop(Object::take(object));
        } else if self.phase == Phase::InTransaction {
            // Out of the pool and closed: no other session inherits a half-done transaction.
            drop(Object::take(object));
        }
        // Other tasks must not see a transaction of a session that is gone.
        *self.mark.lock() = None;
    }
}
