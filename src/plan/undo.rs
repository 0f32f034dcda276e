//! The values that a run replaces: whether they are kept, and how they are put back.
//!
//! Must not know: batches.

use tokio_postgres::types::Type;

use super::{Code, Ordering, Plan, Refusal};
use crate::catalog::{self, Column};
use crate::change::{Change, KeptRows, Undo};
use crate::db::Session;
use crate::job::{AskedValues, Diagnostic, Job, NewValue, Part, StepKind};
use crate::key::{KeyColumn, KeyType};
use crate::run::RunKind;
use crate::scan::{LeafOrder, Walk};
use crate::sql::{Hashed, Ident, KeptColumn, NUMBER, OldValues, settings};
use crate::store;

/// Whether a run keeps the values that it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeps {
    /// The job says that it must.
    pub is_asked: bool,
    /// Why it does, or does not, in words.
    pub why: String,
    /// Whether it does.
    pub yes: bool,
}

/// What is kept of a table with a key.
#[must_use]
pub fn old_values(run: i64, plan: &Plan, columns: &[Column], version: i32) -> OldValues {
    let kept = |name: &str| {
        let column = columns.iter().find(|column| column.name == name);
        KeptColumn {
            name: Ident(name.to_owned()),
            type_name: column.map_or_else(|| "text".to_owned(), |column| column.full_type.clone()),
            is_fixed: column.is_some_and(|column| column.type_length > 0),
            hashed: column.map_or(Hashed::Other, |column| hashed(column.base_type)),
            as_text: column.is_some_and(|column| ["A", "C"].contains(&column.type_category.as_str())),
        }
    };
    OldValues {
        table: OldValues::table_of(run),
        key: plan.walk.key.iter().map(|column| kept(&column.name)).collect(),
        columns: plan.change.columns().iter().map(|column| kept(column)).collect(),
        returning_old: version >= 180_000,
    }
}

fn hashed(base_type: u32) -> Hashed {
    match Type::from_oid(base_type) {
        Some(Type::INT2 | Type::INT4 | Type::INT8) => Hashed::Integer,
        Some(Type::TEXT | Type::VARCHAR) => Hashed::Text,
        Some(Type::UUID) => Hashed::Uuid,
        _ => Hashed::Other,
    }
}

/// Decides whether the values are kept.
pub(super) fn decide(job: &Job, plan: &Plan) -> Result<Keeps, Refusal> {
    let has_key = plan.walk.has_key();
    let keeps = |yes: bool, why: &str| Keeps { is_asked: false, why: why.to_owned(), yes };
    match job.undo.values {
        AskedValues::Off => Ok(keeps(false, "the job says so")),
        AskedValues::On if !has_key => {
            let message =
                "the values that a run replaces are kept by the key of their row, and there is none";
            let hint = "write values = \"auto\" under [undo], or give the table a key".to_owned();
            let refused = job.diagnose(Part::Table, message.to_owned(), Some(hint));
            Err(vec![refused.coded(Code::NoUsableIndex.as_str())].into())
        }
        AskedValues::On => Ok(Keeps { is_asked: true, ..keeps(true, "the job says so") }),
        AskedValues::Auto if job.set.iter().all(|value| is_new(job, value)) => {
            Ok(keeps(false, "the columns had no value before"))
        }
        AskedValues::Auto if !has_key => Ok(keeps(false, "the table has no key to find a row again by")),
        AskedValues::Auto => Ok(keeps(true, "values are replaced")),
    }
}

/// Whether a column had no value before: the job makes it, or fills it where it is NULL.
fn is_new(job: &Job, value: &NewValue) -> bool {
    let is_made = job.steps.expand.iter().any(|s| s.kind == StepKind::Column && s.name == value.column);
    is_made
        || job.filter.as_ref().is_some_and(|filter| asks_for_null(filter, (&job.table.name, &value.column)))
}

/// Whether a predicate lets only rows pass in which this column is NULL: one of the conditions that it joins
/// by AND says so and nothing else. What is not plain is taken for something else, and the values are kept.
fn asks_for_null(filter: &str, (table, column): (&str, &str)) -> bool {
    let lower = filter.to_lowercase();
    let words: Vec<_> = lower.split_whitespace().collect();
    let is_plain = !lower.contains("--")
        && !lower.contains("/*")
        && !lower.contains('\'')
        && !lower.contains('$')
        && !words.iter().any(|word| ["or", "between"].contains(word));
    let (table, column) = (table.to_lowercase(), column.to_lowercase());
    let (mut depth, mut condition, mut found) = (0_i32, Vec::new(), false);
    let says_so = |condition: &[&str]| match condition {
        [name, "is", "null"] => {
            let name = name.replace('"', "");
            name == column || name == format!("{table}.{column}")
        }
        _ => false,
    };
    for word in words {
        if word == "and" && depth == 0 {
            found |= says_so(&condition);
            condition.clear();
            continue;
        }
        depth += word.matches('(').count() as i32 - word.matches(')').count() as i32;
        condition.push(word);
    }
    is_plain && (found | says_so(&condition))
}

/// Makes of a plan one that puts the values back that the latest backfill has replaced.
pub(super) async fn put_back(
    session: &mut Session,
    job: &Job,
    plan: &mut Plan,
    without_key: Option<Diagnostic>,
) -> Result<(), Refusal> {
    if let Some(refused) = without_key {
        return Err(vec![refused].into());
    }
    let Change::Update(update) = plan.change.clone() else { return Ok(()) };
    let alias = Ident("pgbackfill_row".to_owned());
    let Some(kept) = kept(session, job, plan, alias).await? else {
        return Err(vec![nothing_kept(job)].into());
    };
    plan.change = Change::Undo(Box::new(Undo { of: update, run: 0, kept }));
    Ok(())
}

/// What the latest backfill of a job has kept, if it has; the rows that the plan walks are those from then
/// on. `alias` is what expressions call the table.
pub(super) async fn kept(
    session: &mut Session,
    job: &Job,
    plan: &mut Plan,
    alias: Ident,
) -> Result<Option<KeptRows>, Refusal> {
    let latest = store::latest(session, job.name.as_str(), RunKind::Backfill).await;
    let latest = latest.map_err(|error| match error {
        store::StoreError::Database(error) => Refusal::Database(error),
        other => Refusal::from(vec![job.diagnose(Part::Table, other.to_string(), None)]),
    })?;
    let Some(run) = latest.filter(|run| run.keeps_old) else { return Ok(None) };
    let version = catalog::server(session).await?.version;
    let old = old_values(run.id.0, plan, &plan.columns, version);
    let Some(table) = catalog::table(session, &old.table.to_string()).await? else { return Ok(None) };
    let of_row = Walk { alias: alias.clone(), ..plan.walk.clone() };
    let rows = of_row.leaf(plan.table.name.clone(), LeafOrder::Keys).rows_planned();
    let number = [NUMBER.to_owned()];
    plan.leaves = catalog::leaves(session, settings::CHECKING, table.relation, &number, &["SELECT"]).await?;
    plan.walk = Walk {
        alias: Ident("pgbackfill_undo".to_owned()),
        key: vec![KeyColumn { name: NUMBER.to_owned(), ty: KeyType::BigInt, collate: None }],
        joins_bands: false,
        reads_alone: false,
    };
    plan.walks_kept = true;
    plan.ordering = Ordering::of_key(true);
    Ok(Some(KeptRows { alias, table: plan.table.name.clone(), key: rows.key, old }))
}

fn nothing_kept(job: &Job) -> Diagnostic {
    let message = "the latest run of this job has kept no values that could be put back".to_owned();
    let hint = "values = \"on\" under [undo] keeps them in the next run; where the columns were new, dropping them is the way back".to_owned();
    job.diagnose(Part::Table, message, Some(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_predicate_that_asks_for_null_says_that_there_was_no_value() {
        for (filter, column, is_so) in [
            ("status_v2 IS NULL", "status_v2", true),
            ("orders.status_v2 is null AND id > 7", "status_v2", true),
            ("\"Total\" IS NULL", "Total", true),
            ("status_v2 IS NULL OR id > 7", "status_v2", false),
            ("NOT (status_v2 IS NULL)", "status_v2", false),
            ("status_v2 IS NOT NULL", "status_v2", false),
            ("status IS NULL", "status_v2", false),
            ("id < 100", "status_v2", false),
            ("data->>'status_v2' IS NULL", "status_v2", false),
            ("c.status_v2 IS NULL", "status_v2", false),
            ("(status_v2 IS NULL) = false", "status_v2", false),
            ("nullif(1, status_v2) IS NULL", "status_v2", false),
            ("x || status_v2 IS NULL", "status_v2", false),
            ("id > 7 AND status_v2 IS NULL AND id < (9 + 1)", "status_v2", true),
            ("EXISTS (SELECT FROM c WHERE a AND status_v2 IS NULL )", "status_v2", false),
        ] {
            assert_eq!(asks_for_null(filter, ("orders", column)), is_so, "{filter}");
        }
    }
}
