//! One connection in the hands of one worker, and the transactions on it.
//!
//! Every statement is unnamed and typed, so that each round trip carries a whole statement and PgBouncer in transaction
//! mode can serve it; settings are `SET LOCAL` only. A session that is dropped inside a transaction closes its connection,
//! so that the server rolls back.
//!
//! Must not know: what the statements mean.

use futures_util::future::join;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, private::BytesMut};
use tokio_postgres::{Client, Row};

use super::pool::Pooled;
use super::{Canceller, Error};

/// A value and the type that the statement gives it.
pub type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// One column of a key: PostgreSQL's text form of any type, sent in text format, so that the server reads it as its own.
#[derive(Clone, Copy, Debug)]
pub struct KeyText<'a>(pub &'a str);

impl ToSql for KeyText<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    InTransaction,
}

/// A connection, and whether a transaction is open on it.
pub struct Session {
    link: Option<Pooled>,
    phase: Phase,
}

impl Session {
    pub(super) fn new(link: Pooled) -> Self {
        Self { link: Some(link), phase: Phase::Idle }
    }

    fn link(&self) -> &Pooled {
        // Only `drop` takes the link out.
        self.link.as_ref().expect("a session has its link until it is dropped")
    }

    fn client(&self) -> &Client {
        &self.link().client
    }

    /// A handle that can cancel this session's statement from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.link().canceller.clone()
    }

    /// True while the connection stands and no transaction is open on it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.phase == Phase::Idle && !self.client().is_closed()
    }

    /// All rows of one statement.
    pub async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Error> {
        Ok(self.client().query_typed(sql, params).await?)
    }

    /// The first row, if there is one.
    pub async fn query_opt(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// The first row; its absence is an error.
    pub async fn query_one(&self, sql: &str, params: &[Param<'_>]) -> Result<Row, Error> {
        self.query_opt(sql, params).await?.ok_or_else(|| Error::Protocol("no row".into()))
    }

    /// Rows affected by one statement.
    pub async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, Error> {
        Ok(self.client().execute_typed(sql, params).await?)
    }

    /// Several statements without parameters, in one round trip.
    pub async fn batch(&self, sql: &str) -> Result<(), Error> {
        Ok(self.client().batch_execute(sql).await?)
    }

    /// BEGIN with its settings (`SET LOCAL …; …`).
    pub async fn begin(&mut self, settings: &str) -> Result<(), Error> {
        self.phase = Phase::InTransaction;
        self.batch(&format!("BEGIN; {settings}")).await
    }

    /// BEGIN with its settings and the first query, in one round trip.
    pub async fn begin_and_query(
        &mut self,
        settings: &str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Error> {
        self.phase = Phase::InTransaction;
        let begin = format!("BEGIN; {settings}");
        // Polled in this order, so sent in this order.
        let (opened, rows) = join(self.batch(&begin), self.query(sql, params)).await;
        opened?;
        rows
    }

    /// One query in a transaction that is rolled back, whatever comes of it.
    pub async fn probe(
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
        self.batch("COMMIT").await?;
        self.phase = Phase::Idle;
        Ok(())
    }

    /// One last statement that must give exactly one row, and COMMIT, in one round trip.
    ///
    /// tokio-postgres hides the command tag, so a COMMIT that answers ROLLBACK cannot be seen in itself. It can only answer
    /// so after a statement of the transaction failed, and every statement's answer is looked at, the last one's here.
    pub async fn query_and_commit(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Row, Error> {
        let (rows, committed) = join(self.query(sql, params), self.batch("COMMIT")).await;
        let mut rows = rows?;
        committed?;
        self.phase = Phase::Idle;
        match (rows.pop(), rows.len()) {
            (Some(row), 0) => Ok(row),
            (_, others) => {
                Err(Error::Protocol(format!("a checkpoint met {others} other rows instead of its own")))
            }
        }
    }

    /// ROLLBACK.
    pub async fn rollback(&mut self) -> Result<(), Error> {
        self.batch("ROLLBACK").await?;
        self.phase = Phase::Idle;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else { return };
        if self.phase == Phase::InTransaction {
            // Out of the pool and closed: nobody inherits a half-done transaction.
            drop(Pooled::take(link));
        }
    }
}
