//! What is asked besides the fixed statements to find out how the server is: a short transaction like those
//! of the application, and a signal that a job brings along.
//!
//! Must not know: what follows from it.

use super::bare;
use super::settings::set_all;

/// Runs `read`, which reads one row by its key, if there is one, and commits something of no size, which the
/// server flushes as it does the application's commits. It tells the WAL position then. Nothing is locked, no
/// table is written, no privilege is needed.
///
/// Several statements without BEGIN are one transaction, so that there is nothing to end if one of them
/// fails.
#[must_use]
pub fn latency_probe(read: Option<&str>) -> String {
    // A session that holds a lock on the table shows in another signal.
    let patience = set_all(&[("statement_timeout", "3000"), ("lock_timeout", "200"), ("jit", "off")]);
    let read = read.map(|read| format!("{read};\n")).unwrap_or_default();
    format!("{patience};\n{read}SELECT pg_logical_emit_message(true, 'pgbackfill', '')::text")
}

/// One number from a user's query; the server says whether it is one row with one number.
#[must_use]
pub fn custom_signal(query: &str) -> String {
    // The line break ends a comment at its end.
    format!("SELECT (\n{}\n)::float8", bare(query))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_reads_a_row_and_commits() {
        insta::assert_snapshot!(latency_probe(Some("SELECT FROM t WHERE id = '7'")), @r#"
        SELECT set_config('statement_timeout', '3000', true), set_config('lock_timeout', '200', true), set_config('jit', 'off', true);
        SELECT FROM t WHERE id = '7';
        SELECT pg_logical_emit_message(true, 'pgbackfill', '')::text
        "#);
        assert!(!latency_probe(None).contains("FROM"));
    }
}
