//! What the review is made from: read in a few short queries, each of which may fail without spoiling the others.
//!
//! Must not know: which fact is a problem.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_postgres::types::{Json, Type};

use super::expressions::{self, Expressions};
use super::sample::{self, Sample};
use crate::db::{Error, Param, Session};
use crate::job::Job;
use crate::plan::{Plan, Sizes};
use crate::sql::fixed;

/// A review is asked for before a run, and must hold up neither that nor the application.
const LOOKING: &str = "SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '3s'";
/// The longest query, and the way there and back.
const ANSWER_MAX: Duration = Duration::from_secs(13);

/// What was seen.
#[derive(Debug, Default)]
pub struct Facts {
    /// Of the table.
    pub(super) table: Option<TableFacts>,
    /// Of the server.
    pub(super) server: Option<ServerFacts>,
    /// Of the job's expressions.
    pub(super) expressions: Option<Expressions>,
    /// Of some of the rows.
    pub sample: Option<Sample>,
    /// Whether a pooler stands before the server.
    pub(super) pooled: bool,
    /// What could not be looked at, and why.
    pub(super) unseen: Vec<String>,
}

/// `review_table.sql`
#[derive(Debug, Default, Deserialize)]
pub(super) struct TableFacts {
    pub(super) heap_bytes: i64,
    pub(super) index_bytes: i64,
    pub(super) rows_live: i64,
    pub(super) rows_dead: i64,
    pub(super) autovacuum_off: Vec<String>,
    pub(super) row_security: bool,
    pub(super) triggers: Vec<Trigger>,
    pub(super) references: Vec<ForeignKey>,
    pub(super) referenced_by: Vec<ForeignKey>,
    pub(super) unique_indexes: Vec<String>,
    pub(super) generated: Vec<Generated>,
    pub(super) published: Vec<Published>,
    pub(super) unchecked: Vec<Unchecked>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Trigger {
    pub(super) name: String,
    pub(super) table: String,
    pub(super) timing: String,
    pub(super) each_row: bool,
    pub(super) function: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ForeignKey {
    pub(super) name: String,
    pub(super) table: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Generated {
    pub(super) column: String,
    pub(super) index: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Published {
    pub(super) table: String,
    pub(super) publications: String,
    pub(super) full: bool,
    pub(super) identified: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Unchecked {
    pub(super) name: String,
    pub(super) expression: String,
    /// Object ids of the tables that have it.
    pub(super) leaves: Vec<i64>,
}

/// `review_server.sql`
#[derive(Debug, Deserialize)]
pub(super) struct ServerFacts {
    pub(super) superuser: bool,
    pub(super) sees_others: bool,
    pub(super) backend: i32,
    pub(super) control_schema: bool,
    pub(super) settings: Settings,
    pub(super) oldest_database: Database,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) prepared: Vec<Prepared>,
    pub(super) slots: Vec<Slot>,
    pub(super) standbys: Vec<Standby>,
}

/// What a session of this role starts with; times in milliseconds.
#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    pub(super) autovacuum: bool,
    pub(super) autovacuum_freeze_max_age: i64,
    pub(super) autovacuum_vacuum_threshold: i64,
    pub(super) autovacuum_vacuum_scale_factor: f64,
    pub(super) max_slot_wal_keep_size_mb: i64,
    pub(super) statement_timeout: i64,
    pub(super) idle_in_transaction_session_timeout: i64,
    /// From version 14.
    pub(super) idle_session_timeout: Option<i64>,
    /// From version 17.
    pub(super) transaction_timeout: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) age: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Snapshot {
    pub(super) who: String,
    /// None where the server does not tell.
    pub(super) held_s: Option<f64>,
    pub(super) transactions: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Prepared {
    pub(super) name: String,
    pub(super) held_s: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) logical: bool,
    pub(super) here: bool,
    pub(super) active: bool,
    pub(super) retained_bytes: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Standby {
    pub(super) name: String,
    pub(super) lag_bytes: Option<i64>,
    pub(super) lag_s: Option<f64>,
}

impl Facts {
    /// Tables and views that the job's expressions read besides the table that is changed.
    #[must_use]
    pub fn reads(&self) -> &[crate::sql::Qualified] {
        self.expressions.as_ref().map_or(&[], |expressions| &expressions.reads)
    }

    /// What the table and its indexes take on the disk.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let bytes = |of: fn(&TableFacts) -> i64| self.table.as_ref().map_or(0.0, |table| of(table) as f64);
        Sizes { heap_bytes: bytes(|table| table.heap_bytes), index_bytes: bytes(|table| table.index_bytes) }
    }

    /// Whether the control schema is there already.
    #[must_use]
    pub fn installed(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.control_schema)
    }

    fn keep<T>(&mut self, what: &str, asked: Result<T, Error>) -> Option<T> {
        asked.map_err(|error| self.unseen.push(format!("{what}: {error}"))).ok()
    }
}

/// Looks at everything. What cannot be seen is told among the findings.
pub async fn look(session: &mut Session, job: &Job, plan: &Plan) -> Facts {
    let mut facts = Facts::default();
    let asked = ask_table(session, job, plan).await;
    facts.table = facts.keep("the table", asked);
    let asked = ask_json(session, fixed::REVIEW_SERVER, &[]).await;
    facts.server = facts.keep("the server", asked);
    if let (Some(server), Some(told)) = (&facts.server, session.canceller().backend().await) {
        facts.pooled = server.backend != told;
    }
    let asked = expressions::ask(session, plan).await;
    facts.expressions = facts.keep("the expressions", asked);
    if let Some(table) = &facts.table {
        let asked = sample::ask(session, plan, table).await;
        facts.sample = facts.keep("a sample of the rows", asked);
    }
    facts
}

async fn ask_table(session: &mut Session, job: &Job, plan: &Plan) -> Result<TableFacts, Error> {
    let set: Vec<_> = job.set.iter().map(|assignment| assignment.column.as_str()).collect();
    let leaves: Vec<_> = plan.leaves.iter().map(|leaf| leaf.relation).collect();
    let params = [
        (&plan.table.relation as _, Type::OID),
        (&set as _, Type::TEXT_ARRAY),
        (&leaves as _, Type::OID_ARRAY),
    ];
    ask_json(session, fixed::REVIEW_TABLE, &params).await
}

/// The rows of a query, in a transaction that does not wait long.
pub(super) async fn ask(
    session: &mut Session,
    sql: &str,
    params: &[Param<'_>],
) -> Result<Vec<tokio_postgres::Row>, Error> {
    session.answers_within(ANSWER_MAX);
    session.probe(LOOKING, sql, params).await
}

/// The same in a transaction that stays open, so that it can be asked about itself.
pub(super) async fn begin_and_ask(
    session: &mut Session,
    sql: &str,
) -> Result<Vec<tokio_postgres::Row>, Error> {
    session.answers_within(ANSWER_MAX);
    session.begin_and_query(LOOKING, sql, &[]).await
}

/// The one JSON value that a query gives.
pub(super) async fn ask_json<T: DeserializeOwned>(
    session: &mut Session,
    sql: &str,
    params: &[Param<'_>],
) -> Result<T, Error> {
    let rows = ask(session, sql, params).await?;
    let row = rows.first().ok_or_else(|| Error::Protocol("no row".into()))?;
    let Json(value): Json<serde_json::Value> = row.try_get(0)?;
    serde_json::from_value(value).map_err(|error| Error::Protocol(error.to_string()))
}
