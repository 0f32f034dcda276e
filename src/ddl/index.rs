//! An index of a table that holds its rows itself: built beside writers, taken over where it is there, built
//! again where one was left behind that is not valid.
//!
//! Must not know: partitions.

use tokio_postgres::types::Type;

use super::target::{Next, Node, Refused, differs};
use crate::db::{Error, Session};
use crate::job::{Step, StepKind};
use crate::sql::ddl::{self, Building};
use crate::sql::{Qualified, fixed};

/// The next thing to do for an index of a table that holds its rows itself.
pub(super) async fn index_of(
    session: &Session,
    node: &Node,
    (index, step): (&Qualified, &Step),
    (expected, ours): (&str, i32),
) -> Result<Result<Next, Refused>, Error> {
    let params =
        [(&node.relation as _, Type::OID), (&index.name.0 as _, Type::TEXT), (&ours as _, Type::INT4)];
    let Some(row) = session.query_opt(fixed::STEP_INDEX, &params).await? else {
        let is_unique = step.kind == StepKind::UniqueIndex;
        let table = node.name.to_string();
        let how = Building::Concurrently;
        let sql = ddl::create_index(&table, &index.name, &step.definition, is_unique, how);
        return Ok(Ok(Next::Build { index: index.clone(), sql }));
    };
    if !row.get::<_, bool>("of_the_table") {
        let message = format!("the name {index} is taken by something that is no index of {}", node.name);
        return Ok(Err((message, Some("give the index another name".to_owned()))));
    }
    if let Some(builder) = row.get("builder") {
        return Ok(Ok(Next::Wait { builder, index: index.clone() }));
    }
    let found: String = row.get("definition");
    if found != expected {
        return Ok(Err(differs(&format!("index {index}"), &found, expected)));
    }
    if row.get("valid") {
        return Ok(Ok(Next::Done));
    }
    Ok(Ok(Next::Remove { index: index.clone() }))
}
