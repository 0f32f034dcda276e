//! Leaves: the tables that hold the rows, and how far each is planned.
//!
//! Must not know: how a boundary is found.

use serde::{Deserialize, Serialize};
use tokio_postgres::types::Type;

use crate::db::{Error, Session};
use crate::run::RunId;
use crate::scan::Mark;
use crate::sql::{Qualified, fixed};

/// Number of a leaf within its run, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeafNo(pub i32);

/// A leaf with rows beyond its frontier. Its row is locked until the transaction ends.
#[derive(Clone, Debug)]
pub struct OpenLeaf {
    /// Its number.
    pub number: LeafNo,
    /// Its object id.
    pub relation: u32,
    /// Its name.
    pub table: Qualified,
    /// The last mark.
    pub bound: Mark,
    /// Planned up to here.
    pub frontier: Option<Mark>,
    /// Rows of the whole run that are not planned yet, by the statistics; below 0 where these are too old.
    pub rows_left: i64,
}

/// A leaf that the run knows.
#[derive(Clone, Debug)]
pub struct StoredLeaf {
    /// Its object id.
    pub relation: u32,
    /// Its name.
    pub table: Qualified,
    /// Whether anything is left to do in it.
    pub has_work: bool,
}

/// Adds a leaf that was found in the catalog; nothing happens if the run has it.
pub async fn add_leaf_in_txn(
    session: &Session,
    run: RunId,
    leaf: &crate::catalog::Leaf,
    bound: Option<&Mark>,
) -> Result<(), Error> {
    let shape = leaf.shape.clone().unwrap_or_default();
    let bound = bound.map(|mark| &mark.0);
    let params = [
        (&run.0 as _, Type::INT8),
        (&leaf.relation as _, Type::OID),
        (&leaf.name.schema.0 as _, Type::TEXT),
        (&leaf.name.name.0 as _, Type::TEXT),
        (&shape as _, Type::TEXT),
        (&bound as _, Type::TEXT_ARRAY),
        (&leaf.rows_estimated as _, Type::INT8),
    ];
    session.execute(fixed::LEAF_INSERT, &params).await.map(drop)
}

/// The leaves of a run.
pub async fn leaves(session: &Session, run: RunId) -> Result<Vec<StoredLeaf>, Error> {
    let rows = session.query(fixed::LEAF_ALL, &[(&run.0, Type::INT8)]).await?;
    Ok(rows
        .iter()
        .map(|row| StoredLeaf {
            relation: row.get("relation"),
            table: Qualified::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
            has_work: row.get("has_work"),
        })
        .collect())
}

/// The first leaf that is not planned to its end, locked.
pub async fn next_leaf_in_txn(session: &Session, run: RunId) -> Result<Option<OpenLeaf>, Error> {
    let row = session.query_opt(fixed::LEAF_NEXT, &[(&run.0, Type::INT8)]).await?;
    Ok(row.map(|row| OpenLeaf {
        number: LeafNo(row.get("number")),
        relation: row.get("relation"),
        table: Qualified::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
        bound: Mark(row.get("bound")),
        frontier: row.get::<_, Option<Vec<String>>>("frontier").map(Mark),
        rows_left: row.get("rows_left"),
    }))
}

/// Moves a leaf's frontier.
pub async fn move_frontier_in_txn(
    session: &Session,
    run: RunId,
    leaf: LeafNo,
    to: &Mark,
) -> Result<(), Error> {
    let params = [(&run.0 as _, Type::INT8), (&leaf.0 as _, Type::INT4), (&to.0 as _, Type::TEXT_ARRAY)];
    session.execute(fixed::LEAF_FRONTIER, &params).await.map(drop)
}
