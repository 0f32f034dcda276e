//! An application that goes on writing to the table under the run, and what must hold of its rows in the end.
//!
//! Must not know: what befalls the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use pgbackfill::run::RunId;
use tokio::task::JoinHandle;
use tokio::time;
use tokio_postgres::{Client, Error};

use super::Database;
use super::oracle::assert_seamless;

/// Before the run.
pub(crate) const ROWS: i64 = 120_000;

/// Even keys, so that the application has room for new rows anywhere; what it deletes goes to `gone` with the
/// count it had.
const TABLES: &str = "
CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0, note text, born text NOT NULL DEFAULT 'before');
CREATE INDEX ON t (note);
INSERT INTO t SELECT i * 2, 0, 'x' || i % 1000 FROM generate_series(1::bigint, 120000) AS i;
CREATE TABLE gone (id bigint NOT NULL, n int NOT NULL, born text NOT NULL);
ANALYZE t";

/// Does what applications do, at random keys, until it is told to stop; gives the number of its transactions.
pub(crate) struct Application {
    stop: Arc<AtomicBool>,
    task: JoinHandle<u64>,
}

impl Application {
    /// On tables of its own, which are made first, and `more` of them.
    pub(crate) async fn start(db: &Database, more: &str, mut rng: Rng) -> Self {
        db.client().await.batch_execute(&format!("{TABLES}; {more}")).await.unwrap();
        let (address, stop) = (db.address(), Arc::new(AtomicBool::new(false)));
        let stopping = stop.clone();
        let task = tokio::spawn(async move {
            let (mut transactions, mut client) = (0, None);
            while !stopping.load(Ordering::Relaxed) {
                if let Some(at) = &client {
                    match write(at, &mut rng).await {
                        Ok(()) => transactions += 1,
                        // Its server may be gone for a while; whatever was not committed is not in its log
                        // either.
                        Err(_) => client = None,
                    }
                } else {
                    client = address.client().await.ok();
                    time::sleep(Duration::from_millis(20)).await;
                }
            }
            transactions
        });
        Self { stop, task }
    }

    pub(crate) async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn write(client: &Client, rng: &mut Rng) -> Result<(), Error> {
    let key = rng.usize(..2 * ROWS as usize) as i64;
    let sql = match rng.usize(..4) {
        0 => "INSERT INTO t (id, note, born) VALUES ($1::bigint | 1, 'new', 'during') ON CONFLICT DO NOTHING",
        1 => {
            "WITH dead AS (DELETE FROM t WHERE id = $1 RETURNING id, n, born)
             INSERT INTO gone SELECT id, n, born FROM dead"
        }
        // The indexed column, so that the row moves to another place.
        2 => "UPDATE t SET note = note || 'y' WHERE id BETWEEN $1 AND $1 + 8",
        _ => "UPDATE t SET note = upper(note) WHERE id = $1",
    };
    client.execute(sql, &[&key]).await.map(drop)
}

/// All rows there are and were.
const EVERY: &str =
    "WITH every AS (SELECT id, n, born, false AS gone FROM t UNION ALL SELECT id, n, born, true FROM gone)";

/// A row that was there before was changed once, unless it was deleted first; one that came during the run
/// once or not at all. The ranges of the only run tile the key domain.
pub(crate) async fn assert_exact_beside_others(db: &Database) {
    let client = db.client().await;
    let run: i64 = client.query_one("SELECT id FROM pgbackfill.run", &[]).await.unwrap().get(0);
    assert_seamless(&client, RunId(run)).await;
    assert_none_twice_beside_others(&client).await;
    let sql = format!(
        "{EVERY}
         SELECT count(*) FILTER (WHERE n = 0 AND born = 'before' AND NOT gone),
                (SELECT count(*) FROM pgbackfill.range WHERE state <> 'done')
         FROM every"
    );
    let row = client.query_one(&sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0, "rows were passed over");
    assert_eq!(row.get::<_, i64>(1), 0, "a range is not done");
}

/// The same at any moment of a run: as many changes as the ranges count, and to no row more than one.
pub(crate) async fn assert_none_twice_beside_others(client: &Client) {
    let sql = format!(
        "{EVERY}
         SELECT count(*) FILTER (WHERE n NOT IN (0, 1)),
                count(*) FILTER (WHERE born = 'before'),
                sum(n),
                (SELECT sum(rows_changed) FROM pgbackfill.range)::bigint
         FROM every"
    );
    let row = client.query_one(&sql, &[]).await.unwrap();
    let count = |column: usize| row.get::<_, i64>(column);
    assert_eq!(count(0), 0, "rows were changed more than once");
    assert_eq!(count(1), ROWS, "the application's log does not add up");
    assert_eq!(count(2), count(3), "the counters do not add up to the rows");
}
