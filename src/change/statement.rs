//! The statement of a batch, run as it is or so that it tells what it cost.
//!
//! Must not know: what the statement does.

use tokio_postgres::Row;

use crate::db::{Error, Session};
use crate::key::{Key, Mismatch};
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Rows changed, or compared.
    pub rows: u64,
    /// Of them, those that the change would select again; counted only where that matters.
    pub rows_still_selected: u64,
    /// WAL records and their bytes, if that was asked for.
    pub wal: Option<(u64, u64)>,
    /// Rows that were compared and differ.
    pub rows_wrong: u64,
    /// The first of them.
    pub mismatches: Vec<Mismatch>,
}

/// A statement over the rows of one batch.
#[derive(Clone, Debug)]
pub struct Statement<'a> {
    text: String,
    answers: Answers,
    rows: &'a Rows,
}

/// What a statement answers with.
#[derive(Clone, Copy, Debug)]
enum Answers {
    /// The number of rows that it has changed.
    Count,
    /// The same, and how many of them it would select again.
    Counts(Counts),
    /// Rows that it has compared, and those that differ.
    Mismatches,
}

/// The ends of a statement that begins with the change in a CTE.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    /// Gives the number of changed rows, and of those that would be selected again.
    pub(super) numbers: &'static str,
    /// Gives the rows that would be selected again, so that EXPLAIN tells of them and of all others.
    pub(super) rows: &'static str,
}

impl Counts {
    /// Of a statement whose CTE of changed rows tells whether each would be selected `again`.
    pub(super) const OF_CHANGED: Self = Self {
        numbers: "SELECT count(*), count(*) FILTER (WHERE again) FROM pgbackfill_changed",
        rows: "SELECT FROM pgbackfill_changed WHERE again",
    };
}

impl<'a> Statement<'a> {
    pub(super) fn new(text: String, rows: &'a Rows) -> Self {
        Self { text, answers: Answers::Count, rows }
    }

    pub(super) fn counting((text, counts): (String, Counts), rows: &'a Rows) -> Self {
        Self { text, answers: Answers::Counts(counts), rows }
    }

    pub(super) fn comparing(text: String, rows: &'a Rows) -> Self {
        Self { text, answers: Answers::Mismatches, rows }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its text, with what it tells at its end.
    #[must_use]
    pub fn whole(&self) -> String {
        match self.answers {
            Answers::Counts(counts) => format!("{}\n{}", self.text, counts.numbers),
            Answers::Count | Answers::Mismatches => self.text.clone(),
        }
    }

    /// Runs it.
    pub async fn run_in_txn(&self, session: &Session, measure: Measure) -> Result<Answer, Error> {
        match (self.answers, measure) {
            // It writes none.
            (Answers::Mismatches, _) => self.compare(session).await,
            (Answers::Count, Measure::Rows) => {
                let rows = session.execute(&self.text, &self.rows.params()).await?;
                Ok(Answer { rows, ..Answer::default() })
            }
            (Answers::Counts(_), Measure::Rows) => {
                let row = session.query_one(&self.whole(), &self.rows.params()).await?;
                let (rows, rows_still_selected) = (number(&row, 0), number(&row, 1));
                Ok(Answer { rows, rows_still_selected, ..Answer::default() })
            }
            (_, Measure::RowsAndWal) => {
                let told = self.explain(session, "ANALYZE, WAL, TIMING OFF, SUMMARY OFF").await?;
                let wal = Some((told.wal_records, told.wal_bytes));
                let (rows, rows_still_selected) = (told.rows, told.rows_still_selected);
                Ok(Answer { rows, rows_still_selected, wal, ..Answer::default() })
            }
        }
    }

    async fn compare(&self, session: &Session) -> Result<Answer, Error> {
        let row = session.query_one(&self.text, &self.rows.params()).await?;
        let told: Option<&str> = row.get(2);
        let told: Vec<Vec<String>> = serde_json::from_str(told.unwrap_or("[]"))
            .map_err(|error| Error::Protocol(format!("mismatches: {error}")))?;
        let mismatches = told.into_iter().filter_map(|mut told| {
            let key = Key(told.split_off(2));
            let [version, what] = <[String; 2]>::try_from(told).ok()?;
            Some(Mismatch { key, what, version })
        });
        let mismatches = mismatches.collect();
        Ok(Answer { rows: number(&row, 0), rows_wrong: number(&row, 1), mismatches, ..Answer::default() })
    }

    /// Runs it so that it tells everything that it cost.
    pub async fn explain_in_txn(&self, session: &Session) -> Result<Explained, Error> {
        self.explain(session, "ANALYZE, BUFFERS, WAL").await
    }

    /// Under EXPLAIN it tells the bytes of WAL that it wrote, which no counter does for one session before
    /// PostgreSQL 18, and with RETURNING the exact number of rows that it changed.
    async fn explain(&self, session: &Session, options: &str) -> Result<Explained, Error> {
        let (end, counts) = match self.answers {
            Answers::Counts(counts) => (counts.rows, true),
            Answers::Count => ("RETURNING 1", false),
            Answers::Mismatches => ("", false),
        };
        let sql = format!("EXPLAIN ({options}, COSTS OFF, FORMAT JSON)\n{}\n{end}", self.text);
        let row = session.query_one(&sql, &self.rows.params()).await?;
        let lacking = || Error::Protocol("EXPLAIN tells neither rows nor WAL bytes".into());
        Explained::read(&row.try_get(0)?, counts).ok_or_else(lacking)
    }
}

fn number(row: &Row, column: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(column)).unwrap_or(0)
}
