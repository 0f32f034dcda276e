//! A foreign key: added for what is written from now on, on both tables at once, and then looked for in the
//! rows that are there. Up to version 17 that cannot be on a partitioned table, so each leaf gets its own
//! first, which the parent's then takes over without a look at the rows.
//!
//! Must not know: how a lock is got.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::door::Opening;
use super::target::{Next, Node, Reference, Refused, Target, differs};
use crate::catalog;
use crate::db::{Error, Session};
use crate::human;
use crate::job::{Step, TableName};
use crate::sql::{Ident, LockMode, Qualified, ddl, fixed, uncut_name};

/// A foreign key of a partitioned table can be NOT VALID from this version on.
const PARTITIONED_NOT_VALID_FROM: i32 = 180_000;

/// As the server would name it.
fn name(table: &Qualified, column: &str) -> Ident {
    Ident(uncut_name("", &format!("{}_{column}", table.name.0), "_fkey"))
}

/// What the job says of it: the table that it points to, and what stands behind its name.
pub(super) async fn reference(
    session: &Session,
    table: &Qualified,
    step: &Step,
) -> Result<Result<(Reference, String), Refused>, Error> {
    let (named, rest) = match TableName::begin(&step.definition) {
        Ok(found) => found,
        Err(why) => return Ok(Err((why, Some("write it as in users (id) ON DELETE CASCADE".to_owned())))),
    };
    let quoted = match &named.schema {
        Some(schema) => format!("{}.{}", Ident(schema.clone()), Ident(named.name.clone())),
        None => Ident(named.name.clone()).to_string(),
    };
    let Some(found) = catalog::table(session, &quoted).await? else {
        return Ok(Err((format!("there is no table {named}"), None)));
    };
    session.batch_execute(&ddl::copy_referenced(&found.name)).await?;
    let (name, column) = (name(table, &step.name), Ident(step.name.clone()));
    let sql = ddl::add_foreign_key(ddl::COPY, (&name, &column), (ddl::REFERENCED, rest), false);
    if let Err(error) = session.execute(&sql, &[]).await {
        let Some(server) = error.server() else { return Err(error) };
        return Ok(Err((human::one_line(&server.message), None)));
    }
    let relation: u32 = session.query_one(fixed::STEP_COPY, &[]).await?.get("relation");
    let params = [(&relation as _, Type::OID), (&name.0 as _, Type::TEXT), (&step.name as _, Type::TEXT)];
    let definition: String = session.query_one(fixed::STEP_FOREIGN, &params).await?.get("definition");
    let rest = rest.to_owned();
    Ok(Ok((
        Reference { column: step.name.clone(), relation: found.relation, name: found.name, rest },
        definition,
    )))
}

/// The next thing to do for it.
pub(super) async fn next(
    session: &Session,
    target: &Target,
    (step, expected): (&Step, &str),
) -> Result<Result<Next, Refused>, Error> {
    let Some(reference) = target.references.iter().find(|one| one.column == step.name) else {
        return Ok(Ok(Next::Done));
    };
    let top = target.top();
    let name = name(&top.name, &step.name);
    // By the name that its column has today.
    let step = Step { name: target.now(&step.name), ..step.clone() };
    let by_leaf = top.is_partitioned && target.server_version < PARTITIONED_NOT_VALID_FROM;
    if by_leaf {
        if let Some(found) = found(session, top, (&name, &step), (reference, expected)).await? {
            return Ok(found.map(|_| Next::Done));
        }
        for leaf in target.nodes.iter().filter(|node| !node.is_partitioned) {
            match of_one(session, (leaf, &[leaf]), (&name, &step), (reference, expected)).await? {
                Ok(Next::Done) => {}
                other => return Ok(other),
            }
        }
        let nodes: Vec<_> = target.nodes.iter().collect();
        let opening = opening(reference, (top, &nodes), (&name, &step), true);
        return Ok(Ok(Next::Open { opening, what: "makes one of those of its partitions".to_owned() }));
    }
    let nodes: Vec<_> = target.nodes.iter().collect();
    of_one(session, (top, &nodes), (&name, &step), (reference, expected)).await
}

/// What takes it back: both tables, because the triggers of both go.
pub(super) fn take_back(target: &Target, step: &Step) -> Option<Opening> {
    let reference = target.references.iter().find(|one| one.column == step.name)?;
    let (top, nodes): (_, Vec<_>) = (target.top(), target.nodes.iter().collect());
    let name = name(&top.name, &step.name);
    Some(Opening {
        mode: LockMode::AccessExclusive,
        statements: vec![ddl::drop_constraint(&top.name, &name)],
        is_last: false,
        ..opening(reference, (top, &nodes), (&name, step), false)
    })
}

/// Of one table; `nodes` is what is locked with it.
async fn of_one(
    session: &Session,
    (table, nodes): (&Node, &[&Node]),
    (name, step): (&Ident, &Step),
    (reference, expected): (&Reference, &str),
) -> Result<Result<Next, Refused>, Error> {
    match found(session, table, (name, step), (reference, expected)).await? {
        None => {
            let opening = opening(reference, (table, nodes), (name, step), false);
            let what = format!("adds it to {} for what is written from now on", table.name);
            Ok(Ok(Next::Open { opening, what }))
        }
        Some(Ok((name, false))) => {
            // Both tables, because the triggers of both go.
            let name = &name;
            let statements = vec![ddl::drop_constraint(&table.name, name)];
            let undo = Opening {
                mode: LockMode::AccessExclusive,
                statements,
                is_last: false,
                ..opening(reference, (table, nodes), (name, step), false)
            };
            Ok(Ok(Next::Validate { sql: ddl::validate(&table.name, name), undo }))
        }
        Some(found) => Ok(found.map(|_| Next::Done)),
    }
}

/// One that is the same, whatever its name is: its name, and whether it is valid. Or another one of our name.
async fn found(
    session: &Session,
    table: &Node,
    (name, step): (&Ident, &Step),
    (reference, expected): (&Reference, &str),
) -> Result<Option<Result<(Ident, bool), Refused>>, Error> {
    let params =
        [(&table.relation as _, Type::OID), (&name.0 as _, Type::TEXT), (&step.name as _, Type::TEXT)];
    let rows = session.query(fixed::STEP_FOREIGN, &params).await?;
    let is_same = |row: &&Row| {
        row.get::<_, u32>("referenced") == reference.relation
            && row.get("of_the_column")
            && row.get::<_, bool>("enforced")
            && row.get::<_, &str>("definition") == expected
    };
    if let Some(row) = rows.iter().find(is_same) {
        return Ok(Some(Ok((Ident(row.get("name")), row.get("valid")))));
    }
    let Some(row) = rows.iter().find(|row| row.get::<_, &str>("name") == name.0) else { return Ok(None) };
    let what = format!("foreign key {name} of {}", table.name);
    if !row.get::<_, bool>("enforced") {
        let hint = Some("drop it, or leave it out here".to_owned());
        return Ok(Some(Err((format!("{what} is there already and is NOT ENFORCED"), hint))));
    }
    Ok(Some(Err(differs(&what, row.get("definition"), expected))))
}

/// The table that is pointed to first: who writes both writes that one first.
fn opening(
    reference: &Reference,
    (table, nodes): (&Node, &[&Node]),
    (name, step): (&Ident, &Step),
    is_proven: bool,
) -> Opening {
    let referenced = (reference.name.to_string(), reference.rest.clone());
    let sql = ddl::add_foreign_key(
        &table.name.to_string(),
        (name, &Ident(step.name.clone())),
        (&referenced.0, &referenced.1),
        is_proven,
    );
    let names = nodes.iter().map(|node| node.name.clone());
    let relations = nodes.iter().map(|node| node.relation);
    Opening {
        tables: std::iter::once(reference.name.clone()).chain(names).collect(),
        relations: std::iter::once(reference.relation).chain(relations).collect(),
        mode: LockMode::ShareRowExclusive,
        statements: vec![sql],
        is_last: is_proven,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_name_that_the_server_would_give_it_and_none_that_it_cuts() {
        assert_eq!(name(&Qualified::new("app", "orders"), "user_id").0, "orders_user_id_fkey");
        let long = name(&Qualified::new("app", "o".repeat(63)), "user_id").0;
        assert!(long.len() == 63 && long.ends_with("_fkey"), "{long}");
    }
}
