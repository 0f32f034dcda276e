//! What the server makes of the job's expressions: which of them are volatile, and which tables they read.
//!
//! Must not know: SQL's grammar; the planner is asked.

use serde_json::Value;

use crate::change::{VALUE, nodes};
use crate::db::{Error, Session};
use crate::plan::{Plan, ask};
use crate::scan::Scan;
use crate::sql::{Qualified, fixed};

/// What was found out about them.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    /// Columns whose new value may differ from one evaluation to the next.
    pub(super) volatile: Vec<String>,
    /// Tables and views that are read besides the target.
    pub(super) reads: Vec<Qualified>,
}

pub(super) async fn read(session: &mut Session, plan: &Plan) -> Result<Expressions, Error> {
    let mut found = Expressions::default();
    // Of a partitioned table ONLY has no rows, and the planner would not look any further.
    let Some(leaf) = plan.leaves.first() else { return Ok(found) };
    let scan = plan.scan(leaf.name.clone());
    for (column, expression) in plan.change.values() {
        let asked = plan.change.volatile(&scan, expression);
        let told: Value = ask::json(session, &asked, &[]).await?;
        if nodes(&told).iter().any(|node| node["Alias"] == VALUE) {
            found.volatile.push(column.0.clone());
        }
    }
    found.reads = reads(session, plan, &scan).await?;
    Ok(found)
}

async fn reads(session: &mut Session, plan: &Plan, scan: &Scan) -> Result<Vec<Qualified>, Error> {
    let planned = ask::begin(session, &plan.change.reads(scan)).await;
    let named = match planned {
        Ok(_) => session.query(fixed::REVIEW_READS, &[]).await,
        Err(error) => Err(error),
    };
    let ended = session.rollback().await;
    let named = named?;
    ended?;
    let named =
        named.iter().map(|row| Qualified::new(row.get::<_, String>("schema"), row.get::<_, String>("name")));
    let own =
        |name: &Qualified| *name == plan.table.name || plan.leaves.iter().any(|leaf| leaf.name == *name);
    Ok(named.filter(|name| !own(name)).collect())
}
