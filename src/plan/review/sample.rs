//! Some rows of the table: how many of them the job would change, and how many could not be changed.
//!
//! Must not know: what a row costs.

use serde::Serialize;
use tokio_postgres::types::Type;

use super::facts::{self, TableFacts};
use super::{Code, Finding, Scene};
use crate::db::{Error, Session};
use crate::key::Key;
use crate::plan::{PLANNING, Plan};
use crate::sql::{self, Qualified};

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
    violations: Vec<u64>,
    /// A row that matches.
    #[serde(skip)]
    pub(in crate::plan) found: Option<Found>,
}

/// A row: where it is, and its key unless it moved meanwhile.
#[derive(Clone, Debug)]
pub(in crate::plan) struct Found {
    pub(in crate::plan) leaf: Qualified,
    pub(in crate::plan) key: Option<Key>,
}

impl Sample {
    /// The part of all rows that the job would change.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.rows == 0 { 1.0 } else { self.matching as f64 / self.rows as f64 }
    }
}

/// Reads the sample.
pub(super) async fn ask(session: &mut Session, plan: &Plan, table: &TableFacts) -> Result<Sample, Error> {
    let pages = table.heap_bytes as f64 / PAGE_BYTES;
    let percent = (PAGES / pages.max(1.0) * 100.0).min(100.0);
    let checks: Vec<_> =
        table.unchecked.iter().map(|check| (check.expression.clone(), check.leaves.clone())).collect();
    let target = plan.target(plan.table.name.clone());
    let rows = facts::ask(session, &sql::sample(&target, &plan.change, percent, &checks), &[]).await?;
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
    let target = plan.target(leaf.name.clone());
    let rows = session.probe(PLANNING, &sql::key_at(&target), &[(at, Type::TEXT)]).await?;
    let key = rows.first().map(|row| Key(row.get(0)));
    Ok(Some(Found { leaf: leaf.name.clone(), key }))
}

pub(super) fn judge(scene: &Scene<'_>, found: &mut Vec<Finding>) {
    let Some(sample) = &scene.facts.sample else { return };
    if sample.rows > 0 && sample.matching == 0 {
        let among =
            if sample.whole { "all rows".to_owned() } else { format!("{} rows of a sample", sample.rows) };
        found.push(Finding::new(
            Code::NothingMatches,
            format!("none of {among} is one that the job would change"),
            "was it run already, or is where not what you mean?",
        ));
    }
    let unchecked = scene.facts.table.iter().flat_map(|table| &table.unchecked);
    for (check, violations) in unchecked.zip(&sample.violations).filter(|(_, violations)| **violations > 0) {
        found.push(Finding::new(
            Code::UncheckedConstraint,
            format!(
                "{violations} of {} rows that would be changed violate constraint \"{}\" ({}), which is NOT VALID",
                sample.matching, check.name, check.expression
            ),
            "any update of such a row fails: mend the rows first, leave them out with where, or allow for them with max_bad_rows",
        ));
    }
}
