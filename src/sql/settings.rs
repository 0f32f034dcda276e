//! Settings of one transaction: named profiles, and any list of them in one statement.
//!
//! Must not know: which statement follows.

/// A transaction that plans: marks are read as ISO text in UTC whatever the role's settings say; an index is
/// there, so statistics that are missing must not talk the server out of using it; compiling (`jit`) takes
/// ten times as long as the whole query; and a plan that is lost in a crash is planned again.
pub const PLANNING: &str = "SET LOCAL datestyle = 'ISO, MDY'; SET LOCAL timezone = 'UTC'; SET LOCAL search_path = pg_catalog, pg_temp; \
     SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off; \
     SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '60s'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// Added to another profile: hardly any wait.
pub const IMPATIENT: &str = "SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '1s'";

/// A quick change that may be lost in a crash: it is soon made again, or another one in its place.
pub const PASSING: &str = "SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '10s'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// A quick change that has to last.
pub const LASTING: &str = "SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '10s'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// Added to another profile: its COMMIT is flushed.
pub const FLUSHED: &str = "SET LOCAL synchronous_commit = on";

/// Reading the signals of the server and publishing them.
pub const SIGNALS: &str = "SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '3s'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL jit = off";

/// Reading a signal that a job brings along: nothing can be changed.
pub const CUSTOM_SIGNAL: &str = "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '1s'; SET LOCAL lock_timeout = '500ms'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// A look at catalog and statistics that holds up neither a run nor the application.
pub const LOOKING: &str = "SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '3s'";

/// Planning an expression waits for a session that locks the table, for so long.
pub const CHECKING: &str = "SET LOCAL lock_timeout = '3s'";

/// One snapshot for all statements, which can only read.
pub const ONE_SNAPSHOT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// Values are written as marks and keys are, whatever the role's settings say.
pub const AS_MARKS: &str = "SET LOCAL datestyle = 'ISO, MDY'; SET LOCAL timezone = 'UTC'";

/// Installing the control schema.
pub const INSTALLING: &str = "SET LOCAL lock_timeout = '10s'";

/// What was deferred to the end of the transaction is done at once, and so is what would be from now on.
pub const NOTHING_DEFERRED: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// What fails from here on can be taken back, without the transaction.
pub const SAVEPOINT: &str = "SAVEPOINT pgbackfill_look";

/// Takes it back.
pub const TO_SAVEPOINT: &str = "ROLLBACK TO SAVEPOINT pgbackfill_look";

/// Sequential scans are as good as any other.
pub const SEQUENTIAL_SCANS: &str = "SET LOCAL enable_seqscan = on";

/// A statement that takes as long as it takes.
pub const WITHOUT_LIMIT: &str = "SET LOCAL synchronous_commit = on; SET LOCAL statement_timeout = 0";

/// Added to it, from version 14 on: a client that is gone is noticed in the middle of a statement.
pub const NOTICES_ITS_CLIENT: &str = "; SET LOCAL client_connection_check_interval = 500";

/// What cannot run in a transaction takes as long as it takes.
pub const SESSION_WITHOUT_LIMIT: &str = "SET lock_timeout = 0; SET statement_timeout = 0";

/// Added to it, from version 14 on.
pub const SESSION_NOTICES_ITS_CLIENT: &str = "SET client_connection_check_interval = 500";

/// A longest wait for a lock.
#[must_use]
pub fn lock_timeout(time: std::time::Duration) -> String {
    format!("SET LOCAL lock_timeout = {}", time.as_millis().max(1))
}

/// A longest time for the statements that follow.
#[must_use]
pub fn statement_timeout(time: std::time::Duration) -> String {
    // Zero would be none at all.
    format!("SET LOCAL statement_timeout = {}", time.as_millis().max(1))
}

/// `SELECT set_config(…, true), …`: what SET LOCAL does, in one statement for all of them.
#[must_use]
pub fn set_all(pairs: &[(&str, &str)]) -> String {
    let calls: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("set_config({}, {}, true)", literal(name), literal(value)))
        .collect();
    format!("SELECT {}", calls.join(", "))
}

/// A string constant, in the form that means the same whatever `standard_conforming_strings` says.
#[must_use]
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_own_quotes() {
        assert_eq!(
            set_all(&[("search_path", r#""a'b", c"#), ("x", r"\'")]),
            r#"SELECT set_config('search_path', '"a''b", c', true), set_config('x', E'\\''', true)"#
        );
    }
}
