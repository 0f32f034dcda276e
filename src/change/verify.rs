//! What reads rows that were changed, and compares them with what the change would make of them.
//!
//! It is no change, and goes the same way: rows of a batch, one statement, one count.
//!
//! Must not know: how the rows are found, what becomes of a row that differs.

use std::fmt::Write as _;

use super::check::{self, Check, Clause};
use super::kept::KeptRows;
use super::needs::Needs;
use super::update::{Lookup, Update};
use crate::key::Key;
use crate::scan::{Rows, Scan};
use crate::sql::{Ident, NUMBER, WRITTEN, as_text, enclosed, literal};

/// More rows of a batch than that are counted, and not told.
const TOLD_MAX: usize = 1_000;

/// What is compared where values cannot be computed once more.
pub const WRITTEN_BY_THE_RUN: &str = "what the run has written";

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
    /// What the run has written, where it cannot be computed once more. Then its kept values are walked, and
    /// each row is compared with what was written.
    pub written: Option<KeptRows>,
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
        let written = self.written.iter().map(|_| WRITTEN_BY_THE_RUN.to_owned());
        rows.chain(columns).chain(written).chain(checks).collect()
    }

    /// The change of those rows alone that differ, and that it can put right. Columns that cannot be compared
    /// are set only where the job still selects the row: others may be as right.
    #[must_use]
    pub fn repair(&self) -> Update {
        let unfilled = self.unfilled.iter().map(|filter| format!("{} IS TRUE", enclosed(filter)));
        let wrong = unfilled.clone().chain(self.columns.iter().map(|(_, differs)| enclosed(differs)));
        let wrong = wrong.collect::<Vec<_>>().join("\nOR ");
        let filter = self.judged.iter().map(|judged| enclosed(judged)).chain([enclosed(&wrong)]);
        let is_compared = |column: &Ident| self.columns.iter().any(|(known, _)| known == column);
        let unfilled = unfilled.collect::<Vec<_>>().concat();
        let set = self.of.set.iter().filter_map(|(column, expression)| {
            if is_compared(column) {
                return Some((column.clone(), expression.clone()));
            }
            let stays = format!("CASE WHEN {unfilled} THEN {} ELSE {column} END", enclosed(expression));
            (!unfilled.is_empty()).then(|| (column.clone(), stays))
        });
        let (set, filter) = (set.collect(), Some(filter.collect::<Vec<_>>().join("\nAND ")));
        Update { set, filter, ..self.of.clone() }
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
        let written = self.written.iter().map(|kept| Reason {
            words: "is not what the run has written".to_owned(),
            condition: format!(
                "({} IS DISTINCT FROM pgbackfill_kept.{WRITTEN})",
                kept.old.fingerprint(&kept.alias.to_string())
            ),
        });
        unfilled.chain(columns).chain(written).chain(checks).collect()
    }

    /// Gives the number of rows that were judged, of those that are wrong, and of these the first as JSON:
    /// version, reasons, key.
    ///
    /// An aggregate's arguments are computed for the rows alone that its FILTER lets through.
    pub(super) fn text(&self, rows: &Rows) -> String {
        self.text_of(rows, None)
    }

    /// The same of the one row with this key among those of a part.
    pub(super) fn text_of(&self, rows: &Rows, one: Option<&Key>) -> String {
        let reasons = self.reasons();
        let wrong = reasons.iter().map(|reason| reason.condition.as_str()).collect::<Vec<_>>().join("\nOR ");
        let words: Vec<_> = reasons
            .iter()
            .map(|Reason { words, condition }| format!("CASE WHEN {condition} THEN {} END", literal(words)))
            .collect();
        let words = words.join(",\n");
        let (version, key, from, same) = self.places(rows);
        let mut sql = format!(
            "SELECT rows, coalesce(array_length(wrong, 1), 0)::bigint AS wrong, to_jsonb(wrong[1:{TOLD_MAX}][:])::text AS told\n\
             FROM (\nSELECT count(*) AS rows,\n       array_agg(ARRAY[{version}, concat_ws(', ',\n{words}\n), {key}]) FILTER (WHERE {wrong}) AS wrong\n\
             FROM {}\nWHERE {}",
            from.join(", "),
            rows.condition
        );
        if let Some(same) = same {
            let _ = write!(sql, "\nAND {same}");
        }
        if let (Some(kept), Some(one)) = (&self.written, one) {
            for (column, value) in kept.old.keys().iter().zip(&one.0) {
                let _ = write!(sql, "\nAND pgbackfill_kept.{column} = {}", literal(value));
            }
        }
        let on = self.lookup().map(|lookup| &lookup.on);
        for condition in on.chain(&self.judged) {
            // Writing to a String cannot fail.
            let _ = write!(sql, "\nAND {}", enclosed(condition));
        }
        sql.push_str("\n) AS pgbackfill_compared");
        sql
    }

    /// The relation beside the table, where anything that is compared may read it. What was written is
    /// compared whether or not a row finds a partner by now.
    fn lookup(&self) -> impl Iterator<Item = &Lookup> {
        let is_read = self.written.is_none() || !self.columns.is_empty() || !self.checks.is_empty();
        self.of.lookup.iter().filter(move |_| is_read)
    }

    /// The version of a row and its key, as SQL; what is read; and what joins it.
    fn places(&self, rows: &Rows) -> (String, String, Vec<String>, Option<String>) {
        let lookup = self.lookup().map(|lookup| lookup.from.clone());
        let walked = std::iter::once(rows.walked.clone()).chain(rows.beside.clone());
        match &self.written {
            None => {
                let version = format!("{}.xmin::text", rows.alias);
                (version, rows.key_texts().join(", "), walked.chain(lookup).collect(), None)
            }
            Some(kept) => {
                // With the part that it is in, so that it is found again.
                let version = format!("concat_ws(' ', {}.xmin, {}.{NUMBER})", kept.alias, rows.alias);
                let key = kept.key.iter().map(|column| as_text(column));
                let beside = [kept.old.taken_apart(&rows.alias.to_string()), kept.source()];
                let from = walked.chain(beside).chain(lookup).collect();
                let same = kept.same_key("pgbackfill_kept");
                (version, key.collect::<Vec<_>>().join(", "), from, Some(same))
            }
        }
    }

    /// What the server plans before the first batch.
    pub(super) fn checks(&self, scan: &Scan) -> Vec<Check<'_>> {
        if self.written.is_some() {
            // Each text by itself was looked at before it was known what is walked.
            return vec![check::whole(&self.text(&scan.rows_planned()))];
        }
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
            written: None,
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
