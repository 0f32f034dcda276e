//! Which tables the job's expressions read.
//!
//! Must not know: SQL's grammar; the planner is asked.

use crate::db::{Error, Session};
use crate::plan::{Plan, ask};
use crate::sql::{Qualified, fixed};

/// Tables and views that are read besides the target.
pub(super) async fn reads(session: &mut Session, plan: &Plan) -> Result<Vec<Qualified>, Error> {
    // Of a partitioned table ONLY has no rows, and the planner would not look any further.
    let Some(leaf) = plan.leaves.first() else { return Ok(vec![]) };
    let scan = plan.scan(leaf.name.clone());
    let planned = ask::begin(session, &plan.change.reads(&scan)).await;
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
