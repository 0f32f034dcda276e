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
    /// Of them, those that the change would select again; counted only where that matters.
    pub rows_still_selected: u64,
    /// WAL records and their bytes, if that was asked for.
    pub wal: Option<(u64, u64)>,
}

/// A statement over the rows of one batch.
#[derive(Clone, Debug)]
pub struct Statement<'a> {
    text: String,
    /// How the text tells rows that the change would select again, if it does.
    counts: Option<Counts>,
    rows: &'a Rows,
}

/// The ends of a statement that begins with the change in a CTE.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    /// Gives the number of changed rows, and of those that would be selected again.
    pub(super) numbers: &'static str,
    /// Gives the rows that would be selected again, so that EXPLAIN tells of them and of all others.
    pub(super) rows: &'static str,
}

impl<'a> Statement<'a> {
    pub(super) fn new(text: String, rows: &'a Rows) -> Self {
        Self { text, counts: None, rows }
    }

    pub(super) fn counting((text, counts): (String, Counts), rows: &'a Rows) -> Self {
        Self { text, counts: Some(counts), rows }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its text, with what it tells at its end.
    #[must_use]
    pub fn whole(&self) -> String {
        match self.counts {
            Some(counts) => format!("{}\n{}", self.text, counts.numbers),
            None => self.text.clone(),
        }
    }

    /// Runs it.
    pub async fn run_in_txn(&self, session: &Session, measure: Measure) -> Result<Answer, Error> {
        match measure {
            Measure::Rows => {
                if self.counts.is_none() {
                    let rows = session.execute(&self.text, &self.rows.params()).await?;
                    return Ok(Answer { rows, rows_still_selected: 0, wal: None });
                }
                let row = session.query_one(&self.whole(), &self.rows.params()).await?;
                let number = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
                Ok(Answer { rows: number(0), rows_still_selected: number(1), wal: None })
            }
            Measure::RowsAndWal => {
                let told = self.explain(session, "ANALYZE, WAL, TIMING OFF, SUMMARY OFF").await?;
                let wal = Some((told.wal_records, told.wal_bytes));
                Ok(Answer { rows: told.rows, rows_still_selected: told.rows_still_selected, wal })
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
        let end = self.counts.map_or("RETURNING 1", |counts| counts.rows);
        let sql = format!("EXPLAIN ({options}, COSTS OFF, FORMAT JSON)\n{}\n{end}", self.text);
        let row = session.query_one(&sql, &self.rows.params()).await?;
        let lacking = || Error::Protocol("EXPLAIN tells neither rows nor WAL bytes".into());
        Explained::read(&row.try_get(0)?, self.counts.is_some()).ok_or_else(lacking)
    }
}
