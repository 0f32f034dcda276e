//! What reads rows that were changed, and compares them with what the change would make of them.
//!
//! It is no change, and goes the same way: rows of a batch, one statement, one count.
//!
//! Must not know: how the rows are found, what becomes of a row that differs.

use std::fmt::Write as _;

use super::check::{self, Check, Clause};
use super::needs::Needs;
use super::update::Update;
use crate::scan::{Rows, Scan};
use crate::sql::{Ident, enclosed, literal};

/// More rows of a batch than that are counted, and not told.
const TOLD_MAX: usize = 1_000;

/// What a row is compared with.
#[derive(Clone, Debug)]
pub struct Verify {
    /// The change that was made.
    pub of: Update,
    /// Which rows are judged; none: all.
    pub judged: Option<String>,
    /// The predicate of the change, where no row is to match any more.
    pub unfilled: Option<String>,
    /// Columns that are set, each with the condition that it has not the value that it should have.
    pub columns: Vec<(Ident, String)>,
    /// What must not be false, each with its name.
    pub checks: Vec<(String, String)>,
}

/// A reason for a row to be wrong.
struct Reason {
    /// In words.
    words: String,
    /// True of a row for which it holds.
    condition: String,
}

impl Verify {
    /// What the role needs for it.
    pub const NEEDS: Needs = Needs { privileges: &["SELECT"], words: "read" };

    /// What is compared, in words.
    #[must_use]
    pub fn compared(&self) -> Vec<String> {
        let rows = self.unfilled.iter().map(|_| "rows".to_owned());
        let columns = self.columns.iter().map(|(column, _)| format!("column {column}"));
        let checks = self.checks.iter().map(|(name, _)| format!("check {name}"));
        rows.chain(columns).chain(checks).collect()
    }

    /// The change of those rows alone that differ, and that it can put right.
    #[must_use]
    pub fn repair(&self) -> Update {
        let wrong = self.unfilled.iter().map(|filter| format!("{} IS TRUE", enclosed(filter)));
        let wrong = wrong.chain(self.columns.iter().map(|(_, differs)| enclosed(differs)));
        let wrong = wrong.collect::<Vec<_>>().join("\nOR ");
        let filter = self.judged.iter().map(|judged| enclosed(judged)).chain([enclosed(&wrong)]);
        Update { filter: Some(filter.collect::<Vec<_>>().join("\nAND ")), ..self.of.clone() }
    }

    fn reasons(&self) -> Vec<Reason> {
        let unfilled = self.unfilled.iter().map(|filter| Reason {
            words: "is still selected by the job".to_owned(),
            condition: format!("{} IS TRUE", enclosed(filter)),
        });
        let columns = self.columns.iter().map(|(column, differs)| Reason {
            words: format!("{column} is not what `set` gives"),
            condition: enclosed(differs),
        });
        let checks = self.checks.iter().map(|(name, condition)| Reason {
            words: format!("check {name} is false"),
            condition: format!("{} IS FALSE", enclosed(condition)),
        });
        unfilled.chain(columns).chain(checks).collect()
    }

    /// Gives the number of rows that were judged, of those that are wrong, and of these the first as JSON:
    /// version, reasons, key.
    ///
    /// An aggregate's arguments are computed for the rows alone that its FILTER lets through.
    pub(super) fn text(&self, rows: &Rows) -> String {
        let reasons = self.reasons();
        let wrong = reasons.iter().map(|reason| reason.condition.as_str()).collect::<Vec<_>>().join("\nOR ");
        let words: Vec<_> = reasons
            .iter()
            .map(|Reason { words, condition }| format!("CASE WHEN {condition} THEN {} END", literal(words)))
            .collect();
        let (alias, words) = (&rows.alias, words.join(",\n"));
        let key = rows.key_texts().join(", ");
        let from: Vec<_> = std::iter::once(&rows.walked)
            .chain(&rows.beside)
            .chain(self.of.lookup.iter().map(|lookup| &lookup.from))
            .cloned()
            .collect();
        let mut sql = format!(
            "SELECT rows, coalesce(array_length(wrong, 1), 0)::bigint AS wrong, to_jsonb(wrong[1:{TOLD_MAX}][:])::text AS told\n\
             FROM (\nSELECT count(*) AS rows,\n       array_agg(ARRAY[{alias}.xmin::text, concat_ws(', ',\n{words}\n), {key}]) FILTER (WHERE {wrong}) AS wrong\n\
             FROM {}\nWHERE {}",
            from.join(", "),
            rows.condition
        );
        let on = self.of.lookup.iter().map(|lookup| &lookup.on);
        for condition in on.chain(&self.judged) {
            // Writing to a String cannot fail.
            let _ = write!(sql, "\nAND {}", enclosed(condition));
        }
        sql.push_str("\n) AS pgbackfill_compared");
        sql
    }

    /// What the server plans before the first batch.
    pub(super) fn checks(&self, scan: &Scan) -> Vec<Check<'_>> {
        let mut all = self.of.texts(scan);
        let mut from = scan.source();
        if let Some(lookup) = &self.of.lookup {
            from = format!("{from}, {}\n", lookup.from);
        }
        if let Some(judged) = &self.judged {
            all.extend(check::condition(Clause::VerifyRows, &from, judged));
        }
        for (number, (_, condition)) in self.checks.iter().enumerate() {
            all.extend(check::condition(Clause::RowCheck(number), &from, condition));
        }
        if !self.reasons().is_empty() {
            all.push(check::whole(&self.text(&scan.rows_planned())));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::update::tests::{orders, update};
    use super::*;

    fn verify() -> Verify {
        Verify {
            of: update(),
            judged: Some("kind = 'a' -- the others are another job's".into()),
            unfilled: Some("status_v2 IS NULL".into()),
            columns: vec![(
                Ident("status_v2".into()),
                "orders.status_v2 IS DISTINCT FROM upper(status)".into(),
            )],
            checks: vec![("known".into(), "status_v2 IN ('NEW', 'PAID')".into())],
        }
    }

    #[test]
    fn a_batch_is_judged_in_one_statement_and_the_wrong_rows_are_told() {
        let scan = orders();
        insta::assert_snapshot!(verify().text(&scan.rows_planned()), @r#"
        SELECT rows, coalesce(array_length(wrong, 1), 0)::bigint AS wrong, to_jsonb(wrong[1:1000][:])::text AS told
        FROM (
        SELECT count(*) AS rows,
               array_agg(ARRAY["orders".xmin::text, concat_ws(', ',
        CASE WHEN (
        status_v2 IS NULL
        ) IS TRUE THEN 'is still selected by the job' END,
        CASE WHEN (
        orders.status_v2 IS DISTINCT FROM upper(status)
        ) THEN '"status_v2" is not what `set` gives' END,
        CASE WHEN (
        status_v2 IN ('NEW', 'PAID')
        ) IS FALSE THEN 'check known is false' END
        ), to_jsonb("orders"."id") #>> '{}']) FILTER (WHERE (
        status_v2 IS NULL
        ) IS TRUE
        OR (
        orders.status_v2 IS DISTINCT FROM upper(status)
        )
        OR (
        status_v2 IN ('NEW', 'PAID')
        ) IS FALSE) AS wrong
        FROM ONLY "public"."orders_2024" AS "orders"
        WHERE "orders"."id" <= $1
        AND (
        kind = 'a' -- the others are another job's
        )
        ) AS pgbackfill_compared
        "#);
        assert_eq!(verify().compared(), ["rows", "column \"status_v2\"", "check known"]);
    }

    #[test]
    fn a_repair_changes_the_rows_that_differ_and_no_check() {
        insta::assert_snapshot!(verify().repair().filter.unwrap(), @"
        (
        kind = 'a' -- the others are another job's
        )
        AND (
        (
        status_v2 IS NULL
        ) IS TRUE
        OR (
        orders.status_v2 IS DISTINCT FROM upper(status)
        )
        )
        ");
    }
}
