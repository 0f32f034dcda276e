//! An index of a partitioned table, made so that no writer waits for it: an entry for each table that has
//! partitions, an index built beside writers on each leaf, and each attached to that of its parent.
//!
//! Must not know: how any of it is done.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::door::Opening;
use super::index::index_of;
use super::target::{Next, Node, Refused, Target};
use crate::db::{Error, Session};
use crate::job::{Step, StepKind};
use crate::sql::ddl::{self, Building};
use crate::sql::{Ident, LockMode, Qualified, fixed, uncut_name};

/// An index that is there.
struct Found {
    relation: u32,
    name: Qualified,
    is_valid: bool,
    definition: String,
    /// That of its parent.
    attached_to: Option<u32>,
}

/// The next thing to do for an index of all of the tree.
pub(super) async fn index(
    session: &Session,
    target: &Target,
    step: &Step,
    expected: &str,
) -> Result<Result<Next, Refused>, Error> {
    // Of each table the index that is, or becomes, the one.
    let mut own: Vec<(u32, Found)> = Vec::new();
    for node in &target.nodes {
        let parent =
            own.iter().find(|(relation, _)| *relation == node.parent).map(|(_, index)| index.relation);
        let name = if node.parent == 0 || parent.is_none() { step.name.clone() } else { name_on(node, step) };
        let index = Qualified { schema: node.name.schema.clone(), name: Ident(name) };
        let found = indexes(session, node).await?;
        if let Some(one) = chosen(found, &index, (parent, node.is_partitioned), expected) {
            own.push((node.relation, one));
            continue;
        }
        if !node.is_partitioned {
            match index_of(session, node, (&index, step), (expected, target.backend)).await? {
                // The choice takes every index that is as it should be.
                Ok(Next::Done) => {}
                other => return Ok(other),
            }
            continue;
        }
        let params = [
            (&node.relation as _, Type::OID),
            (&index.name.0 as _, Type::TEXT),
            (&target.backend as _, Type::INT4),
        ];
        if session.query_opt(fixed::STEP_INDEX, &params).await?.is_some() {
            let message =
                format!("the name {index} is taken by something that is not this index of {}", node.name);
            return Ok(Err((message, Some("give the index another name".to_owned()))));
        }
        return Ok(Ok(Next::Open {
            opening: entry(node, &index, step),
            what: format!("adds its entry on {}", node.name),
        }));
    }
    Ok(Ok(attach(target, &own)))
}

/// The index of a table that is or becomes a part of its parent's: the one that is attached already, else the
/// one with our name, else any other that is the same and belongs to nobody.
fn chosen(
    found: Vec<Found>,
    ours: &Qualified,
    (parent, is_partitioned): (Option<u32>, bool),
    expected: &str,
) -> Option<Found> {
    let may_be = |one: &Found| one.definition == expected && (one.is_valid || is_partitioned);
    let is_attached = |one: &Found| parent.is_some() && one.attached_to == parent;
    let (attached, free): (Vec<_>, Vec<_>) = found.into_iter().partition(is_attached);
    let mut free: Vec<_> = free.into_iter().filter(|one| one.attached_to.is_none() && may_be(one)).collect();
    // At the top it is the name that tells which one is meant.
    free.retain(|one| parent.is_some() || one.name == *ours);
    free.sort_by_key(|one| one.name != *ours);
    attached.into_iter().next().or_else(|| free.into_iter().next())
}

async fn indexes(session: &Session, node: &Node) -> Result<Vec<Found>, Error> {
    let rows = session.query(fixed::STEP_INDEXES, &[(&node.relation, Type::OID)]).await?;
    Ok(rows.iter().map(found).collect())
}

fn found(row: &Row) -> Found {
    Found {
        relation: row.get("relation"),
        name: Qualified::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
        is_valid: row.get("valid"),
        definition: row.get("definition"),
        attached_to: row.get("attached_to"),
    }
}

/// Writers wait for SHARE, so it goes through the door, too.
fn entry(node: &Node, index: &Qualified, step: &Step) -> Opening {
    let is_unique = step.kind == StepKind::UniqueIndex;
    let table = node.name.to_string();
    Opening {
        tables: vec![node.name.clone()],
        relations: vec![node.relation],
        mode: LockMode::Share,
        statements: vec![ddl::create_index(&table, &index.name, &step.definition, is_unique, Building::Only)],
        is_last: false,
    }
}

/// From the leaves up: an index is valid once all of its parts are attached. ATTACH locks the two indexes,
/// for which every plan of a query on the partition asks; there is no LOCK for an index.
fn attach(target: &Target, own: &[(u32, Found)]) -> Next {
    let of = |relation: u32| own.iter().find(|(table, _)| *table == relation).map(|(_, index)| index);
    let mut left: Vec<_> = target
        .nodes
        .iter()
        .rev()
        .filter_map(|node| Some((node, of(node.relation)?, of(node.parent)?)))
        .filter(|(_, index, parent)| index.attached_to != Some(parent.relation))
        .collect();
    let count = left.len();
    if left.is_empty() {
        return Next::Done;
    }
    let (node, index, parent) = left.remove(0);
    let opening = Opening {
        tables: Vec::new(),
        relations: vec![index.relation, parent.relation],
        mode: LockMode::AccessExclusive,
        statements: vec![ddl::attach_index(&parent.name, &index.name)],
        is_last: count == 1,
    };
    Next::Open { opening, what: format!("attaches that of {}", node.name) }
}

/// The name of the index on a partition.
fn name_on(node: &Node, step: &Step) -> String {
    uncut_name("", &format!("{}_{}", node.name.name.0, step.name), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Node {
        Node { relation: 16_384, name: Qualified::new("public", name), parent: 1, is_partitioned: false }
    }

    fn step(name: &str) -> Step {
        Step { kind: StepKind::Index, name: name.to_owned(), definition: "(a)".to_owned(), free: None }
    }

    #[test]
    fn the_index_of_a_partition_has_a_name_that_the_server_does_not_cut() {
        assert_eq!(name_on(&node("orders_2026"), &step("by_status")), "orders_2026_by_status");
        let long = name_on(&node(&"p".repeat(40)), &step(&"é".repeat(30)));
        assert!(long.len() <= 63 && long.starts_with("ppp"), "{long}");
    }

    #[test]
    fn an_index_that_is_attached_is_chosen_before_one_that_has_the_name() {
        let one = |name: &str, attached_to| Found {
            relation: 5,
            name: Qualified::new("public", name),
            is_valid: true,
            definition: "USING btree (a)".to_owned(),
            attached_to,
        };
        let ours = Qualified::new("public", "ours");
        let choose =
            |found| chosen(found, &ours, (Some(9), false), "USING btree (a)").map(|one| one.name.name.0);
        assert_eq!(choose(vec![one("ours", None), one("other", Some(9))]).as_deref(), Some("other"));
        assert_eq!(choose(vec![one("other", None), one("ours", None)]).as_deref(), Some("ours"));
        assert_eq!(choose(vec![one("foreign", Some(8))]), None);
    }
}
