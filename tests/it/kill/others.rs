//! Processes are killed while the application goes on writing, and while the number of stripes changes from range to range.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time;
use tokio_postgres::Client;

use super::{KILLS, PROCESSES, SLOW, all_complete, is_complete, progress, replace, set};
use crate::support::oracle::assert_nothing_left;
use crate::support::{Database, Dice, JobFile, Running, database, storm};

const ROWS: i64 = 120_000;

/// Even keys, so that the application has room for new rows anywhere; what it deletes goes to `gone` with the count it had.
const TABLES: &str = "
CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0, note text, born text NOT NULL DEFAULT 'before');
CREATE INDEX ON t (note);
INSERT INTO t SELECT i * 2, 0, 'x' || i % 1000 FROM generate_series(1::bigint, 120000) AS i;
CREATE TABLE gone (id bigint NOT NULL, n int NOT NULL, born text NOT NULL);
ANALYZE t";

/// Does what applications do, at random keys, until it is told to stop; gives the number of its transactions.
struct Application {
    stop: Arc<AtomicBool>,
    task: JoinHandle<u64>,
}

impl Application {
    async fn start(db: &Database, mut dice: Dice) -> Self {
        let (client, stop) = (db.client().await, Arc::new(AtomicBool::new(false)));
        let stopping = stop.clone();
        let task = tokio::spawn(async move {
            let mut transactions = 0;
            while !stopping.load(Ordering::Relaxed) {
                write(&client, &mut dice).await;
                transactions += 1;
            }
            transactions
        });
        Self { stop, task }
    }

    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn write(client: &Client, dice: &mut Dice) {
    let key = dice.index(2 * ROWS as usize) as i64;
    let sql = match dice.index(4) {
        0 => "INSERT INTO t (id, note, born) VALUES ($1::bigint | 1, 'new', 'during') ON CONFLICT DO NOTHING",
        1 => {
            "WITH dead AS (DELETE FROM t WHERE id = $1 RETURNING id, n, born)
             INSERT INTO gone SELECT id, n, born FROM dead"
        }
        // The indexed column, so that the row moves to another place.
        2 => "UPDATE t SET note = note || 'y' WHERE id BETWEEN $1 AND $1 + 8",
        _ => "UPDATE t SET note = upper(note) WHERE id = $1",
    };
    client.execute(sql, &[&key]).await.unwrap();
}

/// A row that was there before was changed once, unless it was deleted first; one that came during the run once or not at all.
async fn assert_exact_beside_others(db: &Database) {
    let row = db
        .client()
        .await
        .query_one(
            "WITH every AS (SELECT id, n, born, false AS gone FROM t UNION ALL SELECT id, n, born, true FROM gone)
             SELECT count(*) FILTER (WHERE n NOT IN (0, 1)),
                    count(*) FILTER (WHERE n = 0 AND born = 'before' AND NOT gone),
                    count(*) FILTER (WHERE born = 'before'),
                    sum(n),
                    (SELECT sum(rows_changed) FROM pgbackfill.range)::bigint,
                    (SELECT count(DISTINCT stripes) FROM pgbackfill.range),
                    (SELECT count(*) FROM pgbackfill.range WHERE state <> 'done')
             FROM every",
            &[],
        )
        .await
        .unwrap();
    let count = |column: usize| row.get::<_, i64>(column);
    assert_eq!(count(0), 0, "rows were changed more than once");
    assert_eq!(count(1), 0, "rows were passed over");
    assert_eq!(count(2), ROWS, "the application's log does not add up");
    assert_eq!(count(3), count(4), "the counters do not add up to the rows");
    assert!(count(5) >= 3, "the number of stripes has not changed from range to range");
    assert_eq!(count(6), 0, "a range is not done");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_killed_while_others_write_and_stripes_change_change_every_row_once() {
    let _storm = storm().await;
    let (db, mut dice) = (database().await, Dice::new());
    db.client().await.batch_execute(TABLES).await.unwrap();
    // The order does not decide the result, so processes of one run may differ in it.
    let jobs = [1, 8, 32].map(|stripes| JobFile::new(&format!("{SLOW}order.stripes = {stripes}\n")));
    let mut processes: Vec<Running> = jobs.iter().map(|job| job.run(&db).spawn()).collect();
    let application = Application::start(&db, Dice::new()).await;
    progress(&db).await;
    let mut kills = 0;
    while !is_complete(&db).await {
        // The fault that is injected, not a wait for anything.
        time::sleep(dice.time(Duration::from_millis(200))).await;
        let one = dice.index(PROCESSES);
        kills += u32::from(replace(&mut processes[one], &jobs[one], &db).await);
        if kills == KILLS {
            set(&db, "max-rows-per-batch=1000").await;
        }
    }
    let transactions = application.stop().await;
    println!("{kills} kills beside {transactions} transactions");
    all_complete(processes).await;
    assert!(kills >= KILLS, "the run was complete after {kills} kills");
    assert!(transactions > 1_000, "the application hardly wrote");
    assert_exact_beside_others(&db).await;
    assert_nothing_left(&db).await;
}
