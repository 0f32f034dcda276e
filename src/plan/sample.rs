//! Some rows of the table: how many of them the job would change, and how many could not be changed.
//!
//! Must not know: what a row costs.

use serde::Serialize;
use tokio_postgres::types::Type;

use super::{Plan, ask};
use crate::db::{Error, Session};
use crate::key::Key;
use crate::sql::{Qualified, settings};

/// Pages that are read: a few thousand rows of the usual width, from all over the table.
const PAGES: f64 = 64.0;
const PAGE_BYTES: f64 = 8192.0;

/// Rows that were looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// How many.
    pub rows: u64,
    /// How many of them the job would change.
    pub matching: u64,
    /// Whether they are all rows of the table.
    pub whole: bool,
    /// Of those that match, how many violate each constraint that is NOT VALID, in their order.
    #[serde(skip)]
    pub(super) violations: Vec<u64>,
    /// A row that matches.
    #[serde(skip)]
    pub(super) found: Option<Found>,
}

/// A row: where it is, and its key unless it moved meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) leaf: Qualified,
    pub(super) key: Option<Key>,
    pub(super) ctid: String,
}

impl Sample {
    /// The part of all rows that the job would change.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.rows == 0 { 1.0 } else { self.matching as f64 / self.rows as f64 }
    }
}

/// Reads the sample: `checks` are conditions that rows may violate, with the tables that they hold for.
pub(super) async fn read(
    session: &mut Session,
    plan: &Plan,
    heap_bytes: i64,
    checks: &[(String, Vec<i64>)],
) -> Result<Sample, Error> {
    let pages = heap_bytes as f64 / PAGE_BYTES;
    let percent = (PAGES / pages.max(1.0) * 100.0).min(100.0);
    let scan = plan.scan(plan.table.name.clone());
    let rows = ask::rows(session, &plan.change.sample(&scan, percent, checks), &[]).await?;
    let row = rows.first().ok_or_else(|| Error::Protocol("no row".into()))?;
    let number = |count: i64| u64::try_from(count).unwrap_or(0);
    let place: Option<Vec<String>> = row.try_get("found")?;
    Ok(Sample {
        rows: number(row.try_get("rows")?),
        matching: number(row.try_get("matching")?),
        whole: percent >= 100.0,
        violations: row.try_get::<_, Vec<i64>>("violations")?.into_iter().map(number).collect(),
        found: found(session, plan, place).await?,
    })
}

/// The row at a place, which is the object id of its table and its `ctid`.
async fn found(
    session: &mut Session,
    plan: &Plan,
    place: Option<Vec<String>>,
) -> Result<Option<Found>, Error> {
    let Some([table, at]) = place.as_deref() else { return Ok(None) };
    let Some(leaf) = plan.leaves.iter().find(|leaf| leaf.relation.to_string() == *table) else {
        return Ok(None);
    };
    let asked = plan.scan(leaf.name.clone()).key_at_ctid();
    let rows = session.query_and_rollback(settings::PLANNING, &asked, &[(at, Type::TEXT)]).await?;
    let key = rows.first().map(|row| Key(row.get(0)));
    Ok(Some(Found { leaf: leaf.name.clone(), key, ctid: at.clone() }))
}
