//! The two statements of a batch that name the target: the one that locks the range, and the user's UPDATE.
//!
//! Must not know: where the parameters' values come from.

use std::fmt::Write as _;

use super::stripe::{self, Stripe};
use super::{Bounds, Ident, Qualified};
use crate::key::KeyColumn;

/// A leaf table with its key: what every built statement is about.
#[derive(Clone, Debug)]
pub struct Target {
    /// The leaf table.
    pub table: Qualified,
    /// What the user's expressions call it: the name of the table that the job names, so that `orders.status` means
    /// the same in every partition.
    pub alias: Ident,
    /// The key's columns, in the order of its index.
    pub key: Vec<KeyColumn>,
}

/// The part of a job that becomes SQL.
#[derive(Clone, Debug)]
pub struct Change {
    /// Column and expression.
    pub set: Vec<(Ident, String)>,
    /// Columns of other indexes that are assigned their own value: the update is as HOT as before, but the server then does not
    /// search full index pages for copies of the row, in vain.
    pub quiet: Vec<Ident>,
    /// The predicate.
    pub filter: Option<String>,
    /// The lookup's FROM item and its join condition.
    pub lookup: Option<(String, String)>,
}

impl Target {
    /// The same under a name that none of our own can be mistaken for, where the user's expressions have no say.
    pub(super) fn under_our_name(&self) -> Self {
        Self { alias: Ident("pgbackfill_row".into()), ..self.clone() }
    }

    /// One key column, with the collation of its index where the column's own would not use the index.
    pub(super) fn column(&self, column: &KeyColumn) -> String {
        let name = format!("{}.{}", self.alias, Ident(column.name.clone()));
        match &column.collate {
            Some((schema, collation)) => {
                format!("({name} COLLATE {})", Qualified::new(schema, collation))
            }
            None => name,
        }
    }

    pub(super) fn columns(&self) -> Vec<String> {
        self.key.iter().map(|column| self.column(column)).collect()
    }

    /// `ONLY` because a leaf has no children of its own, and a child that somebody adds must not be touched.
    pub(super) fn source(&self) -> String {
        format!("ONLY {} AS {}", self.table, self.alias)
    }

    /// `key <= through [AND key > after]`, with parameters from `$1` on.
    ///
    /// The planner guesses a comparison of rows by the first column, each side on its own: 1,000 rows from the middle of the
    /// table count as a quarter of it, and a lookup is joined by reading the other table as a whole (456 ms a batch against
    /// 13 ms). What follows for the first column alone is true of the same rows, and there both sides are estimated together.
    pub(super) fn between(&self, bounds: Bounds) -> String {
        let (columns, n) = (self.columns(), self.key.len());
        let mut all = vec![format!("{} <= {}", row(&columns), row(&parameters(1, n)))];
        if bounds == Bounds::AfterAndThrough {
            all.push(format!("{} > {}", row(&columns), row(&parameters(n + 1, n))));
            if n > 1 {
                all.push(format!("{first} <= $1\nAND {first} >= ${}", n + 1, first = columns[0]));
            }
        }
        all.join("\nAND ")
    }
}

/// `$first … $first+n-1`
pub(super) fn parameters(first: usize, n: usize) -> Vec<String> {
    (first..first + n).map(|i| format!("${i}")).collect()
}

/// A single value as it is, several as a row: PostgreSQL compares rows column by column and a btree can serve it.
pub(super) fn row(parts: &[String]) -> String {
    match parts {
        [one] => one.clone(),
        many => format!("({})", many.join(", ")),
    }
}

/// The user's text in parentheses of its own; the line break keeps a trailing `--` comment from swallowing ours.
pub(super) fn enclosed(expression: &str) -> String {
    format!("(\n{expression}\n)")
}

/// The UPDATE of one batch: the rows of one stripe of `(after, through]` that the predicate selects.
#[must_use]
pub fn update(target: &Target, change: &Change, bounds: Bounds, stripe: Stripe) -> String {
    changing(target, change, stripe.runs.map(stripe::source), &rows_of(target, bounds, stripe))
}

/// The same UPDATE of one row alone. Parameters: the columns of its key.
#[must_use]
pub fn update_one(target: &Target, change: &Change) -> String {
    changing(target, change, None, &is_at(target))
}

/// `key = …`, with parameters from `$1` on.
fn is_at(target: &Target) -> String {
    format!("{} = {}", row(&target.columns()), row(&parameters(1, target.key.len())))
}

fn changing(target: &Target, change: &Change, runs: Option<String>, rows: &str) -> String {
    let quiet = change.quiet.iter().map(|column| format!("{column} = {}.{column}", target.alias));
    let set = change.set.iter().map(|(column, e)| format!("{column} = {}", enclosed(e)));
    let set: Vec<_> = set.chain(quiet).collect();
    let mut sql = format!("UPDATE {}\nSET {}", target.source(), set.join(",\n    "));
    let sources: Vec<_> =
        runs.into_iter().chain(change.lookup.iter().map(|(from, _)| from.clone())).collect();
    // Writing to a String cannot fail.
    if !sources.is_empty() {
        let _ = write!(sql, "\nFROM {}", sources.join(", "));
    }
    let _ = write!(sql, "\nWHERE {rows}");
    let conditions = change.lookup.iter().map(|(_, on)| on).chain(&change.filter);
    for condition in conditions {
        let _ = write!(sql, "\nAND {}", enclosed(condition));
    }
    sql
}

fn rows_of(target: &Target, bounds: Bounds, stripe: Stripe) -> String {
    if stripe.runs.is_some() {
        return stripe::within(target);
    }
    let all = [Some(target.between(bounds)), stripe::condition(target, stripe)];
    all.into_iter().flatten().collect::<Vec<_>>().join("\nAND ")
}

/// The same UPDATE, run under EXPLAIN: it tells the bytes of WAL that it wrote, which no counter does for one session before
/// PostgreSQL 18, and with RETURNING the exact number of rows that it changed.
#[must_use]
pub fn measured(update: &str) -> String {
    format!("EXPLAIN (ANALYZE, WAL, TIMING OFF, SUMMARY OFF, COSTS OFF, FORMAT JSON)\n{update}\nRETURNING 1")
}

/// Locks the range's row, which is the lease, and reads where it stands and whether its table is still the same.
///
/// The empty scan of the target takes an ACCESS SHARE lock on it before the statement's snapshot is taken: from here to
/// COMMIT nobody can rename, drop, detach or retype it, so what `fence` finds holds for the whole batch.
///
/// Parameters: run, number of the range, the quoted name of the leaf, the key's column names.
#[must_use]
pub fn lock(target: &Target) -> String {
    fenced(super::fixed::RANGE_LOCK, target, "r")
}

/// The same for a row of the quarantine: its lock is the lease, and somebody else who has it is not waited for.
///
/// Parameters: run, number of the leaf, the key as one `text[]`, the quoted name of the leaf, the key's column names.
#[must_use]
pub fn lock_bad_row(target: &Target) -> String {
    fenced(super::fixed::BAD_ROW_LOCK, target, "b")
}

fn fenced(select: &str, target: &Target, locked: &str) -> String {
    format!(
        "{select}AND NOT EXISTS (SELECT FROM {} WHERE false)\nFOR UPDATE OF {locked} SKIP LOCKED",
        target.source()
    )
}

/// Whether there is a row with this key. Parameters: the columns of the key.
#[must_use]
pub fn exists(target: &Target) -> String {
    exists_in(target, Stripe::ALL)
}

/// Whether there is a row with this key in a stripe. Parameters: the columns of the key.
#[must_use]
pub fn exists_in(target: &Target, stripe: Stripe) -> String {
    let all = [Some(is_at(target)), stripe::condition(target, stripe)];
    let all: Vec<_> = all.into_iter().flatten().collect();
    format!("SELECT EXISTS (SELECT FROM {} WHERE {})", target.source(), all.join("\nAND "))
}

/// Takes a row that was changed out of the quarantine and counts it in the range that has its key. The table is read for that: its
/// columns alone know in which order their values are.
///
/// Parameters: the columns of the key, then the run, the number of the leaf, the key as one `text[]`.
#[must_use]
pub fn settle_bad_row(target: &Target) -> String {
    // The table may be called `r`.
    let target = target.under_our_name();
    let (columns, n) = (row(&target.columns()), target.key.len());
    let bound = |name: &str| {
        let values = target.key.iter().enumerate();
        row(&values
            .map(|(i, column)| format!("r.{name}[{}]::{}", i + 1, column.ty.name()))
            .collect::<Vec<_>>())
    };
    format!(
        "WITH settled AS (\n    DELETE FROM pgbackfill.bad_row\n    WHERE run = ${run}\n    AND leaf = ${leaf}\n    AND key = ${key}\n)\n\
         UPDATE pgbackfill.range AS r\nSET rows_changed = r.rows_changed + 1\nFROM {from}\nWHERE {at}\n\
         AND r.run = ${run}\nAND r.leaf = ${leaf}\nAND (r.lo IS NULL OR {columns} > {lo})\nAND {columns} <= {hi}\nRETURNING r.number",
        run = n + 1,
        leaf = n + 2,
        key = n + 3,
        from = target.source(),
        at = is_at(&target),
        lo = bound("lo"),
        hi = bound("hi"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyType;
    use crate::stripe::{StripeBy, Striping};

    const WHOLE: Stripe = Stripe { striping: Striping::WHOLE, number: 0, runs: None };

    fn orders() -> Target {
        Target {
            table: Qualified::new("public", "orders_2024"),
            alias: Ident("orders".into()),
            key: vec![KeyColumn { name: "id".into(), ty: KeyType::BigInt, collate: None }],
        }
    }

    fn change() -> Change {
        Change {
            set: vec![(Ident("status_v2".into()), "upper(status) -- the new one".into())],
            quiet: vec![],
            filter: Some("status_v2 IS NULL".into()),
            lookup: None,
        }
    }

    #[test]
    fn a_batch_is_a_closed_key_range_of_one_leaf() {
        insta::assert_snapshot!(update(&orders(), &change(), Bounds::AfterAndThrough, WHOLE), @r#"
        UPDATE ONLY "public"."orders_2024" AS "orders"
        SET "status_v2" = (
        upper(status) -- the new one
        )
        WHERE "orders"."id" <= $1
        AND "orders"."id" > $2
        AND (
        status_v2 IS NULL
        )
        "#);
    }

    #[test]
    fn a_composite_key_is_compared_as_a_row_in_the_collation_of_its_index() {
        let mut target = orders();
        target.key.push(KeyColumn {
            name: "Name".into(),
            ty: KeyType::Text,
            collate: Some(("pg_catalog".into(), "C".into())),
        });
        let mut change = change();
        change.lookup = Some(("users AS u".into(), "u.id = orders.user_id".into()));
        insta::assert_snapshot!(update(&target, &change, Bounds::Through, WHOLE), @r#"
        UPDATE ONLY "public"."orders_2024" AS "orders"
        SET "status_v2" = (
        upper(status) -- the new one
        )
        FROM users AS u
        WHERE ("orders"."id", ("orders"."Name" COLLATE "pg_catalog"."C")) <= ($1, $2)
        AND (
        u.id = orders.user_id
        )
        AND (
        status_v2 IS NULL
        )
        "#);
    }

    #[test]
    fn a_stripe_is_one_more_condition_and_a_quiet_column_one_more_assignment() {
        let change = Change { quiet: vec![Ident("customer_id".into())], ..change() };
        let striping = Striping::new(8, StripeBy::Bits { shift: 1 }).unwrap();
        let sql =
            update(&orders(), &change, Bounds::AfterAndThrough, Stripe { striping, number: 3, runs: None });
        assert!(sql.contains("\n    \"customer_id\" = \"orders\".\"customer_id\"\n"), "{sql}");
        assert!(sql.contains("\nAND ((\"orders\".\"id\"::bigint >> 1) & 7) = 3\n"), "{sql}");
    }

    #[test]
    fn a_stripe_of_runs_looks_each_of_them_up() {
        let striping = Striping::new(8, StripeBy::Bits { shift: 3 }).unwrap();
        let runs = striping.runs(3, 0, 1000);
        assert!(runs.is_some());
        insta::assert_snapshot!(
            update(&orders(), &change(), Bounds::AfterAndThrough, Stripe { striping, number: 3, runs }),
            @r#"
        UPDATE ONLY "public"."orders_2024" AS "orders"
        SET "status_v2" = (
        upper(status) -- the new one
        )
        FROM (SELECT greatest(lo, $2 + 1), least(lo + 7, $1)
              FROM generate_series($3::bigint, $4::bigint, 64) AS run (lo)
             ) AS pgbackfill_run (pgbackfill_first, pgbackfill_last)
        WHERE "orders"."id" >= pgbackfill_first
        AND "orders"."id" <= pgbackfill_last
        AND (
        status_v2 IS NULL
        )
        "#
        );
    }

    #[test]
    fn the_lock_holds_the_range_and_the_shape_of_its_table() {
        insta::assert_snapshot!(lock(&orders()), @r#"
        -- name: range_lock
        -- The row lock is the lease; what it finds decides, not what the worker remembers.
        SELECT r.stripe,
               r.cursor,
               r.state,
               -- A range that a crash or a failover has lost may have been planned anew under its number, and otherwise.
               r.lo,
               r.hi,
               r.stripes,
               r.stripe_shift,
               -- A pooler may lead a connection to a standby that was promoted, and never tell.
               ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int AS timeline,
               run.state AS run_state,
               -- The counter runs on over transactions until it is flushed, so what this one adds is a difference.
               pg_stat_get_xact_tuples_hot_updated(l.relation) AS hot_before,
               l.relation = to_regclass($3)::oid AS same_relation,
               l.relation = run.target
                   OR run.target IN (SELECT relid FROM pg_partition_ancestors(l.relation::regclass)) AS attached,
               NOT row_security_active(l.relation) AS every_row,
               l.shape = (SELECT string_agg(concat_ws(' ', a.attname, a.atttypid::regtype, a.attcollation), ', ' ORDER BY a.attname)
                          FROM pg_attribute AS a
                          WHERE a.attrelid = l.relation
                          AND a.attname = ANY ($4::text[])) AS same_shape
        FROM pgbackfill.range AS r
        JOIN pgbackfill.leaf AS l ON l.run = r.run AND l.number = r.leaf
        JOIN pgbackfill.run ON run.id = r.run
        WHERE r.run = $1
        AND r.number = $2
        AND NOT EXISTS (SELECT FROM ONLY "public"."orders_2024" AS "orders" WHERE false)
        FOR UPDATE OF r SKIP LOCKED
        "#);
    }

    #[test]
    fn a_bad_row_is_changed_alone_and_counted_where_its_key_belongs() {
        insta::assert_snapshot!(update_one(&orders(), &change()), @r#"
        UPDATE ONLY "public"."orders_2024" AS "orders"
        SET "status_v2" = (
        upper(status) -- the new one
        )
        WHERE "orders"."id" = $1
        AND (
        status_v2 IS NULL
        )
        "#);
        insta::assert_snapshot!(settle_bad_row(&orders()), @r#"
        WITH settled AS (
            DELETE FROM pgbackfill.bad_row
            WHERE run = $2
            AND leaf = $3
            AND key = $4
        )
        UPDATE pgbackfill.range AS r
        SET rows_changed = r.rows_changed + 1
        FROM ONLY "public"."orders_2024" AS "pgbackfill_row"
        WHERE "pgbackfill_row"."id" = $1
        AND r.run = $2
        AND r.leaf = $3
        AND (r.lo IS NULL OR "pgbackfill_row"."id" > r.lo[1]::bigint)
        AND "pgbackfill_row"."id" <= r.hi[1]::bigint
        RETURNING r.number
        "#);
        assert!(lock_bad_row(&orders()).ends_with("WHERE false)\nFOR UPDATE OF b SKIP LOCKED"));
    }
}
