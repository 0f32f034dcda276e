//! The change that gives columns new values.
//!
//! Must not know: how the rows are found.

use std::fmt::Write as _;

use super::check::{self, Check, Clause};
use super::needs::Needs;
use super::statement::Counts;
use super::survey::Reads;
use crate::scan::{Rows, Scan};
use crate::sql::{Ident, OldValues, enclosed};

/// Columns and the expressions for their values.
#[derive(Clone, Debug)]
pub struct Update {
    /// Column and expression.
    pub set: Vec<(Ident, String)>,
    /// Columns of other indexes that are assigned their own value: the update is as HOT as before, but the
    /// server then does not search full index pages for copies of the row, in vain.
    pub quiet: Vec<Ident>,
    /// The predicate.
    pub filter: Option<String>,
    /// That a row is not yet as the change makes it: one more condition where a row may be met again, and the
    /// job has none that the change makes false.
    pub differs: Option<String>,
    /// Another relation that the expressions read.
    pub lookup: Option<Lookup>,
    /// Where the values that it replaces are kept, if they are.
    pub keeps: Option<Box<OldValues>>,
}

/// Another relation that expressions read.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The FROM item.
    pub from: String,
    /// How it is joined.
    pub on: String,
}

impl Update {
    /// What the role needs for it.
    pub const NEEDS: Needs = Needs { privileges: &["SELECT", "UPDATE"], words: "read and update" };

    /// The UPDATE of these rows as the first part of a statement that tells how many of them it would select
    /// again. RETURNING sees each row as it is now, BEFORE triggers included.
    pub(super) fn counting(&self, rows: &Rows) -> (String, Counts) {
        let text = format!(
            "WITH pgbackfill_changed AS (\n{}\nRETURNING ({}) IS TRUE AS again\n)",
            self.text(rows),
            self.again(rows)
        );
        (text, Counts::OF_CHANGED)
    }

    /// Whether a row that was changed would be selected again; of one that is met once it does not matter.
    pub(super) fn again(&self, rows: &Rows) -> String {
        if !rows.may_come_again {
            return "false".to_owned();
        }
        let again: Vec<_> = self.conditions().chain(self.differs()).collect();
        if again.is_empty() { "true".to_owned() } else { again.join("\nAND ") }
    }

    /// What selects a row, besides that it is one of these.
    pub(super) fn selecting(&self, rows: &Rows) -> impl Iterator<Item = String> {
        self.conditions().chain(self.differs().filter(|_| rows.may_come_again))
    }

    /// The UPDATE of these rows that the predicate selects.
    pub(super) fn text(&self, rows: &Rows) -> String {
        self.of_sources(rows.beside.as_deref(), &rows.condition, rows)
    }

    /// The same of those rows that a FROM item beside the table names.
    pub(super) fn text_beside(&self, beside: &str, condition: &str, rows: &Rows) -> String {
        self.of_sources(Some(beside), condition, rows)
    }

    fn of_sources(&self, beside: Option<&str>, condition: &str, rows: &Rows) -> String {
        let quiet = self.quiet.iter().map(|column| format!("{column} = {}.{column}", rows.alias));
        let set = self.set.iter().map(|(column, e)| format!("{column} = {}", enclosed(e)));
        let set: Vec<_> = set.chain(quiet).collect();
        let mut sql = format!("UPDATE {}\nSET {}", rows.walked, set.join(",\n    "));
        let lookup = self.lookup.iter().map(|lookup| lookup.from.as_str());
        let sources: Vec<_> = beside.into_iter().chain(lookup).collect();
        // Writing to a String cannot fail.
        if !sources.is_empty() {
            let _ = write!(sql, "\nFROM {}", sources.join(", "));
        }
        let _ = write!(sql, "\nWHERE {condition}");
        for condition in self.selecting(rows) {
            let _ = write!(sql, "\nAND {condition}");
        }
        sql
    }

    fn differs(&self) -> impl Iterator<Item = String> {
        self.differs.iter().map(|condition| enclosed(condition))
    }

    /// The join condition and the predicate, each enclosed.
    pub(super) fn conditions(&self) -> impl Iterator<Item = String> {
        let on = self.lookup.iter().map(|lookup| &lookup.on);
        on.chain(&self.filter).map(|condition| enclosed(condition))
    }

    /// The texts of the job, for the questions about them.
    pub(super) fn reads(&self) -> Reads<'_> {
        Reads {
            values: self.set.iter().map(|(_, expression)| expression.as_str()).collect(),
            conditions: self.conditions().collect(),
            from: self.lookup.as_ref().map(|lookup| lookup.from.as_str()),
        }
    }

    /// What the server plans before the first batch.
    pub(super) fn checks(&self, scan: &Scan) -> Vec<Check<'_>> {
        let mut all = self.texts(scan);
        let rows = scan.rows_planned();
        let (text, end) = if rows.may_come_again {
            let (text, counts) = self.counting(&rows);
            (text, format!("\n{}", counts.numbers))
        } else {
            (self.text(&rows), String::new())
        };
        all.push(check::whole(&format!("{text}{end}")));
        all
    }

    /// The checks of each text by itself.
    pub(super) fn texts(&self, scan: &Scan) -> Vec<Check<'_>> {
        let mut from = scan.source();
        let mut all = Vec::new();
        if let Some(lookup) = &self.lookup {
            all.extend(check::lookup(&from, &lookup.from));
            from = format!("{from}, {}\n", lookup.from);
            all.extend(check::condition(Clause::On, &from, &lookup.on));
        }
        for (column, expression) in &self.set {
            all.extend(check::value(Clause::Set(&column.0), &from, expression));
        }
        if let Some(filter) = &self.filter {
            all.extend(check::condition(Clause::Where, &from, filter));
        }
        all
    }

    pub(super) fn privileges(&self) -> String {
        let columns: Vec<_> = self.set.iter().map(|(column, _)| column).chain(&self.quiet).collect();
        let columns = columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!("SELECT, UPDATE ({columns})")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::key::{KeyColumn, KeyType};
    use crate::scan::{Blocks, LeafOrder, Mark, Span, Stripe, Walk};
    use crate::sql::Qualified;
    use crate::stripe::{StripeBy, Striping};

    /// The leaf `orders_2024` of the table `orders`.
    pub(in crate::change) fn orders() -> Scan {
        let key = vec![KeyColumn { name: "id".into(), ty: KeyType::BigInt, collate: None }];
        let walk = Walk { alias: Ident("orders".into()), key, joins_bands: true, reads_alone: true };
        walk.leaf(Qualified::new("public", "orders_2024"), LeafOrder::Keys)
    }

    pub(in crate::change) fn update() -> Update {
        Update {
            set: vec![(Ident("status_v2".into()), "upper(status) -- the new one".into())],
            quiet: vec![],
            filter: Some("status_v2 IS NULL".into()),
            differs: None,
            lookup: None,
            keeps: None,
        }
    }

    fn span() -> Span {
        Span { after: Some(Mark(vec!["0".into()])), through: Mark(vec!["1000".into()]) }
    }

    #[test]
    fn a_batch_is_an_update_of_its_rows_that_the_predicate_selects() {
        insta::assert_snapshot!(update().text(&orders().rows(&span(), Stripe::ALL, 1000)), @r#"
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
    fn bands_and_a_lookup_are_further_from_items_and_a_quiet_column_one_more_assignment() {
        let striping = Striping::new(8, StripeBy::Bits { shift: 3 }).unwrap();
        let lookup = Lookup { from: "users AS u".into(), on: "u.id = orders.user_id".into() };
        let update = Update { quiet: vec![Ident("customer_id".into())], lookup: Some(lookup), ..update() };
        insta::assert_snapshot!(
            update.text(&orders().rows(&span(), Stripe { striping, number: 3 }, 125)),
            @r#"
        UPDATE ONLY "public"."orders_2024" AS "orders"
        SET "status_v2" = (
        upper(status) -- the new one
        ),
            "customer_id" = "orders"."customer_id"
        FROM (SELECT greatest(lo, $2 + 1), least(lo + 7, $1)
              FROM generate_series($3::bigint, $4::bigint, 64) AS band (lo)
             ) AS pgbackfill_band (pgbackfill_first, pgbackfill_last), users AS u
        WHERE "orders"."id" >= pgbackfill_first
        AND "orders"."id" <= pgbackfill_last
        AND (
        u.id = orders.user_id
        )
        AND (
        status_v2 IS NULL
        )
        "#
        );
    }

    #[test]
    fn where_rows_may_come_again_those_that_still_match_are_counted() {
        let walk = Walk { alias: Ident("t".into()), key: Vec::new(), joins_bands: false, reads_alone: true };
        let blocks = Blocks { rows: 60.0, are_swept: false };
        let scan = walk.leaf(Qualified::new("public", "t"), LeafOrder::Heap(blocks));
        let span = Span { after: None, through: Mark(vec!["(9,65535)".into()]) };
        let differs = Update { filter: None, differs: Some("t.status_v2 IS NULL".into()), ..update() };
        let (text, counts) = differs.counting(&scan.rows(&span, Stripe::ALL, 60));
        insta::assert_snapshot!(format!("{text}\n{}", counts.numbers), @r#"
        WITH pgbackfill_changed AS (
        UPDATE ONLY "public"."t" AS "t"
        SET "status_v2" = (
        upper(status) -- the new one
        )
        WHERE "t".ctid <= $1
        AND (
        t.status_v2 IS NULL
        )
        RETURNING ((
        t.status_v2 IS NULL
        )) IS TRUE AS again
        )
        SELECT count(*), count(*) FILTER (WHERE again) FROM pgbackfill_changed
        "#);
    }

    #[test]
    fn a_bad_row_is_changed_alone() {
        let key = crate::key::Key(vec!["7".into()]);
        insta::assert_snapshot!(update().text(&orders().row(&key)), @r#"
        UPDATE ONLY "public"."orders_2024" AS "orders"
        SET "status_v2" = (
        upper(status) -- the new one
        )
        WHERE "orders"."id" = $1
        AND (
        status_v2 IS NULL
        )
        "#);
    }

    #[test]
    fn the_offset_counts_characters_up_to_the_users_text() {
        let walk =
            Walk { alias: Ident("größe".into()), key: Vec::new(), joins_bands: false, reads_alone: true };
        let update = Update {
            set: vec![(Ident("a".into()), "b + 1".into())],
            quiet: vec![],
            filter: Some("c".into()),
            differs: None,
            lookup: None,
            keeps: None,
        };
        let checks = update.checks(&walk.leaf(Qualified::new("public", "größe"), LeafOrder::Keys));
        for check in checks.iter().filter(|check| check.clause != Clause::Whole) {
            let text: String = check.sql.chars().skip(check.offset).collect();
            assert!(text.starts_with("b + 1") || text.starts_with('c'), "{text}");
        }
    }
}
