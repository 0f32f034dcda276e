//! What can befall a run, and what others do to its table meanwhile.
//!
//! Must not know: when it happens.

use crate::support::{COUNT_FILLS, COUNT_UP, FILL_UP};

/// One kind of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Disturbance {
    /// SIGKILL to a process.
    Kill,
    /// SIGTERM to a process.
    Stop,
    /// SIGSTOP to a process, and SIGCONT when all its timeouts are over.
    Freeze,
    /// A session of ours is ended by its administrator.
    Terminate,
    /// A statement of ours is cancelled.
    Cancel,
    /// A server process of ours is killed, and all others with it.
    KillBackend,
    /// The server is stopped like a machine that loses power, and started again.
    Crash,
    /// Rows are locked for a while.
    RowLock,
    /// The whole table is.
    TableLock,
    /// Rows are locked in the opposite order.
    Deadlock,
    /// An index or a column comes or goes.
    Ddl,
    /// Dead rows are removed.
    Vacuum,
    /// Others take all connections that are left.
    Crowd,
    /// The server is restarted with fewer connections than the processes want, or with enough again.
    Shrink,
    /// A standby is promoted that has not got the last commits; who has a connection to the old primary keeps
    /// it.
    Promote,
}

impl Disturbance {
    pub(super) const ALL: [Self; 15] = [
        Self::Kill,
        Self::Stop,
        Self::Freeze,
        Self::Terminate,
        Self::Cancel,
        Self::KillBackend,
        Self::Crash,
        Self::RowLock,
        Self::TableLock,
        Self::Deadlock,
        Self::Ddl,
        Self::Vacuum,
        Self::Crowd,
        Self::Shrink,
        Self::Promote,
    ];
}

/// Rows just ahead of a cursor, locked all at once.
const LOCK_ROWS: &str = "
BEGIN;
SELECT count(*) FROM (SELECT FROM t WHERE id > (SELECT (cursor)[1]::bigint FROM pgbackfill.range WHERE state = 'open' AND cursor IS NOT NULL
                                                ORDER BY random() LIMIT 1)
                      ORDER BY id LIMIT 2000 FOR UPDATE) AS locked;
SELECT pg_sleep(0.4);
COMMIT";

pub(super) const LOCK_TABLE: &str = "
BEGIN;
SET LOCAL lock_timeout = '2s';
LOCK TABLE t IN ACCESS EXCLUSIVE MODE;
SELECT pg_sleep(0.3);
COMMIT";

/// The same rows from the other end, one after the other, so that a batch may hold what is wanted here and
/// the reverse.
const LOCK_BACKWARDS: &str = "
DO $$
DECLARE key bigint;
BEGIN
    FOR key IN SELECT id FROM (SELECT id FROM t WHERE id > (SELECT (cursor)[1]::bigint FROM pgbackfill.range WHERE state = 'open' AND cursor IS NOT NULL
                                                            ORDER BY random() LIMIT 1)
                               ORDER BY id LIMIT 40) AS ahead ORDER BY id DESC
    LOOP
        PERFORM FROM t WHERE id = key FOR UPDATE;
        PERFORM pg_sleep(0.005);
    END LOOP;
END
$$";

pub(super) const DDL: [&str; 4] = [
    "SET lock_timeout = '2s'; CREATE INDEX IF NOT EXISTS t_born ON t (born)",
    "SET lock_timeout = '2s'; ALTER TABLE t ADD COLUMN IF NOT EXISTS extra int DEFAULT 7",
    "SET lock_timeout = '2s'; DROP INDEX IF EXISTS t_born",
    "SET lock_timeout = '2s'; ALTER TABLE t DROP COLUMN IF EXISTS extra",
];

/// How a run walks its table, and what others do at the place where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub(super) job: &'static str,
    /// What the table has besides.
    pub(super) more: &'static str,
    pub(super) lock_rows: &'static str,
    pub(super) lock_backwards: &'static str,
    pub(super) vacuum: &'static [&'static str],
}

pub(super) const BY_KEY: Walk = Walk {
    job: COUNT_UP,
    more: "",
    lock_rows: LOCK_ROWS,
    lock_backwards: LOCK_BACKWARDS,
    vacuum: &["VACUUM t"],
};

/// Rows are moved by what the application does, and the table gets a new file now and then.
pub(super) const BY_BLOCK: Walk = Walk {
    job: FILL_UP,
    more: COUNT_FILLS,
    lock_rows: LOCK_PLACES,
    lock_backwards: LOCK_PLACES_BACKWARDS,
    vacuum: &["VACUUM t", "VACUUM t", "VACUUM FULL t", "CLUSTER t USING t_pkey"],
};

const LOCK_PLACES: &str = "
BEGIN;
SELECT count(*) FROM (SELECT FROM t WHERE ctid > (SELECT (cursor)[1]::tid FROM pgbackfill.range WHERE state = 'open' AND cursor IS NOT NULL
                                                  ORDER BY random() LIMIT 1)
                      LIMIT 2000 FOR UPDATE) AS locked;
SELECT pg_sleep(0.4);
COMMIT";

const LOCK_PLACES_BACKWARDS: &str = "
DO $$
DECLARE key bigint;
BEGIN
    FOR key IN SELECT id FROM (SELECT id, ctid FROM t WHERE ctid > (SELECT (cursor)[1]::tid FROM pgbackfill.range WHERE state = 'open' AND cursor IS NOT NULL
                                                                    ORDER BY random() LIMIT 1)
                               LIMIT 40) AS ahead ORDER BY ctid DESC
    LOOP
        PERFORM FROM t WHERE id = key FOR UPDATE;
        PERFORM pg_sleep(0.005);
    END LOOP;
END
$$";

/// Whoever is not of the run goes where the address leads now.
pub(super) const OTHERS_LEAVE: &str = "
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE datname = current_database()
AND pid <> pg_backend_pid()
AND application_name NOT LIKE 'pgbackfill%'";

/// One server process of the run.
pub(super) const ONE_BACKEND: &str = "
SELECT pid
FROM pg_stat_activity
WHERE datname = current_database()
AND application_name LIKE 'pgbackfill%'
ORDER BY random()
LIMIT 1";
