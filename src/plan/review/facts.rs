//! What the review is made from: read in a few short queries, each of which may fail without spoiling the
//! others.
//!
//! Must not know: which fact is a problem.

use tokio_postgres::types::Type;

use super::expressions;
use super::queries::{ServerFacts, TableFacts};
use crate::db::{Error, Session};
use crate::job::Job;
use crate::plan::{Plan, Sample, Sizes, ask, sample};
use crate::sql::fixed;

/// What was seen.
#[derive(Debug, Default)]
pub struct Facts {
    /// Of the table.
    pub(super) table: Option<TableFacts>,
    /// Of the server.
    pub(super) server: Option<ServerFacts>,
    /// Tables and views that the job's expressions read besides the target.
    pub(super) reads: Option<Vec<crate::sql::Qualified>>,
    /// Of some of the rows.
    pub sample: Option<Sample>,
    /// Whether a pooler stands before the server.
    pub(super) pooled: bool,
    /// What could not be looked at, and why.
    pub(super) unseen: Vec<String>,
}

impl Facts {
    /// Tables and views that the job's expressions read besides the table that is changed.
    #[must_use]
    pub fn reads(&self) -> &[crate::sql::Qualified] {
        self.reads.as_deref().unwrap_or_default()
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
    let asked = ask::json(session, fixed::REVIEW_SERVER, &[]).await;
    facts.server = facts.keep("the server", asked);
    if let (Some(server), Some(told)) = (&facts.server, session.canceller().backend().await) {
        facts.pooled = server.backend != told;
    }
    let asked = expressions::reads(session, plan).await;
    facts.reads = facts.keep("the expressions", asked);
    if let Some(table) = &facts.table {
        let checks = table.unchecked.iter().map(|check| (check.expression.clone(), check.leaves.clone()));
        let asked = sample::read(session, plan, table.heap_bytes, &checks.collect::<Vec<_>>()).await;
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
    ask::json(session, fixed::REVIEW_TABLE, &params).await
}
