//! Leaves: the tables that hold the rows, and how far each is planned.
//!
//! Must not know: how a boundary is found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio_postgres::types::Type;

use crate::db::{Error, Session};
use crate::run::{RunId, RunState};
use crate::scan::{Blocks, LeafOrder, Mark, ScanOrder};
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
    /// In which order it is walked.
    pub order: LeafOrder,
    /// How often it was walked before.
    pub pass: i32,
    /// Rows of the whole run that are not planned yet, by the statistics; below 0 where these are too old.
    pub rows_left: i64,
}

/// A leaf that the run knows.
#[derive(Clone, Debug)]
pub struct StoredLeaf {
    /// Its number.
    pub number: LeafNo,
    /// Its object id.
    pub relation: u32,
    /// Its name.
    pub table: Qualified,
    /// In which order it is walked.
    pub order: LeafOrder,
    /// How many sweeps it has had, or which one it is at.
    pub sweep: i32,
    /// How its sweeps ended; none: it is walked by key, or they have not ended.
    pub swept: Option<Swept>,
    /// Whether anything is left to do in it.
    pub has_work: bool,
    /// Its last mark; none: it was empty.
    pub bound: Option<Mark>,
    /// How often it was walked before.
    pub pass: i32,
}

/// How the sweeps of a leaf ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// The last one found no row.
    Clean,
    /// Rows that match keep coming.
    RowsCome,
}

impl Swept {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::RowsCome => "rows come",
        }
    }
}

/// A leaf of which a pass by block has ended.
#[derive(Clone, Debug)]
pub struct PassedLeaf {
    /// Its number.
    pub number: LeafNo,
    /// Its object id.
    pub relation: u32,
    /// Its name.
    pub table: Qualified,
    /// Which sweep it was; 0: it was the pass that changes the rows.
    pub sweep: i32,
    /// Rows that it changed.
    pub found: i64,
    /// Rows that the sweep before it changed; none: there is none to compare with.
    pub found_before: Option<i64>,
}

/// How a leaf is to be walked from its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Again<'a> {
    /// Its last mark.
    pub bound: Option<&'a Mark>,
    /// In which order.
    pub order: LeafOrder,
    /// Rows of the leaf, and its blocks.
    pub rows: i64,
    /// See there.
    pub blocks: i64,
    /// Rows that the sweep before changed; none: there is none to compare with.
    pub found_before: Option<i64>,
    /// Why it is walked again.
    pub why: &'a str,
}

/// What the lock of a leaf found.
#[derive(Clone, Copy, Debug)]
pub struct LockedLeaf {
    /// In which order it is walked.
    pub order: ScanOrder,
    /// Whether the file that its marks are of is gone.
    pub is_rewritten: bool,
    /// The state of the run.
    pub run_state: RunState,
}

/// The order of the leaf that a row is about.
pub(super) fn order(row: &tokio_postgres::Row) -> LeafOrder {
    match row.get::<_, Option<f64>>("rows_per_block") {
        Some(rows) if row.get::<_, &str>("scan") == ScanOrder::Heap.as_str() => {
            LeafOrder::Heap(Blocks { rows, are_swept: row.get::<_, i32>("sweep") > 0 })
        }
        _ => LeafOrder::Keys,
    }
}

fn rows_per_block(order: LeafOrder) -> Option<f64> {
    match order {
        LeafOrder::Keys => None,
        LeafOrder::Heap(blocks) => Some(blocks.rows),
    }
}

/// Adds a leaf that was found in the catalog, with the number of its pass; nothing happens if the run has it.
pub async fn add_leaf_in_txn(
    session: &Session,
    run: RunId,
    leaf: &crate::catalog::Leaf,
    order: LeafOrder,
    bound: Option<&Mark>,
    pass: i32,
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
        (&order.order().as_str() as _, Type::TEXT),
        (&rows_per_block(order) as _, Type::FLOAT8),
        (&order.rows_of_sweep(leaf.blocks) as _, Type::INT8),
        (&pass as _, Type::INT4),
    ];
    session.execute(fixed::LEAF_INSERT, &params).await.map(drop)
}

/// The leaves of a run.
pub async fn leaves(session: &Session, run: RunId) -> Result<Vec<StoredLeaf>, Error> {
    let rows = session.query(fixed::LEAF_ALL, &[(&run.0, Type::INT8)]).await?;
    Ok(rows
        .iter()
        .map(|row| StoredLeaf {
            number: LeafNo(row.get("number")),
            relation: row.get("relation"),
            table: Qualified::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
            order: order(row),
            sweep: row.get("sweep"),
            swept: row.get::<_, Option<&str>>("swept").and_then(|text| {
                [Swept::Clean, Swept::RowsCome].into_iter().find(|swept| swept.as_str() == text)
            }),
            has_work: row.get("has_work"),
            bound: row.get::<_, Option<Vec<String>>>("bound").map(Mark),
            pass: row.get("pass"),
        })
        .collect())
}

/// The last keys of the leaves that a run has walked by key.
pub async fn leaf_bounds(session: &Session, run: RunId) -> Result<BTreeMap<u32, Option<Mark>>, Error> {
    let rows = session.query(fixed::LEAF_BOUNDS, &[(&run.0, Type::INT8)]).await?;
    let bound = |row: &tokio_postgres::Row| row.get::<_, Option<Vec<String>>>("bound").map(Mark);
    Ok(rows.iter().map(|row| (row.get("relation"), bound(row))).collect())
}

/// Plans what came behind the last mark of a leaf, too; none: nothing came.
pub async fn extend_leaf_in_txn(
    session: &Session,
    run: RunId,
    leaf: LeafNo,
    to: Option<&Mark>,
) -> Result<(), Error> {
    let to = to.map(|mark| &mark.0);
    let params = [(&run.0 as _, Type::INT8), (&leaf.0 as _, Type::INT4), (&to as _, Type::TEXT_ARRAY)];
    session.execute(fixed::LEAF_EXTEND, &params).await.map(drop)
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
        order: order(&row),
        pass: row.get("pass"),
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

/// Leaves that are walked by block and not swept yet, with what their latest pass changed.
pub async fn passed_leaves_in_txn(session: &Session, run: RunId) -> Result<Vec<PassedLeaf>, Error> {
    let rows = session.query(fixed::LEAF_PASSED, &[(&run.0, Type::INT8)]).await?;
    Ok(rows
        .iter()
        .map(|row| PassedLeaf {
            number: LeafNo(row.get("number")),
            relation: row.get("relation"),
            table: Qualified::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
            sweep: row.get("sweep"),
            found: row.get("found"),
            found_before: row.get("found_before"),
        })
        .collect())
}

/// Writes down how the sweeps of a leaf ended.
pub async fn end_sweeps_in_txn(
    session: &Session,
    run: RunId,
    leaf: LeafNo,
    swept: Swept,
) -> Result<(), Error> {
    let params = [(&run.0 as _, Type::INT8), (&leaf.0 as _, Type::INT4), (&swept.as_str() as _, Type::TEXT)];
    session.execute(fixed::LEAF_SWEPT, &params).await.map(drop)
}

/// Locks a leaf, so that nothing is planned in it; none if the run has no such leaf.
pub async fn lock_leaf_in_txn(
    session: &Session,
    run: RunId,
    leaf: LeafNo,
) -> Result<Option<LockedLeaf>, Error> {
    let row = session.query_opt(fixed::LEAF_LOCK, &[(&run.0, Type::INT8), (&leaf.0, Type::INT4)]).await?;
    Ok(row.map(|row| LockedLeaf {
        order: ScanOrder::parse(row.get("scan")).unwrap_or(ScanOrder::Keys),
        is_rewritten: row.get("is_rewritten"),
        // An unknown state is a later program's: not ours to run in.
        run_state: RunState::parse(row.get("run_state")).unwrap_or(RunState::Blocked),
    }))
}

/// Lets a locked leaf be walked again from its beginning: its open ranges are closed, once the batches under
/// way in them have ended.
pub async fn walk_again_in_txn(
    session: &Session,
    run: RunId,
    leaf: LeafNo,
    again: &Again<'_>,
) -> Result<(), Error> {
    let of_leaf = [(&run.0 as _, Type::INT8), (&leaf.0 as _, Type::INT4)];
    let mut params = of_leaf.to_vec();
    params.push((&again.why as _, Type::TEXT));
    session.execute(fixed::RANGE_CLOSE, &params).await?;
    let (bound, per_block) = (again.bound.map(|mark| &mark.0), rows_per_block(again.order));
    let mut params = of_leaf.to_vec();
    let (order, sweep) = (again.order.order().as_str(), again.order.rows_of_sweep(again.blocks));
    let is_sweep = again.order.is_sweep();
    params.extend([
        (&bound as _, Type::TEXT_ARRAY),
        (&order as _, Type::TEXT),
        (&per_block as _, Type::FLOAT8),
        (&again.rows as _, Type::INT8),
        (&again.found_before as _, Type::INT8),
        (&sweep as _, Type::INT8),
        (&is_sweep as _, Type::BOOL),
    ]);
    session.execute(fixed::LEAF_AGAIN, &params).await.map(drop)
}
