//! The UPDATE that keeps the values that it replaces, in the same statement: so no crash can part a change
//! from what was there before.
//!
//! Up to PostgreSQL 17 RETURNING tells new values only, and a copy of the row that is read beside the UPDATE
//! has the values of the snapshot, not those of the version that is updated after a wait for another session.
//! So the rows are locked first: a lock gives the latest version.
//!
//! Must not know: when it is run.

use super::update::Update;
use crate::scan::Rows;
use crate::sql::{OldValues, ROWS, WRITTEN};

/// Old values that are kept in one row of the table, in bytes: large documents make short arrays. Where all
/// values are small a batch is one row.
const BYTES_MAX: u32 = 1 << 20;

/// What has to be set where the rows are looked up band by band: then they are found again one by one, too,
/// instead of among all rows between the first band and the last. A third source to join would leave too much
/// to the planner: with the bands once more 2 million rows took 348 s instead of 8.
pub(super) const ONE_BY_ONE: &str = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/// The UPDATE of these rows as the first part of a statement that tells how many there were.
pub(super) fn keeping(update: &Update, old: &OldValues, rows: &Rows) -> String {
    let again = update.again(rows);
    let arrays = old.arrays();
    let (first, before, after) = if old.returning_old {
        let with = "WITH (OLD AS pgbackfill_before, NEW AS pgbackfill_after)";
        (
            format!("WITH pgbackfill_changed AS (\n{}", update.text(rows)),
            "pgbackfill_before",
            format!("{with} "),
        )
    } else {
        let join: Vec<_> = old
            .keys()
            .iter()
            .zip(&rows.key)
            .map(|(kept, column)| format!("{column} = pgbackfill_old.{kept}"))
            .chain([rows.around.clone()])
            .collect();
        let first = format!(
            "WITH pgbackfill_old AS MATERIALIZED (\n{}\n), pgbackfill_changed AS (\n{}",
            locked(update, old, rows),
            update.text_beside("pgbackfill_old", &join.join("\nAND "), rows)
        );
        (first, "pgbackfill_old", String::new())
    };
    let was: Vec<_> = if old.returning_old {
        let kept = old.key.iter().chain(&old.columns).map(|column| column.kept(before));
        kept.zip(&arrays).map(|(value, name)| format!("{value} AS {name}")).collect()
    } else {
        arrays.iter().take(arrays.len() - 1).map(|name| format!("{before}.{name}")).collect()
    };
    let now = if old.returning_old { "pgbackfill_after".to_owned() } else { rows.alias.to_string() };
    let aggregates: Vec<_> = arrays.iter().map(|array| format!("array_agg({array})")).collect();
    format!(
        "{first}\nRETURNING {after}({again}) IS TRUE AS again, {was}, {written} AS {WRITTEN}\n), pgbackfill_kept AS (\n\
         INSERT INTO {table} ({ROWS}, {names})\nSELECT count(*), {aggregates}\nFROM {parts}\n)",
        was = was.join(", "),
        written = old.fingerprint(&now),
        table = old.table,
        names = arrays.join(", "),
        aggregates = aggregates.join(", "),
        parts = parts(old),
    )
}

/// The changed rows in parts, none of which is empty.
fn parts(old: &OldValues) -> String {
    let varying = old.columns.iter().zip(old.values()).filter(|(column, _)| !column.is_fixed);
    let sizes: Vec<_> = varying.map(|(_, value)| format!("coalesce(pg_column_size({value}), 0)")).collect();
    if sizes.is_empty() {
        return "pgbackfill_changed\nHAVING count(*) > 0".to_owned();
    }
    format!(
        "(SELECT *, sum({}) OVER (ROWS UNBOUNDED PRECEDING) / {BYTES_MAX} AS part\nFROM pgbackfill_changed) AS parts\nGROUP BY part",
        sizes.join(" + ")
    )
}

/// The rows, locked, with what is there.
fn locked(update: &Update, old: &OldValues, rows: &Rows) -> String {
    let alias = rows.alias.to_string();
    let kept = old.key.iter().chain(&old.columns).map(|column| column.kept(&alias));
    let kept: Vec<_> = kept.zip(old.arrays()).map(|(value, name)| format!("{value} AS {name}")).collect();
    let from: Vec<_> = std::iter::once(&rows.walked)
        .chain(&rows.beside)
        .chain(update.lookup.iter().map(|lookup| &lookup.from))
        .cloned()
        .collect();
    let conditions = std::iter::once(rows.condition.clone()).chain(update.selecting(rows));
    format!(
        "SELECT {}\nFROM {}\nWHERE {}\nFOR NO KEY UPDATE OF {alias}",
        kept.join(", "),
        from.join(", "),
        conditions.collect::<Vec<_>>().join("\nAND ")
    )
}
