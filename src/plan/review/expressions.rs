//! What the server makes of the job's expressions: which of them are volatile, and which tables they read.
//!
//! Must not know: SQL's grammar; the planner is asked.

use serde_json::Value;

use super::facts::ask_json;
use super::{Code, Finding, Scene};
use crate::db::{Error, Session};
use crate::plan::Plan;
use crate::sql::{self, Qualified};

/// What was found out about them.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    /// Columns whose new value may differ from one evaluation to the next.
    volatile: Vec<String>,
    /// Tables that are read besides the target.
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
    let told: Value = ask_json(session, &sql::reads(&target, &plan.change), &[]).await?;
    for table in nodes(&told).iter().filter_map(|node| table_of(node)) {
        let own = table == plan.table.name || plan.leaves.iter().any(|leaf| leaf.name == table);
        if !own && !found.reads.contains(&table) {
            found.reads.push(table);
        }
    }
    Ok(found)
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

fn table_of(node: &Value) -> Option<Qualified> {
    Some(Qualified::new(node["Schema"].as_str()?, node["Relation Name"].as_str()?))
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
        let plan = serde_json::json!([{"Plan": {"Plans": [
            {"Node Type": "Seq Scan", "Schema": "public", "Relation Name": "orders"},
            {"Plans": [{"Node Type": "Index Scan", "Schema": "app", "Relation Name": "users"}]}]}}]);
        let tables: Vec<_> =
            nodes(&plan).into_iter().filter_map(table_of).map(|name| name.to_string()).collect();
        assert_eq!(tables, [r#""app"."users""#, r#""public"."orders""#]);
    }
}
