//! What is shown of runs in lists: `list`, and the audit trail.
//!
//! Must not know: how a run is moved.

use serde::Serialize;
use tokio_postgres::types::Type;

use super::run::{StoreError, json, kind_of, state_of};
use crate::db::Session;
use crate::run::{Knobs, RunId, RunKind, RunState};
use crate::sql::fixed;

/// One line of `list`.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// The run.
    pub run: RunId,
    /// The job.
    pub job: String,
    /// What it is for.
    pub kind: RunKind,
    /// The state.
    pub state: RunState,
    /// Why.
    pub reason: Option<String>,
    /// The target.
    pub table: String,
    /// RFC 3339, UTC, by the database's clock.
    pub created_at: String,
    /// Who.
    pub created_by: String,
    /// When it came to this state.
    pub state_at: String,
    /// The knobs in force.
    pub knobs: Knobs,
}

/// One line of `history`.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// The run.
    pub run: RunId,
    /// RFC 3339, UTC, by the database's clock.
    pub at: String,
    /// What kind of event.
    pub kind: String,
    /// Who: `user@host`.
    pub by: String,
    /// In words.
    pub detail: String,
}

/// All runs, or those of one job, the latest first.
pub async fn list(session: &Session, job: Option<&str>) -> Result<Vec<Listed>, StoreError> {
    let rows = session.query(fixed::RUN_LIST, &[(&job, Type::TEXT)]).await?;
    rows.iter()
        .map(|row| {
            let run = RunId(row.get("id"));
            Ok(Listed {
                run,
                job: row.get("job"),
                kind: kind_of(row, run)?,
                state: state_of(row, run)?,
                reason: row.get("reason"),
                table: row.get("target_name"),
                created_at: row.get("created_at"),
                created_by: row.get("created_by"),
                state_at: row.get("state_at"),
                knobs: json(row, "knobs", run)?,
            })
        })
        .collect()
}

/// The audit trail of a job's runs, the oldest first.
pub async fn history(session: &Session, job: &str) -> Result<Vec<Recorded>, StoreError> {
    let rows = session.query(fixed::EVENT_LIST, &[(&job, Type::TEXT)]).await?;
    Ok(rows
        .iter()
        .map(|row| Recorded {
            run: RunId(row.get("run")),
            at: row.get("at"),
            kind: row.get("kind"),
            by: row.get("by"),
            detail: row.get("detail"),
        })
        .collect())
}
