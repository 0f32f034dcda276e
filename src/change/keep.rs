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
use crate::sql::OldValues;

/// Rows that are kept in one row of the table: what is put back in one transaction.
const ROWS_MAX: u32 = 5_000;
/// And their values, in bytes: large documents make short arrays.
const BYTES_MAX: u32 = 1 << 20;

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
    let sizes: Vec<_> =
        old.values().iter().map(|value| format!("coalesce(pg_column_size({value}), 0)")).collect();
    format!(
        "{first}\nRETURNING {after}({again}) IS TRUE AS again, {was}, {written} AS written\n), pgbackfill_kept AS (\n\
         INSERT INTO {table} (rows, {names})\nSELECT count(*), {aggregates}\n\
         FROM (SELECT *, (row_number() OVER all_rows - 1) / {ROWS_MAX} + sum({sizes}) OVER all_rows / {BYTES_MAX} AS part\n\
         FROM pgbackfill_changed WINDOW all_rows AS (ROWS UNBOUNDED PRECEDING)) AS parts\nGROUP BY part\n)",
        was = was.join(", "),
        written = old.fingerprint(&now),
        table = old.table,
        names = arrays.join(", "),
        aggregates = aggregates.join(", "),
        sizes = sizes.join(" + "),
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
