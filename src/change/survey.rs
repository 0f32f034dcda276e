//! What the server is asked about a job before it runs: none of these statements changes a row that stays
//! changed.
//!
//! Must not know: what is made of the answers.

use serde_json::Value;

use crate::scan::Scan;
use crate::sql::{Ident, enclosed};

/// The name under which a query asks whether a value is volatile.
pub const VALUE: &str = "pgbackfill_value";

/// The texts of a job that read.
#[derive(Debug)]
pub(super) struct Reads<'a> {
    /// Expressions for values.
    pub(super) values: Vec<&'a str>,
    /// Conditions, each enclosed.
    pub(super) conditions: Vec<String>,
    /// A FROM item beside the walked table.
    pub(super) from: Option<&'a str>,
}

pub(super) fn volatile(texts: &Reads<'_>, scan: &Scan, expression: &str) -> String {
    format!(
        "EXPLAIN (COSTS OFF, FORMAT JSON)\nSELECT 1 FROM (SELECT {} AS x FROM {}\n) AS {VALUE} WHERE {VALUE}.x IS NULL",
        enclosed(expression),
        sources(texts, scan)
    )
}

pub(super) fn reads(texts: &Reads<'_>, scan: &Scan) -> String {
    let values: Vec<_> = texts.values.iter().map(|expression| enclosed(expression)).collect();
    let all = &texts.conditions;
    let filter = if all.is_empty() { String::new() } else { format!("\nWHERE {}", all.join("\nAND ")) };
    format!("EXPLAIN SELECT {}\nFROM {}{filter}", values.join(", "), sources(texts, scan))
}

/// A plan that names every table that is read, however often.
pub(super) fn tables(texts: &Reads<'_>, scan: &Scan) -> String {
    reads(texts, scan).replacen("EXPLAIN", "EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON)", 1)
}

/// Planned and no more; fails with an undefined column if the expression reads another column than these of
/// the walked table.
pub(super) fn of_columns(texts: &Reads<'_>, scan: &Scan, expression: &str, columns: &[Ident]) -> String {
    let columns = columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let walked = format!("(SELECT {columns} FROM ONLY {}) AS {}", scan.table(), scan.alias());
    let from = texts.from.map(str::to_owned);
    let sources = std::iter::once(walked).chain(from).collect::<Vec<_>>().join(", ");
    format!("EXPLAIN SELECT {}\nFROM {sources}", enclosed(expression))
}

pub(super) fn selected(texts: &Reads<'_>, differs: Option<&str>, scan: &Scan) -> String {
    let filter = filter(texts, differs);
    format!("SELECT {}.ctid::text\nFROM {}{filter}", scan.alias(), scan.source())
}

/// Without ONLY: a partitioned table has its rows in its partitions.
pub(super) fn remaining(texts: &Reads<'_>, differs: Option<&str>, scan: &Scan) -> String {
    format!("SELECT count(*)\nFROM {} AS {}{}", scan.table(), scan.alias(), filter(texts, differs))
}

pub(super) fn sample(texts: &Reads<'_>, scan: &Scan, percent: f64, checks: &[(String, Vec<i64>)]) -> String {
    // Without ONLY: a partitioned table has its rows in its partitions. The seed is fixed, so both see the
    // same pages.
    let pages = format!("{} AS {} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (0)", scan.table(), scan.alias());
    let violated = checks.iter().map(|(check, leaves)| {
        let leaves = leaves.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        format!(
            "count(*) FILTER (WHERE {}.tableoid = ANY ('{{{leaves}}}'::oid[]) AND NOT {})",
            scan.alias(),
            enclosed(check)
        )
    });
    let filter = filter(texts, None);
    format!(
        "SELECT (SELECT count(*) FROM {pages}) AS rows,\n       count(*) AS matching,\n       \
         min(ARRAY[{alias}.tableoid::text, {alias}.ctid::text]) AS found,\n       \
         ARRAY[{}]::bigint[] AS violations\nFROM {pages}{filter}",
        violated.collect::<Vec<_>>().join(",\n             "),
        alias = scan.alias(),
    )
}

/// What selects the rows that the change would change, each once however many rows it finds elsewhere.
fn filter(texts: &Reads<'_>, more: Option<&str>) -> String {
    let all: Vec<_> = texts.conditions.iter().cloned().chain(more.map(enclosed)).collect();
    let all = all.join("\nAND ");
    match texts.from {
        Some(from) => format!("\nWHERE EXISTS (SELECT FROM {from}\nWHERE {all})"),
        None if all.is_empty() => String::new(),
        None => format!("\nWHERE {all}"),
    }
}

/// Every node of a plan in JSON.
#[must_use]
pub fn nodes(plan: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    let mut ahead = vec![&plan[0]["Plan"]];
    while let Some(node) = ahead.pop() {
        found.push(node);
        ahead.extend(node["Plans"].as_array().into_iter().flatten());
    }
    found
}

fn sources(texts: &Reads<'_>, scan: &Scan) -> String {
    let from = texts.from.map(str::to_owned);
    std::iter::once(scan.source()).chain(from).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Lookup, Update};
    use crate::key::{KeyColumn, KeyType};
    use crate::scan::{LeafOrder, Walk};
    use crate::sql::Qualified;

    fn orders() -> Scan {
        let key = vec![KeyColumn { name: "id".into(), ty: KeyType::BigInt, collate: None }];
        let walk = Walk { alias: Ident("orders".into()), key, joins_bands: true, reads_alone: true };
        walk.leaf(Qualified::new("public", "orders"), LeafOrder::Keys)
    }

    fn update(lookup: Option<(&str, &str)>) -> Update {
        Update {
            set: vec![(Ident("total".into()), "u.rate * 2 -- twice".into())],
            quiet: vec![],
            filter: Some("total IS NULL".into()),
            differs: None,
            lookup: lookup.map(|(from, on)| Lookup { from: from.to_owned(), on: on.to_owned() }),
            keeps: None,
        }
    }

    #[test]
    fn a_sample_counts_rows_that_match_and_rows_that_violate() {
        let checks = [("total > 0".to_owned(), vec![7, 8])];
        insta::assert_snapshot!(sample(&update(None).reads(), &orders(), 12.5, &checks), @r#"
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
        let sql =
            sample(&update(Some(("users AS u", "u.id = orders.user_id"))).reads(), &orders(), 100.0, &[]);
        assert!(sql.ends_with("WHERE EXISTS (SELECT FROM users AS u\nWHERE (\nu.id = orders.user_id\n)\nAND (\ntotal IS NULL\n))"), "{sql}");
    }

    #[test]
    fn an_expression_is_asked_for_with_everything_it_may_read() {
        let update = update(Some(("users AS u", "u.id = orders.user_id")));
        insta::assert_snapshot!(volatile(&update.reads(), &orders(), &update.set[0].1), @r#"
        EXPLAIN (COSTS OFF, FORMAT JSON)
        SELECT 1 FROM (SELECT (
        u.rate * 2 -- twice
        ) AS x FROM ONLY "public"."orders" AS "orders", users AS u
        ) AS pgbackfill_value WHERE pgbackfill_value.x IS NULL
        "#);
        insta::assert_snapshot!(reads(&update.reads(), &orders()), @r#"
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

    #[test]
    fn every_node_of_a_plan_is_met() {
        let plan = serde_json::json!([{"Plan": {"Alias": "a", "Plans": [
            {"Alias": "b"}, {"Alias": "c", "Plans": [{"Alias": "d"}]}]}}]);
        let mut found: Vec<_> = nodes(&plan).iter().filter_map(|node| node["Alias"].as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, ["a", "b", "c", "d"]);
    }
}
