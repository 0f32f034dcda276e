//! Boundary keys: every n-th key of a span, read from the index once, so that a batch's size can follow the
//! clock without another query.
//!
//! Must not know: how many rows a batch should have; it is given a step.

use tokio_postgres::types::Type;

use super::keys::Bounds;
use super::{Cell, KeyScan, Mark, Span};
use crate::db::{Error, Param, Session};
use crate::sql::{parameters, row, settings};

/// Cells that a worker keeps in memory at the most (some 100 bytes each); a range with more is read in parts.
pub const CELLS_MAX: u32 = 4096;

pub(super) async fn cells_in_txn(
    session: &Session,
    scan: &KeyScan,
    span: &Span,
    step: u32,
    cells_max: u32,
) -> Result<Vec<Cell>, Error> {
    let bounds = scan.bounds(span);
    let (skip, cells_max_i4) = (i64::from(step) - 1, cells_max as i32);
    let mut params: Vec<Param<'_>> = bounds.iter().map(|(value, ty)| (value as _, ty.clone())).collect();
    params.extend([(&skip as _, Type::INT8), (&cells_max_i4 as _, Type::INT4)]);
    let rows = session.query(&boundaries(scan, Bounds::of(span)), &params).await?;
    let mut cells: Vec<_> = rows.iter().map(|row| Cell { through: Mark(row.get(0)), rows: step }).collect();
    let at_end = cells.last().is_some_and(|cell| cell.through == span.through);
    if cells.len() < cells_max as usize && !at_end {
        cells.push(tail(session, scan, span, cells.last()).await?);
    }
    Ok(cells)
}

/// What lies between the last whole cell and the end of the span: fewer keys than a step, so counting them is
/// cheap.
async fn tail(session: &Session, scan: &KeyScan, span: &Span, last: Option<&Cell>) -> Result<Cell, Error> {
    let after = last.map(|cell| cell.through.clone()).or_else(|| span.after.clone());
    let rest = Span { after, through: span.through.clone() };
    let bounds = scan.bounds(&rest);
    let params: Vec<Param<'_>> = bounds.iter().map(|(value, ty)| (value as _, ty.clone())).collect();
    let row = session.query_one(&count(scan, Bounds::of(&rest)), &params).await?;
    Ok(Cell { through: rest.through, rows: u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX) })
}

pub(super) async fn last(session: &Session, scan: &KeyScan) -> Result<Option<Mark>, Error> {
    let row = session.query_opt(&last_key(scan), &[]).await?;
    Ok(row.map(|row| Mark(row.get(0))))
}

pub(super) async fn last_now(session: &mut Session, scan: &KeyScan) -> Result<Option<Mark>, Error> {
    let settings = format!("{}; {}", settings::PLANNING, settings::IMPATIENT);
    let rows = session.query_and_rollback(&settings, &last_key(scan), &[]).await?;
    Ok(rows.first().map(|row| Mark(row.get(0))))
}

/// Every `step`-th key of `(after, through]`, at most `cells` of them, each as one `text[]`.
///
/// Each cell is found by an index-only skip from the last boundary; a window function over the same keys took
/// three times as long (17 ms against 6 ms for 100,000 keys).
///
/// Parameters: the bounds, then `step - 1`, then `cells`.
pub(super) fn boundaries(scan: &KeyScan, bounds: Bounds) -> String {
    // No user's expression is in it, and the table may be called `grid`.
    let scan = &scan.under_our_name();
    let columns = scan.columns();
    let n = columns.len();
    let next = bounds.parameters(n) + 1;
    let names: Vec<_> = (1..=n).map(|i| format!("k{i}")).collect();
    let select: Vec<_> = columns.iter().zip(&names).map(|(c, k)| format!("{c} AS {k}")).collect();
    let previous: Vec<_> = names.iter().map(|k| format!("grid.{k}")).collect();
    let step: Vec<_> = names.iter().map(|k| format!("step.{k}")).collect();
    let out: Vec<_> = names.iter().map(|k| format!("{k}::text")).collect();
    format!(
        "WITH RECURSIVE grid AS (\n\
         (SELECT {select}, 1 AS cell\n FROM {from}\n WHERE {between}\n ORDER BY {order}\n OFFSET ${next} LIMIT 1)\n\
         UNION ALL\n\
         SELECT {step}, grid.cell + 1\nFROM grid\nCROSS JOIN LATERAL (\n\
         \x20SELECT {select}\n FROM {from}\n WHERE {key} > {previous}\n AND {key} <= {through}\n ORDER BY {order}\n OFFSET ${next} LIMIT 1\n\
         ) AS step\nWHERE grid.cell < ${cells}\n)\n\
         SELECT ARRAY[{out}]\nFROM grid\nORDER BY cell",
        select = select.join(", "),
        from = scan.source(),
        between = scan.between(bounds),
        order = columns.join(", "),
        step = step.join(", "),
        key = row(&columns),
        previous = row(&previous),
        through = row(&parameters(1, n)),
        cells = next + 1,
        out = out.join(", "),
    )
}

/// How many keys `(after, through]` has; asked only of the last, short cell of a range.
pub(super) fn count(scan: &KeyScan, bounds: Bounds) -> String {
    format!("SELECT count(*)\nFROM {}\nWHERE {}", scan.source(), scan.between(bounds))
}

/// The last key of the leaf as one `text[]`, no row if the leaf is empty.
pub(super) fn last_key(scan: &KeyScan) -> String {
    let columns = scan.columns();
    let text: Vec<_> = columns.iter().map(|column| format!("{column}::text")).collect();
    let order: Vec<_> = columns.iter().map(|column| format!("{column} DESC")).collect();
    format!(
        "SELECT ARRAY[{}]\nFROM {}\nORDER BY {}\nLIMIT 1",
        text.join(", "),
        scan.source(),
        order.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyColumn, KeyType};
    use crate::sql::{Ident, Qualified};

    fn events() -> KeyScan {
        let column = |name: &str, ty| KeyColumn { name: name.into(), ty, collate: None };
        KeyScan {
            table: Qualified::new("app", "events"),
            alias: Ident("events".into()),
            key: vec![column("day", KeyType::Date), column("id", KeyType::BigInt)],
            joins_bands: true,
        }
    }

    #[test]
    fn the_statement_skips_from_boundary_to_boundary() {
        insta::assert_snapshot!(boundaries(&events(), Bounds::AfterAndThrough), @r#"
        WITH RECURSIVE grid AS (
        (SELECT "pgbackfill_row"."day" AS k1, "pgbackfill_row"."id" AS k2, 1 AS cell
         FROM ONLY "app"."events" AS "pgbackfill_row"
         WHERE ("pgbackfill_row"."day", "pgbackfill_row"."id") <= ($1, $2)
        AND ("pgbackfill_row"."day", "pgbackfill_row"."id") > ($3, $4)
        AND "pgbackfill_row"."day" <= $1
        AND "pgbackfill_row"."day" >= $3
         ORDER BY "pgbackfill_row"."day", "pgbackfill_row"."id"
         OFFSET $5 LIMIT 1)
        UNION ALL
        SELECT step.k1, step.k2, grid.cell + 1
        FROM grid
        CROSS JOIN LATERAL (
         SELECT "pgbackfill_row"."day" AS k1, "pgbackfill_row"."id" AS k2
         FROM ONLY "app"."events" AS "pgbackfill_row"
         WHERE ("pgbackfill_row"."day", "pgbackfill_row"."id") > (grid.k1, grid.k2)
         AND ("pgbackfill_row"."day", "pgbackfill_row"."id") <= ($1, $2)
         ORDER BY "pgbackfill_row"."day", "pgbackfill_row"."id"
         OFFSET $5 LIMIT 1
        ) AS step
        WHERE grid.cell < $6
        )
        SELECT ARRAY[k1::text, k2::text]
        FROM grid
        ORDER BY cell
        "#);
    }

    #[test]
    fn the_last_key_is_read_from_the_end_of_the_index() {
        insta::assert_snapshot!(last_key(&events()), @r#"
        SELECT ARRAY["events"."day"::text, "events"."id"::text]
        FROM ONLY "app"."events" AS "events"
        ORDER BY "events"."day" DESC, "events"."id" DESC
        LIMIT 1
        "#);
    }
}
