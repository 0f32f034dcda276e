//! What the guard asks besides its fixed statements: the canary, a short transaction like those of the application, and a user's own signal.
//!
//! Must not know: what follows from it.

use super::settings::literal;
use super::{Target, settings};
use crate::key::Key;

/// Reads one row by its key, if there is one, and commits something of no size, which the server flushes as it does the application's
/// commits. It tells where the log was then. Nothing is locked, no table is written, no privilege is needed.
///
/// Several statements without BEGIN are one transaction, so that there is nothing to end if one of them fails.
#[must_use]
pub fn canary(row: Option<(&Target, &Key)>) -> String {
    // Whoever waits for a lock on the table says so in another way.
    let patience = settings(&[("statement_timeout", "3000"), ("lock_timeout", "200"), ("jit", "off")]);
    let read = row.map(|(target, key)| {
        let columns = target.columns();
        let same: Vec<_> = columns
            .iter()
            .zip(&key.0)
            .map(|(column, text)| format!("{column} = {}", literal(text)))
            .collect();
        format!("SELECT FROM {} WHERE {};\n", target.source(), same.join(" AND "))
    });
    format!(
        "{patience};\n{}SELECT pg_logical_emit_message(true, 'pgbackfill', '')::text",
        read.unwrap_or_default()
    )
}

/// One number from a user's query; the server says whether it is one row with one number.
#[must_use]
pub fn own_signal(query: &str) -> String {
    // The line break ends a comment at its end.
    format!("SELECT (\n{}\n)::float8", bare(query))
}

/// Without the semicolon that people write at the end of a query.
pub(super) fn bare(query: &str) -> &str {
    query.trim_end().trim_end_matches(';')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyColumn, KeyType};
    use crate::sql::{Ident, Qualified};

    #[test]
    fn a_canary_reads_a_row_and_commits() {
        let column = |name: &str, ty| KeyColumn { name: name.into(), ty, collate: None };
        let target = Target {
            table: Qualified::new("app", "events"),
            alias: Ident("events".into()),
            key: vec![column("name", KeyType::Text), column("id", KeyType::BigInt)],
        };
        let key = Key(vec!["O'Hara".into(), "7".into()]);
        insta::assert_snapshot!(canary(Some((&target, &key))), @r#"
        SELECT set_config('statement_timeout', '3000', true), set_config('lock_timeout', '200', true), set_config('jit', 'off', true);
        SELECT FROM ONLY "app"."events" AS "events" WHERE "events"."name" = 'O''Hara' AND "events"."id" = '7';
        SELECT pg_logical_emit_message(true, 'pgbackfill', '')::text
        "#);
        assert!(!canary(None).contains("FROM"));
    }
}
