//! Holds the job against the catalog: pure, so that every refusal can be tested and all of them come at once.
//!
//! Must not know: how the facts were read.

use super::Code;
use crate::catalog::{Column, KeyIndex, Leaf, Table};
use crate::change::Needs;
use crate::job::{Diagnostic, Job, Part, Step, StepKind, did_you_mean};
use crate::key::{KEY_COLUMNS_MAX, KeyColumn, KeyType};
use crate::sql::Ident;

/// What the catalog says.
pub(super) struct Facts {
    pub(super) table: Table,
    pub(super) columns: Vec<Column>,
    pub(super) keys: Vec<KeyIndex>,
    pub(super) user: String,
}

impl Facts {
    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    fn near(&self, name: &str) -> Option<String> {
        let near = did_you_mean(name, self.columns.iter().map(|column| column.name.as_str()))?;
        Some(format!("did you mean \"{near}\"?"))
    }
}

/// A job that fits its table, as far as the catalog knows.
pub(super) struct Fitted {
    /// The key's columns; empty: the table has none.
    pub(super) key: Vec<KeyColumn>,
    /// Why it has none.
    pub(super) without_key: Option<Diagnostic>,
}

/// The key's columns, or every reason why the job does not fit the table. That it has no key is none, as long
/// as the job does not name one: it may be walked without.
pub(super) fn fit(job: &Job, facts: &Facts) -> Result<Fitted, Vec<Diagnostic>> {
    let mut found = fit_table(job, facts);
    // About a view or a foreign table nothing further is worth saying.
    if !found.is_empty() {
        return Err(found);
    }
    let key = key(job, facts)
        .map_err(|(code, message, hint)| job.diagnose(Part::Key, message, Some(hint)).coded(code.as_str()));
    let key_names = match &key {
        Ok(columns) => columns.iter().map(|column| column.name.clone()).collect(),
        Err(_) => job.key.clone(),
    };
    for assignment in &job.set {
        found.extend(fit_assignment(job, facts, &assignment.column, &key_names));
    }
    match key {
        Ok(key) if found.is_empty() => Ok(Fitted { key, without_key: None }),
        Ok(_) => Err(found),
        Err(fault) if found.is_empty() && job.key.is_empty() => {
            Ok(Fitted { key: Vec::new(), without_key: Some(fault) })
        }
        Err(fault) => {
            found.insert(0, fault);
            Err(found)
        }
    }
}

fn fit_table(job: &Job, facts: &Facts) -> Vec<Diagnostic> {
    let table = &facts.table;
    let mut found = Vec::new();
    let mut refuse = |code: Code, message: String, hint: String| {
        found.push(job.diagnose(Part::Table, message, Some(hint)).coded(code.as_str()));
    };
    let kind = match table.kind.as_str() {
        "r" | "p" => None,
        "v" => Some("a view"),
        "m" => Some("a materialized view"),
        "f" => Some("a foreign table"),
        _ => Some("not a table"),
    };
    if let Some(kind) = kind {
        let hint = "name the table that holds the rows".into();
        refuse(Code::UnusableTable, format!("{} is {kind}", table.name), hint);
        return found;
    }
    if table.persistence == "t" {
        refuse(
            Code::UnusableTable,
            format!("{} is a temporary table", table.name),
            "other sessions cannot see it: use a permanent table".into(),
        );
    }
    if !table.inheritance_free {
        let hint = "run a job for each of them: a key is unique only within one table".into();
        refuse(Code::UnusableTable, format!("other tables inherit from {}", table.name), hint);
    }
    if table.row_security {
        let hint = format!(
            "rows would be passed over silently: run as the table's owner, or ALTER ROLE \"{}\" BYPASSRLS",
            facts.user
        );
        let message = format!("row security hides rows of {} from role \"{}\"", table.name, facts.user);
        refuse(Code::RowSecurity, message, hint);
    }
    found
}

/// Every leaf must be a table that the role may change.
pub(super) fn fit_leaves(
    job: &Job,
    facts: &Facts,
    leaves: &[Leaf],
    needs: Needs,
) -> Result<(), Vec<Diagnostic>> {
    let mut found = Vec::new();
    for leaf in leaves {
        let (code, message, hint) = if leaf.kind == "r" {
            if leaf.may_change {
                continue;
            }
            let message = format!("role \"{}\" may not {} {}", facts.user, needs.words, leaf.name);
            let privileges = needs.privileges.join(", ");
            let hint = format!("GRANT {privileges} ON {} TO {}", leaf.name, Ident(facts.user.clone()));
            (Code::MissingRight, message, hint)
        } else {
            let message = format!("the partition {} is a foreign table", leaf.name);
            let hint = "run the job on the server that holds it, and detach it here meanwhile".to_owned();
            (Code::UnusableTable, message, hint)
        };
        found.push(job.diagnose(Part::Table, message, Some(hint)).coded(code.as_str()));
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn fit_assignment(job: &Job, facts: &Facts, name: &str, key: &[String]) -> Option<Diagnostic> {
    let part = Part::SetColumn(name);
    let table = &facts.table.name;
    let Some(column) = facts.column(name) else {
        let is_made = |step: &Step| step.kind == StepKind::Column && step.name == name;
        let hint = if job.steps.expand.iter().any(is_made) {
            "[expand] of the job makes it: pgbackfill expand comes first".to_owned()
        } else {
            facts.near(name).unwrap_or_else(|| {
                format!("add it first: ALTER TABLE {table} ADD COLUMN {} …", Ident(name.into()))
            })
        };
        let message = format!("{table} has no column \"{name}\"");
        return Some(job.diagnose(part, message, Some(hint)).coded(Code::UnknownColumn.as_str()));
    };
    let (code, message, hint) = if key.iter().any(|part| part == name) {
        (
            Code::KeyInSet,
            format!("column \"{name}\" is part of the key"),
            "the key tells which rows are done, so it must not change",
        )
    } else if facts.table.partition_columns.iter().any(|part| part == name) {
        (
            Code::PartitionKeyInSet,
            format!("column \"{name}\" is part of a partition key"),
            "a row that moves between partitions could be met twice: copy the rows instead",
        )
    } else if column.generated {
        (
            Code::GeneratedInSet,
            format!("column \"{name}\" is generated"),
            "the server computes it: set the columns that it is computed from",
        )
    } else if column.identity_always {
        (
            Code::GeneratedInSet,
            format!("column \"{name}\" is GENERATED ALWAYS AS IDENTITY"),
            "only GENERATED BY DEFAULT lets an UPDATE set it: ALTER COLUMN … SET GENERATED BY DEFAULT first",
        )
    } else {
        return None;
    };
    Some(job.diagnose(part, message, Some(hint.into())).coded(code.as_str()))
}

/// A name, a message and its hint.
type Refused = (Code, String, String);

fn key(job: &Job, facts: &Facts) -> Result<Vec<KeyColumn>, Refused> {
    let table = &facts.table.name;
    for name in &job.key {
        let Some(column) = facts.column(name) else {
            let hint = facts.near(name).unwrap_or_else(|| candidates(facts));
            return Err((Code::UnknownColumn, format!("{table} has no column \"{name}\""), hint));
        };
        if !column.not_null {
            let hint = format!("ALTER TABLE {table} ALTER COLUMN {} SET NOT NULL", Ident(name.clone()));
            return Err((Code::NoUsableIndex, format!("key column \"{name}\" may be NULL"), hint));
        }
    }
    let index = key_index(job, facts)?;
    if index.columns.len() > KEY_COLUMNS_MAX {
        let message =
            format!("the key has {} columns, at most {KEY_COLUMNS_MAX} can be used", index.columns.len());
        return Err((Code::NoUsableIndex, message, candidates(facts)));
    }
    key_columns(index, facts)
}

fn key_index<'a>(job: &Job, facts: &'a Facts) -> Result<&'a KeyIndex, Refused> {
    let table = &facts.table.name;
    let (index, missing) = if job.key.is_empty() {
        let primary = facts.keys.iter().find(|index| index.primary);
        (primary, format!("{table} has no primary key that can order it"))
    } else {
        let named = facts.keys.iter().find(|index| index.columns == job.key);
        (named, format!("{table} has no unique btree index on ({})", job.key.join(", ")))
    };
    index.ok_or_else(|| (Code::NoUsableIndex, missing, candidates(facts)))
}

fn key_columns(index: &KeyIndex, facts: &Facts) -> Result<Vec<KeyColumn>, Refused> {
    let types: Vec<_> = KeyType::ALL.iter().map(|ty| ty.name()).collect();
    index
        .columns
        .iter()
        .zip(&index.collations)
        .map(|(name, collate)| {
            let column = facts.column(name);
            let ty = column.and_then(|column| KeyType::from_oid(column.base_type)).ok_or_else(|| {
                let type_name = column.map_or("unknown", |column| column.type_name.as_str());
                let message = format!("key column \"{name}\" has type {type_name}, which cannot be a key");
                let hint = format!("a key may have {}; {}", types.join(", "), candidates(facts));
                (Code::NoUsableIndex, message, hint)
            })?;
            Ok(KeyColumn { name: name.clone(), ty, collate: collate.clone() })
        })
        .collect()
}

/// Which keys the table has to offer.
fn candidates(facts: &Facts) -> String {
    let usable: Vec<_> = facts
        .keys
        .iter()
        .filter(|index| {
            index.columns.len() <= KEY_COLUMNS_MAX
                && index
                    .columns
                    .iter()
                    .filter_map(|name| facts.column(name))
                    .all(|column| column.not_null && KeyType::from_oid(column.base_type).is_some())
        })
        .map(|index| format!("key = {:?} (index {})", index.columns, index.name))
        .collect();
    if !usable.is_empty() {
        return format!("this table offers {}", usable.join(" or "));
    }
    nullable_candidate(facts).unwrap_or_else(|| {
        "a key is one to four NOT NULL columns with a whole, valid, unique btree index of their own: make one with \
         CREATE UNIQUE INDEX CONCURRENTLY and name its columns in key"
            .into()
    })
}

/// What would make a key of a unique index that lacks only NOT NULL.
fn nullable_candidate(facts: &Facts) -> Option<String> {
    let table = &facts.table.name;
    let index = facts.keys.iter().find(|index| {
        let mut columns = index.columns.iter().filter_map(|name| facts.column(name));
        index.columns.len() <= KEY_COLUMNS_MAX
            && columns.all(|column| KeyType::from_oid(column.base_type).is_some())
    })?;
    let nullable =
        index.columns.iter().filter_map(|name| facts.column(name)).filter(|column| !column.not_null);
    let changes: Vec<_> =
        nullable.map(|column| format!("ALTER COLUMN {} SET NOT NULL", Ident(column.name.clone()))).collect();
    Some(format!(
        "index {} is unique and lacks only NOT NULL: ALTER TABLE {table} {}, then key = {:?}",
        index.name,
        changes.join(", "),
        index.columns
    ))
}
