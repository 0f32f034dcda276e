//! One attempt at the door: lock, change of the catalog, record and COMMIT in one message, so that nothing
//! waits for the way between client and server while the lock is held.
//!
//! Must not know: who is in the way, when an attempt is worth it.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Qualified, fixed, literal};

/// The modes of table locks in the order of the manual (13.3.1), each with those that conflict with it.
const CONFLICTS: [(&str, &[&str]); 4] = [
    (
        "SHARE UPDATE EXCLUSIVE",
        &[
            "ShareUpdateExclusiveLock",
            "ShareLock",
            "ShareRowExclusiveLock",
            "ExclusiveLock",
            "AccessExclusiveLock",
        ],
    ),
    (
        "SHARE",
        &[
            "RowExclusiveLock",
            "ShareUpdateExclusiveLock",
            "ShareRowExclusiveLock",
            "ExclusiveLock",
            "AccessExclusiveLock",
        ],
    ),
    (
        "SHARE ROW EXCLUSIVE",
        &[
            "RowExclusiveLock",
            "ShareUpdateExclusiveLock",
            "ShareLock",
            "ShareRowExclusiveLock",
            "ExclusiveLock",
            "AccessExclusiveLock",
        ],
    ),
    (
        "ACCESS EXCLUSIVE",
        &[
            "AccessShareLock",
            "RowShareLock",
            "RowExclusiveLock",
            "ShareUpdateExclusiveLock",
            "ShareLock",
            "ShareRowExclusiveLock",
            "ExclusiveLock",
            "AccessExclusiveLock",
        ],
    ),
];

/// A lock that a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// SHARE UPDATE EXCLUSIVE: no read and no write conflicts with it.
    ShareUpdateExclusive,
    /// SHARE: every write waits for it.
    Share,
    /// SHARE ROW EXCLUSIVE: every write waits for it, and every other session that asks for it.
    ShareRowExclusive,
    /// ACCESS EXCLUSIVE: everything waits for it.
    AccessExclusive,
}

impl LockMode {
    fn row(self) -> (&'static str, &'static [&'static str]) {
        CONFLICTS[self as usize]
    }

    /// As LOCK TABLE writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The modes that conflict with it, as `pg_locks` writes them.
    #[must_use]
    pub fn conflicts(self) -> &'static [&'static str] {
        self.row().1
    }
}

/// What is done behind the door.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    /// The tables to lock, in this order; none where the statement itself takes the lock.
    pub tables: &'a [Qualified],
    /// How.
    pub mode: LockMode,
    /// The changes of the catalog.
    pub statements: &'a [String],
    /// The number of the step's row.
    pub step: i64,
    /// From the moment of queueing until COMMIT is sent.
    pub stall: Duration,
    /// Whether the step is done with it.
    pub is_last: bool,
}

/// SHARE UPDATE EXCLUSIVE on these tables, each waited for so long. Within a transaction.
#[must_use]
pub fn share_update_exclusive(tables: &[Qualified], time: Duration) -> String {
    let mut sql =
        format!("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {}", time.as_millis().max(1));
    for table in tables {
        // Writing to a String cannot fail.
        let _ = write!(sql, "; LOCK TABLE ONLY {table} IN SHARE UPDATE EXCLUSIVE MODE");
    }
    sql
}

/// Back to where nothing has been tried.
pub const BEFORE_ATTEMPT: &str = "SAVEPOINT before_attempt";
/// The same after an attempt that failed.
pub const AFTER_ATTEMPT: &str = "ROLLBACK TO SAVEPOINT before_attempt";

/// No transaction is open afterwards; the server says so if there was none.
pub const END_ALL: &str = "ROLLBACK";

impl Attempt<'_> {
    /// The attempt, up to COMMIT and beyond, for an open transaction. Its last row tells how long it queued,
    /// how long it held its lock, and how far the WAL has got. Where `knock` is true it never queues.
    ///
    /// A statement stands on lines of its own, so that a comment at its end does not take what follows.
    ///
    /// What times out behind the lock is a statement (57014), before it a lock (55P03).
    #[must_use]
    pub fn sql(&self, knock: bool) -> String {
        let Self { tables, mode, statements, step, .. } = self;
        let stall_ms = self.stall.as_millis().max(1);
        // A statement that takes its lock itself gives up at that before it is too slow.
        let lock_ms = if tables.is_empty() { (stall_ms * 9 / 10).max(1) } else { stall_ms };
        let clock = "extract(epoch FROM clock_timestamp())::text";
        let since = "1000 * (extract(epoch FROM clock_timestamp())::float8 - current_setting('pgbackfill.asked_at')::float8)";
        let left = format!("greatest(1, {stall_ms} - ({since})::int)::text");
        let mut sql = format!(
            "SELECT set_config('pgbackfill.asked_at', {clock}, true); \
             SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {lock_ms}"
        );
        for table in *tables {
            let wait = if knock { " NOWAIT" } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(
                sql,
                "; LOCK TABLE ONLY {table} IN {} MODE{wait}; SELECT set_config('lock_timeout', {left}, true)",
                mode.as_str()
            );
        }
        // One that takes its lock itself waits for it, too.
        if !tables.is_empty() {
            let _ = write!(sql, "; SELECT set_config('pgbackfill.locked_at', {clock}, true)");
        }
        for statement in *statements {
            let _ = write!(sql, "; SELECT set_config('statement_timeout', {left}, true);\n{statement}\n");
        }
        let locked_at = if tables.is_empty() { "asked_at" } else { "locked_at" };
        let done =
            if self.is_last { ", state = 'done', waits_for = NULL, done_at = clock_timestamp()" } else { "" };
        let _ = write!(
            sql,
            "; SELECT set_config('statement_timeout', {left}, true); \
             UPDATE pgbackfill.step SET asked_at = to_timestamp(current_setting('pgbackfill.asked_at')::float8), \
             locked_at = to_timestamp(current_setting('pgbackfill.{locked_at}')::float8), \
             stood_ms = stood_ms + 1000 * (current_setting('pgbackfill.{locked_at}')::float8 - current_setting('pgbackfill.asked_at')::float8), \
             seen_at = clock_timestamp(){done} WHERE id = {step}; \
             SELECT set_config('statement_timeout', '0', true); COMMIT; {}",
            fixed::STEP_HELD.replace("$1", &step.to_string())
        );
        sql
    }
}

/// An attempt that failed kept the application waiting, too.
#[must_use]
pub fn note_attempt(step: i64, stood: Duration) -> String {
    let ms = literal(&format!("{:.3}", stood.as_secs_f64() * 1000.0));
    format!(
        "UPDATE pgbackfill.step SET tries = tries + 1, stood_ms = stood_ms + {ms}::float8 WHERE id = {step}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_conflicts_with_those_that_the_manual_says() {
        for (mode, name, others) in [
            (LockMode::ShareUpdateExclusive, "SHARE UPDATE EXCLUSIVE", 5),
            (LockMode::Share, "SHARE", 5),
            (LockMode::ShareRowExclusive, "SHARE ROW EXCLUSIVE", 6),
            (LockMode::AccessExclusive, "ACCESS EXCLUSIVE", 8),
        ] {
            assert_eq!((mode.as_str(), mode.conflicts().len()), (name, others));
        }
        assert!(!LockMode::ShareUpdateExclusive.conflicts().contains(&"RowExclusiveLock"));
        assert!(!LockMode::Share.conflicts().contains(&"ShareLock"));
    }

    #[test]
    fn an_attempt_sends_everything_at_once_and_commits_last() {
        let tables = [Qualified::new("app", "orders")];
        let statements = ["ALTER TABLE \"app\".\"orders\" ADD COLUMN a int".to_owned()];
        let attempt = Attempt {
            tables: &tables,
            mode: LockMode::AccessExclusive,
            statements: &statements,
            step: 7,
            stall: Duration::from_millis(200),
            is_last: true,
        };
        let (knock, queue) = (attempt.sql(true), attempt.sql(false));
        assert!(knock.contains("LOCK TABLE ONLY \"app\".\"orders\" IN ACCESS EXCLUSIVE MODE NOWAIT;"));
        assert!(queue.contains("LOCK TABLE ONLY \"app\".\"orders\" IN ACCESS EXCLUSIVE MODE;"));
        let places: Vec<_> =
            ["LOCK TABLE", "ADD COLUMN a int", "UPDATE pgbackfill.step", "COMMIT", "held_ms = held_ms"]
                .iter()
                .map(|part| queue.find(part).unwrap())
                .collect();
        assert!(places.is_sorted(), "{queue}");
    }
}
