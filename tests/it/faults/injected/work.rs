//! What is to be done past a fault: one job each, its table, and what must hold when it is done.
//!
//! Must not know: faults, processes.

use std::fmt;

use pgbackfill::job::Job;
use pgbackfill::run::RunId;
use tokio_postgres::Client;

use crate::support::in_process::job;
use crate::support::oracle::{assert_run, assert_swept};

/// A row is bad as long as its `d` is 0.
const COLUMNS: &str = "(id int PRIMARY KEY, d int NOT NULL DEFAULT 1, n int NOT NULL DEFAULT 0)";
/// No key at all; `n` is counted by a trigger, so that it shows whatever changes a row a second time.
const COUNTED: &str = "
CREATE TABLE t (a int, filled int, n int NOT NULL DEFAULT 0);
CREATE FUNCTION count_one() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := OLD.n + 1; RETURN NEW; END';
CREATE TRIGGER count_one BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION count_one();";
const ROWS: i64 = 24;
/// Three batches, always; at full pace, for in `auto` a worker rests for a minute after a batch that a fault
/// has held for seconds.
const PLAIN: &str = "table = 't'\nset.n = 'n + 1 / d'\norder.stripes = 1\npace.mode = 'full'\npace.max_rows_per_batch = 8\npace.min_rows_per_batch = 8\n\
    limits.max_bad_rows = 9\nlimits.retries = 1\n";
/// The ceilings are there to be paid for, not to be felt.
const RICH: &str = "table = 't'\nset.n = 'n + 1 / d'\norder.stripes = 2\npace.mode = 'full'\npace.max_rows_per_batch = 4\npace.min_rows_per_batch = 4\n\
    pace.max_rows_per_second = 1000000\npace.max_wal_per_second = '1GB'\nlimits.max_bad_rows = 9\nlimits.retries = 2\n";
/// The same by block. The rows of one block are walked in three batches.
const BY_BLOCK: &str = "table = 't'\nset.filled = 'a * 2'\nwhere = 'filled IS NULL'\norder.stripes = 1\npace.mode = 'full'\npace.max_rows_per_batch = 8\n\
    pace.min_rows_per_batch = 8\nlimits.max_bad_rows = 9\nlimits.retries = 1\n";

/// Which work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// `pgbackfill run` of a plain job from its beginning.
    Run,
    /// The same of a table without a key, with its sweep and the proof that no row was missed.
    ByBlock,
    /// `pgbackfill run` of the second half of a job with partitions, stripes, ceilings, and rows that cannot
    /// be changed.
    Rich,
    /// `pgbackfill retry` of rows that have been mended.
    Retry,
}

impl Work {
    pub(super) const ALL: [Self; 4] = [Self::Run, Self::ByBlock, Self::Rich, Self::Retry];

    pub(super) fn job(self) -> Job {
        job(match self {
            Self::Run | Self::Retry => PLAIN,
            Self::ByBlock => BY_BLOCK,
            Self::Rich => RICH,
        })
    }

    /// Makes its table.
    pub(super) fn table(self) -> String {
        if self == Self::ByBlock {
            return format!("{COUNTED} INSERT INTO t (a) SELECT generate_series(1, {ROWS}); ANALYZE t");
        }
        let (kind, bad) = match self {
            Self::Run | Self::ByBlock => ("", ""),
            Self::Retry => ("", "3, 12, 24"),
            Self::Rich => (
                " PARTITION BY RANGE (id); CREATE TABLE low PARTITION OF t FOR VALUES FROM (1) TO (13);
                 CREATE TABLE high PARTITION OF t FOR VALUES FROM (13) TO (25)",
                "11, 20",
            ),
        };
        let bad = if bad.is_empty() { "false".into() } else { format!("i IN ({bad})") };
        format!(
            "CREATE TABLE t {COLUMNS}{kind};
             INSERT INTO t SELECT i, CASE WHEN {bad} THEN 0 ELSE 1 END FROM generate_series(1, {ROWS}) AS i;
             ANALYZE t"
        )
    }

    /// How many rows are changed before the first case; none means all of them.
    pub(super) fn rows_before(self) -> Option<u64> {
        // A part of the first partition's first stripe.
        (self == Self::Rich).then_some(3)
    }

    /// Keeps what the run before the first case has left.
    pub(super) fn keep(self) -> &'static str {
        match self {
            Self::Run => "",
            Self::ByBlock => "CREATE TABLE kept AS SELECT a FROM t",
            Self::Rich => {
                "CREATE TABLE kept AS TABLE t; CREATE TABLE kept_run AS TABLE pgbackfill.run;
                 CREATE TABLE kept_leaf AS TABLE pgbackfill.leaf; CREATE TABLE kept_range AS TABLE pgbackfill.range"
            }
            Self::Retry => {
                "UPDATE t SET d = 1; CREATE TABLE kept_bad_row AS TABLE pgbackfill.bad_row;
                 CREATE TABLE kept_range AS TABLE pgbackfill.range"
            }
        }
    }

    /// Asserts that it is as far as it is meant to be before the first case.
    pub(super) async fn assert_begun(self, client: &Client) {
        let halves = "SELECT count(*) FROM pgbackfill.range WHERE state = 'open' AND stripes = 2 AND cursor IS NOT NULL";
        let halves: i64 = client.query_one(halves, &[]).await.unwrap().get(0);
        assert_eq!(halves, i64::from(self == Self::Rich), "half done ranges");
    }

    /// Makes all as it was before the first case.
    pub(super) fn reset(self) -> &'static str {
        match self {
            Self::Run => {
                "DELETE FROM pgbackfill.run; UPDATE t SET n = 0;
                 UPDATE pgbackfill.guard SET leader = NULL, leader_until = NULL"
            }
            // In their places, and no other row on the block.
            Self::ByBlock => {
                "DELETE FROM pgbackfill.run; TRUNCATE t; INSERT INTO t (a) SELECT a FROM kept ORDER BY a; ANALYZE t;
                 UPDATE pgbackfill.guard SET leader = NULL, leader_until = NULL"
            }
            Self::Rich => {
                "DELETE FROM pgbackfill.run; TRUNCATE t; INSERT INTO t SELECT * FROM kept ORDER BY id;
                 INSERT INTO pgbackfill.run OVERRIDING SYSTEM VALUE SELECT * FROM kept_run;
                 INSERT INTO pgbackfill.leaf SELECT * FROM kept_leaf;
                 INSERT INTO pgbackfill.range SELECT * FROM kept_range;
                 UPDATE pgbackfill.guard SET leader = NULL, leader_until = NULL"
            }
            Self::Retry => {
                "UPDATE t SET n = 0 WHERE id IN (SELECT key[1]::int FROM kept_bad_row);
                 DELETE FROM pgbackfill.bad_row; DELETE FROM pgbackfill.range;
                 INSERT INTO pgbackfill.range SELECT * FROM kept_range;
                 INSERT INTO pgbackfill.bad_row SELECT * FROM kept_bad_row"
            }
        }
    }

    /// Asserts that each row that can be changed was changed once, and that the others are in the quarantine.
    pub(super) async fn assert_done(self, client: &Client) {
        if self == Self::ByBlock {
            return assert_filled(client).await;
        }
        let wrong = "SELECT coalesce(string_agg(format('row %s: n = %s', id, n), ', ' ORDER BY id), '')
                     FROM t WHERE n <> CASE WHEN d = 0 THEN 0 ELSE 1 END";
        let wrong: String = client.query_one(wrong, &[]).await.unwrap().get(0);
        assert_eq!(wrong, "", "not once");
        let bad = |sql| async move { client.query_one(sql, &[]).await.unwrap().get::<_, Vec<i32>>(0) };
        let bad_rows = bad("SELECT array(SELECT id FROM t WHERE d = 0 ORDER BY id)").await;
        let aside = bad("SELECT array(SELECT key[1]::int AS id FROM pgbackfill.bad_row ORDER BY id)").await;
        assert_eq!(aside, bad_rows, "in the quarantine, and bad rows");
        let run: i64 = client.query_one("SELECT id FROM pgbackfill.run", &[]).await.unwrap().get(0);
        assert_run(client, RunId(run), ROWS, ROWS - bad_rows.len() as i64).await;
    }
}

/// Asserts that each row was changed once, that the sweep changed none, and that it was proven, unless the
/// pass that was to prove it met the fault.
async fn assert_filled(client: &Client) {
    let wrong = "SELECT coalesce(string_agg(format('row %s: filled = %s, n = %s', a, filled, n), ', '), '')
                 FROM t WHERE n <> 1 OR filled IS DISTINCT FROM a * 2";
    let wrong: String = client.query_one(wrong, &[]).await.unwrap().get(0);
    assert_eq!(wrong, "", "not once");
    assert_swept(client, ROWS).await;
    let swept = "SELECT coalesce(sum(rows_changed), 0)::bigint FROM pgbackfill.range WHERE pass > 0";
    assert_eq!(client.query_one(swept, &[]).await.unwrap().get::<_, i64>(0), 0, "a sweep had to find a row");
    let proof = client.query_one("SELECT proven, proof FROM pgbackfill.run", &[]).await.unwrap();
    let (proven, proof): (Option<bool>, Option<String>) = (proof.get(0), proof.get(1));
    let met = proof.as_ref().is_some_and(|proof| proof.contains("was given up: it"));
    assert!(proven == Some(true) || met, "it was not proven: {proof:?}");
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Run => "run",
            Self::ByBlock => "run by block",
            Self::Rich => "rich run",
            Self::Retry => "retry",
        })
    }
}
