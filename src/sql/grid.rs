//! Boundary keys: every g-th key of a range, read once, so that a batch's size can follow the clock without another query.
//!
//! Must not know: how many rows a batch should have.

use super::target::{parameters, row};
use super::{Bounds, Target};

/// Every `step`-th key of `(after, through]`, at most `cells` of them, each as one `text[]`.
///
/// Each cell is found by an index-only skip from the last boundary; a window function over the same keys took three
/// times as long (17 ms against 6 ms for 100,000 keys).
///
/// Parameters: the bounds, then `step - 1`, then `cells`.
#[must_use]
pub fn grid(target: &Target, bounds: Bounds) -> String {
    // No user's expression is in it, and the table may be called `grid`.
    let target = &target.under_our_name();
    let columns = target.columns();
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
        from = target.source(),
        between = target.between(bounds),
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
#[must_use]
pub fn count(target: &Target, bounds: Bounds) -> String {
    format!("SELECT count(*)\nFROM {}\nWHERE {}", target.source(), target.between(bounds))
}

/// The first keys of `(after, through]`, at most as many as the parameter after the bounds says: `key`, if it is one integer, and
/// the `page` its row is on.
#[must_use]
pub fn neighbours(target: &Target, bounds: Bounds) -> String {
    let columns = target.columns();
    let key = match target.key.as_slice() {
        [one] if one.ty.is_integer() => format!("{}::bigint", columns[0]),
        _ => "NULL::bigint".to_owned(),
    };
    format!(
        "SELECT {key} AS key, (ctid::text::point)[0]::bigint AS page\nFROM {}\nWHERE {}\nORDER BY {}\nLIMIT ${}",
        target.source(),
        target.between(bounds),
        columns.join(", "),
        bounds.parameters(columns.len()) + 1
    )
}

/// The last key of the leaf as one `text[]`, no row if the leaf is empty.
#[must_use]
pub fn max_key(target: &Target) -> String {
    let columns = target.columns();
    let text: Vec<_> = columns.iter().map(|column| format!("{column}::text")).collect();
    let order: Vec<_> = columns.iter().map(|column| format!("{column} DESC")).collect();
    format!(
        "SELECT ARRAY[{}]\nFROM {}\nORDER BY {}\nLIMIT 1",
        text.join(", "),
        target.source(),
        order.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyColumn, KeyType};
    use crate::sql::{Ident, Qualified};

    fn events() -> Target {
        let column = |name: &str, ty| KeyColumn { name: name.into(), ty, collate: None };
        Target {
            table: Qualified::new("app", "events"),
            alias: Ident("events".into()),
            key: vec![column("day", KeyType::Date), column("id", KeyType::BigInt)],
        }
    }

    #[test]
    fn the_grid_skips_from_boundary_to_boundary() {
        insta::assert_snapshot!(grid(&events(), Bounds::AfterAndThrough), @r#"
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
        insta::assert_snapshot!(max_key(&events()), @r#"
        SELECT ARRAY["events"."day"::text, "events"."id"::text]
        FROM ONLY "app"."events" AS "events"
        ORDER BY "events"."day" DESC, "events"."id" DESC
        LIMIT 1
        "#);
    }
}
