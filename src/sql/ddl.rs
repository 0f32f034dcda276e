//! Statements that change the catalog.
//!
//! Must not know: when and behind which lock they are run.

use super::{Ident, Qualified, enclosed, literal};

/// The name of the empty table on which the server is asked what a definition means.
pub const COPY: &str = "pg_temp.pgbackfill_copy";

/// An empty copy of a table's columns, which ends with its transaction.
#[must_use]
pub fn copy(table: &Qualified) -> String {
    format!("CREATE TEMPORARY TABLE pgbackfill_copy (LIKE {table}) ON COMMIT DROP")
}

/// On the copy: the column is not there.
#[must_use]
pub fn copy_without(column: &Ident) -> String {
    format!("ALTER TABLE {COPY} DROP COLUMN IF EXISTS {column}")
}

/// A view on the copy, to be asked what it reads.
#[must_use]
pub fn reads(alias: &Ident, values: &[&str], (from, on): (Option<&str>, Option<&str>)) -> String {
    let values: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(number, value)| format!("{} AS v{number}", enclosed(value)))
        .collect();
    let from = from.map(|from| format!(", {from}")).unwrap_or_default();
    let on = on.map(|on| format!("\nWHERE {}", enclosed(on))).unwrap_or_default();
    format!(
        "CREATE TEMPORARY VIEW pgbackfill_reads AS SELECT {}\nFROM {COPY} AS {alias}{from}{on}",
        values.join(", ")
    )
}

/// The view goes.
pub const DROP_READS: &str = "DROP VIEW pg_temp.pgbackfill_reads";

/// A plan that has a scan named `pgbackfill_reads` if the view's value is volatile: the planner keeps apart
/// what it must not compute twice.
pub const IS_VOLATILE: &str =
    "EXPLAIN (COSTS OFF, FORMAT JSON) SELECT 1 FROM pg_temp.pgbackfill_reads WHERE v0 IS NULL";

/// An enum type.
#[must_use]
pub fn create_enum(name: &Qualified, labels: &[&str]) -> String {
    let labels: Vec<_> = labels.iter().map(|label| literal(label)).collect();
    format!("CREATE TYPE {name} AS ENUM ({})", labels.join(", "))
}

/// One more label, at the end.
#[must_use]
pub fn add_label(name: &Qualified, label: &str) -> String {
    format!("ALTER TYPE {name} ADD VALUE IF NOT EXISTS {}", literal(label))
}

/// A foreign key; `is_proven`: its partitions have it already, valid.
#[must_use]
pub fn add_foreign_key(
    table: &str,
    (name, column): (&Ident, &Ident),
    (referenced, rest): (&str, &str),
    is_proven: bool,
) -> String {
    let not_valid = if is_proven { "" } else { " NOT VALID" };
    format!(
        "ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({column}) REFERENCES {referenced}{rest}{not_valid}"
    )
}

/// The empty copy of the table that a foreign key points to, with its keys.
pub const REFERENCED: &str = "pg_temp.pgbackfill_referenced";

/// Makes it; it ends with its transaction.
#[must_use]
pub fn copy_referenced(table: &Qualified) -> String {
    format!(
        "DROP TABLE IF EXISTS {REFERENCED} CASCADE; CREATE TEMPORARY TABLE pgbackfill_referenced (LIKE {table} INCLUDING INDEXES) ON COMMIT DROP"
    )
}

/// A column.
#[must_use]
pub fn add_column(table: &str, column: &Ident, definition: &str) -> String {
    format!("ALTER TABLE {table} ADD COLUMN {column} {definition}")
}

/// A check that holds for what is written from now on.
#[must_use]
pub fn add_check(table: &str, name: &Ident, condition: &str) -> String {
    format!("ALTER TABLE {table} ADD CONSTRAINT {name} CHECK {} NOT VALID", enclosed(condition))
}

/// NOT NULL that holds for what is written from now on; from version 18 on.
#[must_use]
pub fn add_not_null(table: &Qualified, name: &Ident, column: &Ident) -> String {
    format!("ALTER TABLE {table} ADD CONSTRAINT {name} NOT NULL {column} NOT VALID")
}

/// A constraint is looked for in the rows that are there.
#[must_use]
pub fn validate(table: &Qualified, name: &Ident) -> String {
    format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
}

/// A column gets another name.
#[must_use]
pub fn rename_column(table: &str, column: &Ident, name: &Ident) -> String {
    format!("ALTER TABLE {table} RENAME COLUMN {column} TO {name}")
}

/// A column goes, and nothing with it that would have to be said.
#[must_use]
pub fn drop_column(table: &Qualified, column: &Ident) -> String {
    format!("ALTER TABLE {table} DROP COLUMN {column}")
}

/// NULL is allowed again.
#[must_use]
pub fn drop_not_null(table: &Qualified, column: &Ident) -> String {
    format!("ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL")
}

/// An index of a partitioned table goes with all of its parts.
#[must_use]
pub fn drop_whole_index(name: &Qualified) -> String {
    format!("DROP INDEX IF EXISTS {name}")
}

/// The constraint goes.
#[must_use]
pub fn drop_constraint(table: &Qualified, name: &Ident) -> String {
    format!("ALTER TABLE {table} DROP CONSTRAINT {name}")
}

/// The constraint goes, if it is there.
#[must_use]
pub fn drop_constraint_if_exists(table: &Qualified, name: &Ident) -> String {
    format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
}

/// NOT NULL; without a scan where a valid check proves it.
#[must_use]
pub fn set_not_null(table: &Qualified, column: &Ident) -> String {
    format!("ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL")
}

/// What the check says that proves NOT NULL.
#[must_use]
pub fn is_not_null(column: &Ident) -> String {
    format!("{column} IS NOT NULL")
}

/// How an index is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Building {
    /// While its table is locked, as that of an empty copy may be.
    AtOnce,
    /// Beside writers.
    Concurrently,
    /// On a partitioned table without its partitions: an entry of the catalog only.
    Only,
}

/// An index.
#[must_use]
pub fn create_index(table: &str, name: &Ident, definition: &str, is_unique: bool, how: Building) -> String {
    let unique = if is_unique { "UNIQUE " } else { "" };
    let (concurrently, only) = match how {
        Building::AtOnce => ("", ""),
        Building::Concurrently => ("CONCURRENTLY ", ""),
        Building::Only => ("", "ONLY "),
    };
    format!("CREATE {unique}INDEX {concurrently}{name} ON {only}{table} {definition}")
}

/// An index goes, beside writers.
#[must_use]
pub fn drop_index(name: &Qualified) -> String {
    format!("DROP INDEX CONCURRENTLY {name}")
}

/// The index of a partition becomes part of that of its parent.
#[must_use]
pub fn attach_index(parent: &Qualified, partition: &Qualified) -> String {
    format!("ALTER INDEX {parent} ATTACH PARTITION {partition}")
}

/// Statistics of these columns.
#[must_use]
pub fn analyze(table: &Qualified, columns: &[Ident]) -> String {
    let columns: Vec<_> = columns.iter().map(Ident::to_string).collect();
    format!("ANALYZE {table} ({})", columns.join(", "))
}
