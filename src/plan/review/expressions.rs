//! What the server makes of the job's expressions: which of them are volatile, and which tables they read.
//!
//! Must not know: SQL's grammar; the planner is asked.

use serde_json::Value;

use super::facts::{self, ask_json};
use super::{Code, Finding, Scene};
use crate::db::{Error, Session};
use crate::plan::Plan;
use crate::sql::{self, Qualified, Target, fixed};

/// What was found out about them.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    /// Columns whose new value may differ from one evaluation to the next.
    volatile: Vec<String>,
    /// Tables and views that are read besides the target.
    pub(super) reads: Vec<Qualified>,
}

pub(super) async fn ask(session: &mut Session, plan: &Plan) -> Result<Expressions, Error> {
    let mut found = Expressions::default();
    // Of a partitioned table ONLY has no rows, and the planner would not look any further.
    let Some(leaf) = plan.leaves.first() else { return Ok(found) };
    let target = plan.target(leaf.name.clone());
    for (column, expression) in &plan.change.set {
        let asked = sql::volatile(&target, &plan.change, expression);
        let told: Value = ask_json(session, &asked, &[]).await?;
        if nodes(&told).iter().any(|node| node["Alias"] == sql::VALUE) {
            found.volatile.push(column.0.clone());
        }
    }
    found.reads = reads(session, plan, &target).await?;
    Ok(found)
}

async fn reads(session: &mut Session, plan: &Plan, target: &Target) -> Result<Vec<Qualified>, Error> {
    let planned = facts::begin_and_ask(session, &sql::reads(target, &plan.change)).await;
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

/// Every node of a plan in JSON.
fn nodes(plan: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    let mut ahead = vec![&plan[0]["Plan"]];
    while let Some(node) = ahead.pop() {
        found.push(node);
        ahead.extend(node["Plans"].as_array().into_iter().flatten());
    }
    found
}

pub(super) fn judge(scene: &Scene<'_>, found: &mut Vec<Finding>) {
    let Some(facts) = &scene.facts.expressions else { return };
    for column in &facts.volatile {
        found.push(Finding::new(
            Code::VolatileSet,
            format!("the expression for column \"{column}\" has another value each time it is asked"),
            "a batch that is repeated after an error computes other values, and values of sequences are lost: make sure that this does not matter",
        ));
    }
    if scene.job.lookup.is_some() || !facts.reads.is_empty() {
        let names: Vec<_> = facts.reads.iter().map(ToString::to_string).collect();
        let names = if names.is_empty() { "another table".to_owned() } else { names.join(", ") };
        found.push(Finding::new(
            Code::StaleLookup,
            format!("the new values come from {names}"),
            "a batch that waits for a row keeps what it had read there before: let the application write both sides, or check them after the run",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_of_a_plan_is_met() {
        let plan = serde_json::json!([{"Plan": {"Alias": "a", "Plans": [
            {"Alias": "b"}, {"Alias": "c", "Plans": [{"Alias": "d"}]}]}}]);
        let mut found: Vec<_> = nodes(&plan).iter().filter_map(|node| node["Alias"].as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, ["a", "b", "c", "d"]);
    }
}
