//! In which order a table is walked: by key, or by block.
//!
//! By block a row that an application updates meanwhile can be met twice, or not at all. So the change must
//! be one that can be repeated: what was changed must no longer match. Each batch counts whether that is so;
//! here it is decided before whether it can be.
//!
//! Must not know: batches, sweeps.

use serde_json::Value;
use tokio_postgres::types::{Json, Type};

use super::{Code, Plan, Refusal};
use crate::catalog::{Column, Leaf};
use crate::change::{Change, VALUE, nodes};
use crate::db::{Error, NextAct, Session};
use crate::job::{AskedOrder, Diagnostic, Job, Part};
use crate::scan::{Blocks, LeafOrder, Scan, ScanOrder, Span};
use crate::sql::{Ident, enclosed, fixed, settings};

/// TID range scans, which read a stretch of blocks, are there from this version on.
const TID_RANGE_SCANS: i32 = 140_000;
/// With fewer rows a page in key order, walking the keys visits another page for each row.
const SCATTERED: f64 = 2.0;
/// On fewer blocks it does not matter how they are walked.
const BLOCKS_MIN: i64 = 1_000;

/// The order that suits a job and its table.
#[derive(Clone, Debug)]
pub struct Ordering {
    /// Which it is.
    pub order: ScanOrder,
    /// Why, in words.
    pub why: String,
    /// Why the change cannot be made by block, if it cannot.
    pub unrepeatable: Option<String>,
    /// A trigger that fires when RETURNING has counted, and could change a row back.
    pub after_trigger: Option<String>,
    /// Whether rows that follow each other by key lie on different pages.
    pub is_scattered: bool,
}

impl Ordering {
    /// By key if there is one, as long as nothing else was looked at.
    pub(super) fn of_key(has_key: bool) -> Self {
        let order = if has_key { ScanOrder::Keys } else { ScanOrder::Heap };
        Self { order, why: String::new(), unrepeatable: None, after_trigger: None, is_scattered: false }
    }

    /// The order of a leaf that is walked for the first time.
    #[must_use]
    pub fn of(&self, leaf: &Leaf) -> LeafOrder {
        match self.order {
            ScanOrder::Keys => LeafOrder::Keys,
            ScanOrder::Heap => by_block(leaf, false),
        }
    }
}

/// A leaf by block; `are_swept`: most of its rows have been changed.
#[must_use]
pub fn by_block(leaf: &Leaf, are_swept: bool) -> LeafOrder {
    let rows = leaf.rows_estimated.max(0) as f64 / (leaf.blocks.max(1) as f64);
    LeafOrder::Heap(Blocks { rows, are_swept })
}

/// What the catalog says against it.
struct Facts {
    version: i32,
    other_access: Option<String>,
    counts_rows: bool,
    after_trigger: Option<String>,
    row_trigger: Option<String>,
    rule: Option<String>,
}

/// What the planner says of the job's texts.
#[derive(Default)]
struct Texts {
    /// The table is read besides the row that is changed.
    reads_itself: bool,
    /// No other table is read, either.
    reads_alone: bool,
    /// Columns whose value differs from one evaluation to the next.
    volatile: Vec<String>,
    /// A column whose expression reads a column that is set.
    reads_target: Option<String>,
}

/// Decides, and completes the plan: its order, and the condition that makes a change one that can be
/// repeated. `without_key` is why there is no key, if there is none.
pub(super) async fn decide(
    session: &mut Session,
    job: &Job,
    plan: &mut Plan,
    columns: &[Column],
    without_key: Option<Diagnostic>,
) -> Result<(), Refusal> {
    let facts = facts(session, plan).await?;
    let texts = texts(session, plan).await?;
    plan.walk.reads_alone = texts.reads_alone;
    let mut unrepeatable = unrepeatable(job, plan, &facts, &texts);
    if unrepeatable.is_none() && job.filter.is_none() {
        unrepeatable = add_condition(session, plan, columns).await?;
    }
    let is_scattered = is_scattered(session, plan).await?;
    let wanted = match (job.scan.order, without_key) {
        (AskedOrder::Keys, Some(refused)) => return Err(vec![refused].into()),
        (AskedOrder::Keys, None) => (ScanOrder::Keys, "the job says so".to_owned()),
        (AskedOrder::Heap, _) => {
            if let Some(why) = &unrepeatable {
                return Err(vec![refuse_heap(job, why)].into());
            }
            (ScanOrder::Heap, "the job says so".to_owned())
        }
        (AskedOrder::Auto, Some(refused)) => {
            if let Some(why) = &unrepeatable {
                return Err(vec![refuse_both(job, &refused, why)].into());
            }
            (ScanOrder::Heap, refused.message().to_owned())
        }
        (AskedOrder::Auto, None) if unrepeatable.is_some() => {
            (ScanOrder::Keys, unrepeatable.clone().unwrap_or_default())
        }
        (AskedOrder::Auto, None) if is_scattered => {
            let why = "rows that follow each other by key lie on different pages, so each would cost a page";
            (ScanOrder::Heap, why.to_owned())
        }
        (AskedOrder::Auto, None) => {
            (ScanOrder::Keys, "rows that follow each other by key lie together".to_owned())
        }
    };
    // By key an entry that is saved was not seen to be worth more stripes.
    plan.order.large_indexes &= wanted.0 == ScanOrder::Heap;
    plan.volatile = texts.volatile;
    let after_trigger = facts.after_trigger;
    plan.ordering = Ordering { order: wanted.0, why: wanted.1, unrepeatable, after_trigger, is_scattered };
    Ok(())
}

async fn facts(session: &mut Session, plan: &Plan) -> Result<Facts, Error> {
    let leaves: Vec<u32> = plan.leaves.iter().map(|leaf| leaf.relation).collect();
    let params = [
        (&plan.table.relation as _, Type::OID),
        (&leaves as _, Type::OID_ARRAY),
        (&plan.change.columns() as _, Type::TEXT_ARRAY),
    ];
    let row = session.query_one(fixed::HEAP_FACTS, &params).await?;
    Ok(Facts {
        version: row.get("version"),
        other_access: row.get("other_access"),
        counts_rows: row.get("counts_rows"),
        after_trigger: row.get("after_trigger"),
        row_trigger: row.get("row_trigger"),
        rule: row.get("rule"),
    })
}

async fn texts(session: &mut Session, plan: &Plan) -> Result<Texts, Error> {
    let mut found = Texts { reads_alone: true, ..Texts::default() };
    // Of a partitioned table ONLY has no rows, and the planner would not look any further.
    let Some(leaf) = plan.leaves.first() else { return Ok(found) };
    let scan = plan.walk.leaf(leaf.name.clone(), LeafOrder::Keys);
    let told = planned(session, &plan.change.tables(&scan)).await?;
    let mut own = 0;
    for node in nodes(&told) {
        let (Some(schema), Some(name)) = (node["Schema"].as_str(), node["Relation Name"].as_str()) else {
            continue;
        };
        let is_own = |table: &crate::sql::Qualified| table.schema.0 == schema && table.name.0 == name;
        if is_own(&plan.table.name) || plan.leaves.iter().any(|leaf| is_own(&leaf.name)) {
            own += 1;
        } else {
            found.reads_alone = false;
        }
    }
    found.reads_itself = own > 1;
    found.reads_alone &= !found.reads_itself;
    for (column, expression) in plan.change.values() {
        if is_volatile(session, plan, &scan, expression).await? {
            found.volatile.push(column.0.clone());
        }
        if reads_target(session, plan, &scan, expression).await? {
            found.reads_target.get_or_insert_with(|| column.0.clone());
        }
    }
    Ok(found)
}

/// Whether an expression may have another value at each evaluation.
pub(super) async fn is_volatile(
    session: &mut Session,
    plan: &Plan,
    scan: &Scan,
    expression: &str,
) -> Result<bool, Error> {
    let told = planned(session, &plan.change.volatile(scan, expression)).await?;
    Ok(nodes(&told).iter().any(|node| node["Alias"] == VALUE))
}

/// Whether an expression is understood without the columns that are set. Of one that reads the row as a whole
/// that is not found out here; each batch counts what it has changed.
pub(super) async fn reads_target(
    session: &mut Session,
    plan: &Plan,
    scan: &Scan,
    expression: &str,
) -> Result<bool, Error> {
    let asked = plan.change.without_targets(scan, expression, &plan.column_names());
    Ok(!is_understood(session, &asked).await?)
}

/// Whether the server can plan it. What the role may not read is not told apart from what is not there.
pub(super) async fn is_understood(session: &mut Session, asked: &str) -> Result<bool, Error> {
    match session.query_and_rollback(settings::CHECKING, asked, &[]).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.next_act(), NextAct::Block | NextAct::Bisect) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A plan in JSON.
async fn planned(session: &mut Session, asked: &str) -> Result<Value, Error> {
    let rows = session.query_and_rollback(settings::CHECKING, asked, &[]).await?;
    let row = rows.first().ok_or_else(|| Error::Protocol("no row".into()))?;
    let Json(value): Json<Value> = row.try_get(0)?;
    Ok(value)
}

fn unrepeatable(job: &Job, plan: &Plan, facts: &Facts, texts: &Texts) -> Option<String> {
    if facts.version < TID_RANGE_SCANS {
        return Some("PostgreSQL 13 cannot read a stretch of blocks; 14 can".into());
    }
    if let Some(other) = &facts.other_access {
        return Some(format!("{other}, whose rows do not lie on blocks of a heap"));
    }
    if let Some(rule) = &facts.rule {
        return Some(format!("rule \"{rule}\" makes something else of an UPDATE"));
    }
    if let Some(trigger) = facts.after_trigger.as_ref().filter(|_| !facts.counts_rows) {
        return Some(format!(
            "trigger \"{trigger}\" fires after a row was changed, and with track_counts = off it cannot be seen whether it changes the row once more"
        ));
    }
    if texts.reads_itself {
        return Some(format!(
            "the job reads {} itself, so that one change can make other rows match",
            plan.table.name
        ));
    }
    if job.filter.is_some() {
        return None;
    }
    let lacks = "there is no `where` that the change makes false";
    if job.scan.touch {
        return Some(format!("{lacks}, and the job says touch = true"));
    }
    if let Some(trigger) = &facts.row_trigger {
        return Some(format!("{lacks}, and trigger \"{trigger}\" may be what a row is changed for"));
    }
    if let Some(column) = texts.volatile.first() {
        return Some(format!("{lacks}, and \"{column}\" has another value each time"));
    }
    texts
        .reads_target
        .as_ref()
        .map(|column| format!("{lacks}, and the value of \"{column}\" is made of what the change sets"))
}

/// Adds the condition that a row is not yet as the change makes it; gives the reason if there is none that
/// the server takes.
async fn add_condition(
    session: &mut Session,
    plan: &mut Plan,
    columns: &[Column],
) -> Result<Option<String>, Error> {
    let Change::Update(update) = &mut plan.change else { return Ok(None) };
    let differs: Vec<_> = update.set.iter().map(|value| differs(value, &plan.walk.alias, columns)).collect();
    update.differs = Some(differs.join("\nOR "));
    let blocks = LeafOrder::Heap(Blocks { rows: 1.0, are_swept: false });
    let rows = plan.walk.leaf(plan.table.name.clone(), blocks).rows_planned();
    let asked = format!("EXPLAIN {}", plan.change.statement(&rows).whole());
    match session.query_and_rollback(settings::CHECKING, &asked, &rows.params()).await {
        Ok(_) => Ok(None),
        Err(Error::Server(error)) => {
            if let Change::Update(update) = &mut plan.change {
                update.differs = None;
            }
            Ok(Some(format!("old and new values cannot be compared: {}", error.message)))
        }
        Err(lost) => Err(lost),
    }
}

/// Types of which equal values are the same byte by byte, as `pg_type` numbers them, but texts.
const EQUAL_IS_SAME: [Type; 9] = [
    Type::BOOL,
    Type::INT2,
    Type::INT4,
    Type::INT8,
    Type::UUID,
    Type::DATE,
    Type::TIMESTAMP,
    Type::TIMESTAMPTZ,
    Type::BYTEA,
];
/// And texts, which a collation may take for equal that are not the same.
const TEXTS: [Type; 2] = [Type::TEXT, Type::VARCHAR];

/// That a column has not the value that the expression gives, as the column would hold it. Compared byte by
/// byte: a type may take for equal what is not the same (`citext`), or have no equality (`json`). Measured
/// with a text: 17 µs a row with IS DISTINCT FROM, 21 µs with records.
pub(super) fn differs((name, expression): &(Ident, String), alias: &Ident, columns: &[Column]) -> String {
    let column = columns.iter().find(|column| column.name == name.0);
    let (ty, base) = column.map_or(("text", 0), |column| (column.type_name.as_str(), column.base_type));
    let is_one_of = |types: &[Type]| types.iter().any(|ty| ty.oid() == base);
    let (target, value) = (format!("{alias}.{name}"), format!("CAST({} AS {ty})", enclosed(expression)));
    if is_one_of(&EQUAL_IS_SAME) {
        format!("{target} IS DISTINCT FROM {value}")
    } else if is_one_of(&TEXTS) {
        let c = "COLLATE pg_catalog.\"C\"";
        format!("{target} {c} IS DISTINCT FROM {value} {c}")
    } else {
        format!("ROW({target})::record *<> ROW({value})::record")
    }
}

fn refuse_heap(job: &Job, why: &str) -> Diagnostic {
    let hint = "write order = \"keys\" or leave it out".to_owned();
    let message = format!("the table cannot be walked by block: {why}");
    job.diagnose(Part::Order, message, Some(hint)).coded(Code::NotRepeatable.as_str())
}

fn refuse_both(job: &Job, refused: &Diagnostic, why: &str) -> Diagnostic {
    let hint = refused.hint().map(|hint| format!("\n{hint}")).unwrap_or_default();
    let hint = format!("without a key it could be walked by block, but {why}{hint}");
    job.diagnose(Part::Key, refused.message().to_owned(), Some(hint)).coded(Code::NoUsableIndex.as_str())
}

/// Whether walking by key would visit another page for each row, of a table that has enough of them for that
/// to matter.
async fn is_scattered(session: &mut Session, plan: &Plan) -> Result<bool, Error> {
    let largest = plan.leaves.iter().max_by_key(|leaf| leaf.blocks);
    let Some(leaf) = largest.filter(|leaf| plan.walk.has_key() && leaf.blocks >= BLOCKS_MIN) else {
        return Ok(false);
    };
    let scan = plan.walk.leaf(leaf.name.clone(), LeafOrder::Keys);
    session.begin(settings::PLANNING).await?;
    let read = rows_together_in_txn(session, &scan).await;
    let rows = session.commit_or_rollback(read).await?;
    Ok(rows.is_some_and(|rows| rows < SCATTERED))
}

async fn rows_together_in_txn(session: &Session, scan: &Scan) -> Result<Option<f64>, Error> {
    let Some(through) = scan.last(session).await? else { return Ok(None) };
    scan.rows_together(session, &Span { after: None, through }).await
}
