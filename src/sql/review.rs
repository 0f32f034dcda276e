//! What the server is asked about a job before it runs: none of these statements changes a row that stays changed.
//!
//! Must not know: what is made of the answers.

use super::target::enclosed;
use super::{Change, Target};

/// The name under which [`volatile`] asks for a value.
pub const VALUE: &str = "pgbackfill_value";

/// A plan in JSON that has a subquery scan named [`VALUE`] if the expression is volatile. The planner merges a subquery into the
/// query around it unless its values may differ from one evaluation to the next; this asks for no more rights than planning does.
#[must_use]
pub fn volatile(target: &Target, change: &Change, expression: &str) -> String {
    format!(
        "EXPLAIN (COSTS OFF, FORMAT JSON)\nSELECT 1 FROM (SELECT {} AS x FROM {}\n) AS {VALUE} WHERE {VALUE}.x IS NULL",
        enclosed(expression),
        sources(target, change)
    )
}

/// Planned and no more; it names every table and view that the job's expressions read, the target among them.
#[must_use]
pub fn reads(target: &Target, change: &Change) -> String {
    let values: Vec<_> = change.set.iter().map(|(_, expression)| enclosed(expression)).collect();
    let all = conditions(change).collect::<Vec<_>>();
    let filter = if all.is_empty() { String::new() } else { format!("\nWHERE {}", all.join("\nAND ")) };
    format!("EXPLAIN SELECT {}\nFROM {}{filter}", values.join(", "), sources(target, change))
}

/// Looks at the rows of about `percent` of the pages of a table and all its partitions: how many there are (`rows`), how many of
/// them the job would change (`matching`), one of these (`found`, its table and place), and how many of these violate each of the
/// `checks`, which are conditions and the tables that they hold for.
#[must_use]
pub fn sample(target: &Target, change: &Change, percent: f64, checks: &[(String, Vec<i64>)]) -> String {
    // Without ONLY: a partitioned table has its rows in its partitions. The seed is fixed, so both see the same pages.
    let pages = format!("{} AS {} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (0)", target.table, target.alias);
    let violated = checks.iter().map(|(check, leaves)| {
        let leaves = leaves.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        format!(
            "count(*) FILTER (WHERE {}.tableoid = ANY ('{{{leaves}}}'::oid[]) AND NOT {})",
            target.alias,
            enclosed(check)
        )
    });
    let all = conditions(change).collect::<Vec<_>>().join("\nAND ");
    let filter = match &change.lookup {
        Some((item, _)) => format!("\nWHERE EXISTS (SELECT FROM {item}\nWHERE {all})"),
        None if all.is_empty() => String::new(),
        None => format!("\nWHERE {all}"),
    };
    format!(
        "SELECT (SELECT count(*) FROM {pages}) AS rows,\n       count(*) AS matching,\n       \
         min(ARRAY[{alias}.tableoid::text, {alias}.ctid::text]) AS found,\n       \
         ARRAY[{}]::bigint[] AS violations\nFROM {pages}{filter}",
        violated.collect::<Vec<_>>().join(",\n             "),
        alias = target.alias,
    )
}

/// The key of the row at a place as one `text[]`; no row if it is gone.
#[must_use]
pub fn key_at(target: &Target) -> String {
    let text: Vec<_> = target.columns().iter().map(|column| format!("{column}::text")).collect();
    format!(
        "SELECT ARRAY[{}]\nFROM {}\nWHERE {}.ctid = $1::tid",
        text.join(", "),
        target.source(),
        target.alias
    )
}

/// The UPDATE of a batch, run under EXPLAIN so that it tells everything it cost.
#[must_use]
pub fn measured_in_full(update: &str) -> String {
    format!("EXPLAIN (ANALYZE, BUFFERS, WAL, COSTS OFF, FORMAT JSON)\n{update}\nRETURNING 1")
}

fn sources(target: &Target, change: &Change) -> String {
    let lookup = change.lookup.iter().map(|(item, _)| item.clone());
    std::iter::once(target.source()).chain(lookup).collect::<Vec<_>>().join(", ")
}

fn conditions(change: &Change) -> impl Iterator<Item = String> {
    change.lookup.iter().map(|(_, on)| on).chain(&change.filter).map(|condition| enclosed(condition))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyColumn, KeyType};
    use crate::sql::{Ident, Qualified};

    fn orders() -> Target {
        Target {
            table: Qualified::new("public", "orders"),
            alias: Ident("orders".into()),
            key: vec![KeyColumn { name: "id".into(), ty: KeyType::BigInt, collate: None }],
        }
    }

    fn change(lookup: Option<(&str, &str)>) -> Change {
        Change {
            set: vec![(Ident("total".into()), "u.rate * 2 -- twice".into())],
            quiet: vec![],
            filter: Some("total IS NULL".into()),
            lookup: lookup.map(|(item, on)| (item.to_owned(), on.to_owned())),
        }
    }

    #[test]
    fn a_sample_counts_rows_that_match_and_rows_that_violate() {
        let checks = [("total > 0".to_owned(), vec![7, 8])];
        insta::assert_snapshot!(sample(&orders(), &change(None), 12.5, &checks), @r#"
        SELECT (SELECT count(*) FROM "public"."orders" AS "orders" TABLESAMPLE SYSTEM (12.5) REPEATABLE (0)) AS rows,
               count(*) AS matching,
               min(ARRAY["orders".tableoid::text, "orders".ctid::text]) AS found,
               ARRAY[count(*) FILTER (WHERE "orders".tableoid = ANY ('{7,8}'::oid[]) AND NOT (
        total > 0
        ))]::bigint[] AS violations
        FROM "public"."orders" AS "orders" TABLESAMPLE SYSTEM (12.5) REPEATABLE (0)
        WHERE (
        total IS NULL
        )
        "#);
    }

    #[test]
    fn with_a_lookup_a_row_matches_if_it_finds_a_partner() {
        let sql = sample(&orders(), &change(Some(("users AS u", "u.id = orders.user_id"))), 100.0, &[]);
        assert!(sql.ends_with("WHERE EXISTS (SELECT FROM users AS u\nWHERE (\nu.id = orders.user_id\n)\nAND (\ntotal IS NULL\n))"), "{sql}");
    }

    #[test]
    fn an_expression_is_asked_for_with_everything_it_may_read() {
        let change = change(Some(("users AS u", "u.id = orders.user_id")));
        insta::assert_snapshot!(volatile(&orders(), &change, &change.set[0].1), @r#"
        EXPLAIN (COSTS OFF, FORMAT JSON)
        SELECT 1 FROM (SELECT (
        u.rate * 2 -- twice
        ) AS x FROM ONLY "public"."orders" AS "orders", users AS u
        ) AS pgbackfill_value WHERE pgbackfill_value.x IS NULL
        "#);
        insta::assert_snapshot!(reads(&orders(), &change), @r#"
        EXPLAIN SELECT (
        u.rate * 2 -- twice
        )
        FROM ONLY "public"."orders" AS "orders", users AS u
        WHERE (
        u.id = orders.user_id
        )
        AND (
        total IS NULL
        )
        "#);
    }
}
