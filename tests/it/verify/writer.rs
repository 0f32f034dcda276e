//! Beside an application that writes: no false alarm, and nothing real is missed.
//!
//! Must not know: how often a row is looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{filled, found, verify, wrong};
use crate::support::{Database, random};

const ROWS: i32 = 5_000;

/// Writes until it is told to stop.
struct Writer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<u32>,
}

impl Writer {
    /// Writes the old column, and the new one in a transaction of its own, a little later: each time five rows
    /// that lie far apart, and of four writers each has its own, so that some are sure to be met in between.
    async fn in_two_transactions(db: &Database, writer: i32, pause: Duration) -> Self {
        let (stop, client, mut rng) = (Arc::new(AtomicBool::new(false)), db.client().await, random::seeded());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut written = 0;
            while !stopped.load(Ordering::Relaxed) {
                let which = rng.i32(0..250) * 4 + writer;
                let old = format!("UPDATE orders SET status = 'seen {written}' WHERE id % 1000 = {which}");
                client.execute(&old, &[]).await.unwrap();
                sleep(pause).await;
                let new = "UPDATE orders SET status_v2 = upper(status) WHERE id % 1000 = $1";
                client.execute(new, &[&which]).await.unwrap();
                written += 1;
            }
            written
        });
        Self { stop, task }
    }

    async fn end(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_between_two_transactions_is_no_false_alarm() {
    let (db, job, client) = filled(ROWS, "").await;
    let mut writers = Vec::new();
    for writer in 0..4 {
        writers.push(Writer::in_two_transactions(&db, writer, Duration::from_millis(50)).await);
    }
    // So slow that many rows are met while they are wrong.
    let slow = ["--max-rows-per-second", "1000", "--max-rows-per-batch", "100"];
    let said = verify(&db, &job).args(slow).run().await.expect_code(0).stdout;
    assert!(said.contains("no row differs"), "{said}");
    let looked_at = "SELECT count(*) FROM pgbackfill.suspect WHERE state = 'dropped'";
    let looked_at: i64 = client.query_one(looked_at, &[]).await.unwrap().get(0);
    let mut written = 0;
    for writer in writers {
        written += writer.end().await;
    }
    assert!(
        written > 100 && looked_at > 0,
        "{written} rows were written, {looked_at} were met while they were wrong"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_forgets_the_new_column_is_found_with_every_row() {
    let (db, job, client) = filled(ROWS, "").await;
    client.batch_execute("UPDATE orders SET status = 'forgotten' WHERE id % 100 = 7").await.unwrap();
    verify(&db, &job).run().await.expect_code(4);
    assert_eq!(found(&client, "mismatches").await, i64::from(ROWS / 100));
    assert!(wrong(&client).await.iter().all(|(key, _)| key.parse::<i32>().unwrap() % 100 == 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_wrong_at_each_look_and_always_another_version_is_told_as_moving() {
    let (db, job, client) = filled(100, "").await;
    let (stop, other) = (Arc::new(AtomicBool::new(false)), db.client().await);
    client.batch_execute("UPDATE orders SET status = 'forgotten' WHERE id = 50").await.unwrap();
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            other.execute("UPDATE orders SET status = status || '.' WHERE id = 50", &[]).await.unwrap();
            sleep(Duration::from_millis(300)).await;
        }
    });
    let said = verify(&db, &job).run().await.expect_code(4).stdout;
    stop.store(true, Ordering::Relaxed);
    task.await.unwrap();
    assert!(said.contains("1 row that was changed and wrong at each look"), "{said}");
    assert_eq!((found(&client, "moving").await, found(&client, "mismatches").await), (1, 0));
}
