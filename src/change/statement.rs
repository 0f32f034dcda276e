//! The statement of a batch, run as it is or so that it tells what it cost.
//!
//! Must not know: what the statement does.

use crate::db::{Error, Session};
use crate::scan::Rows;

use super::Explained;

/// How a statement is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// As it is.
    Rows,
    /// So that it tells the bytes of WAL that it wrote.
    RowsAndWal,
}

/// What a statement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Rows changed.
    pub rows: u64,
    /// WAL records and their bytes, if that was asked for.
    pub wal: Option<(u64, u64)>,
}

/// A statement over the rows of one batch.
#[derive(Clone, Debug)]
pub struct Statement<'a> {
    text: String,
    rows: &'a Rows,
}

impl<'a> Statement<'a> {
    pub(super) fn new(text: String, rows: &'a Rows) -> Self {
        Self { text, rows }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Runs it.
    pub async fn run_in_txn(&self, session: &Session, measure: Measure) -> Result<Answer, Error> {
        match measure {
            Measure::Rows => {
                let rows = session.execute(&self.text, &self.rows.params()).await?;
                Ok(Answer { rows, wal: None })
            }
            Measure::RowsAndWal => {
                let told = self.explain(session, "ANALYZE, WAL, TIMING OFF, SUMMARY OFF").await?;
                Ok(Answer { rows: told.rows, wal: Some((told.wal_records, told.wal_bytes)) })
            }
        }
    }

    /// Runs it so that it tells everything that it cost.
    pub async fn explain_in_txn(&self, session: &Session) -> Result<Explained, Error> {
        self.explain(session, "ANALYZE, BUFFERS, WAL").await
    }

    /// Under EXPLAIN it tells the bytes of WAL that it wrote, which no counter does for one session before
    /// PostgreSQL 18, and with RETURNING the exact number of rows that it changed.
    async fn explain(&self, session: &Session, options: &str) -> Result<Explained, Error> {
        let sql = format!("EXPLAIN ({options}, COSTS OFF, FORMAT JSON)\n{}\nRETURNING 1", self.text);
        let row = session.query_one(&sql, &self.rows.params()).await?;
        let lacking = || Error::Protocol("EXPLAIN tells neither rows nor WAL bytes".into());
        Explained::read(&row.try_get(0)?).ok_or_else(lacking)
    }
}
