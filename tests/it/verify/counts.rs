//! How often rows are read: once each, up to the present end of the table, whatever is killed and however many
//! processes share it.
//!
//! Must not know: what a mismatch is.

use nix::sys::signal::Signal;

use super::{SYNC, filled, found, verify};
use crate::support::{Database, JobFile, Pgbackfill, database};

/// So slow that it can be killed in the middle.
fn slowly(db: &Database, job: &JobFile) -> Pgbackfill {
    verify(db, job).args(["--max-rows-per-second", "40000", "--max-rows-per-batch", "500"])
}

async fn until_compared(db: &Database, rows: i64) {
    let sum = "SELECT coalesce(sum(rows_changed), 0) FROM pgbackfill.range
               WHERE run = (SELECT max(id) FROM pgbackfill.run WHERE kind = 'verify')";
    db.until(&format!("(({sum}) >= {rows})")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_stopped_it_goes_on_and_reads_each_row_once() {
    let (db, job, client) = filled(40_000, "").await;
    client.batch_execute("UPDATE orders SET status_v2 = 'x' WHERE id IN (1, 20000, 40000)").await.unwrap();
    let running = slowly(&db, &job).spawn();
    until_compared(&db, 5_000).await;
    running.kill().await;
    let running = slowly(&db, &job).spawn();
    until_compared(&db, 15_000).await;
    running.signal(Signal::SIGTERM);
    let stopped = running.finish().await.expect_code(3).stdout;
    assert!(stopped.contains("the same `pgbackfill verify` again goes on"), "{stopped}");
    verify(&db, &job).run().await.expect_code(4);
    assert_eq!((found(&client, "rows").await, found(&client, "mismatches").await), (40_000, 3));
    let runs = "SELECT count(*) FROM pgbackfill.run WHERE kind = 'verify'";
    assert_eq!(client.query_one(runs, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_share_one_and_it_can_be_paused_and_set() {
    let (db, job, client) = filled(30_000, "").await;
    let first = slowly(&db, &job).spawn();
    until_compared(&db, 2_000).await;
    let name = "job";
    let ask = |args: &[&str]| Pgbackfill::new(args.iter().copied()).on(&db).run();
    ask(&["pause", name]).await.expect_code(0);
    let status = ask(&["status", name]).await.expect_code(0).stdout;
    assert!(
        status.contains("verification") && status.contains("paused") && status.contains(" compared;"),
        "{status}"
    );
    let second = slowly(&db, &job).spawn();
    ask(&["resume", name]).await.expect_code(0);
    ask(&["set", name, "max-rows-per-second=1000000"]).await.expect_code(0);
    first.finish().await.expect_code(0);
    second.finish().await.expect_code(0);
    assert_eq!(found(&client, "rows").await, 30_000);
    // The backfill is what is waited for, and what a gate asks about.
    let waited = ask(&["wait", name]).await.expect_code(0).stdout;
    assert!(waited.contains("complete: job, run 1"), "{waited}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_came_after_the_backfill_are_told_apart() {
    let (db, job, client) = filled(1_000, SYNC).await;
    client.batch_execute("INSERT INTO orders SELECT i, 'new' FROM generate_series(1001, 1250) AS i; DELETE FROM orders WHERE id <= 10").await.unwrap();
    let said = verify(&db, &job).run().await.expect_code(0).stdout;
    assert!(said.contains("1,240 rows compared, 250 of which came after the backfill"), "{said}");
    // All that the backfill has seen at its end is gone.
    client.batch_execute("DELETE FROM orders WHERE id > 500").await.unwrap();
    let said = verify(&db, &job).run().await.expect_code(0).stdout;
    assert!(said.contains("490 rows compared, by this process"), "{said}");
    client.batch_execute("DELETE FROM orders").await.unwrap();
    verify(&db, &job).run().await.expect_code(0);
    assert_eq!(found(&client, "rows + rows_later").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_came_after_the_backfill_is_read_and_one_that_went_is_not_missed() {
    let db = database().await;
    let client = db.client().await;
    let tables = "CREATE TABLE t (id int PRIMARY KEY, n int, m int) PARTITION BY RANGE (id);
                  CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100);
                  CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (100) TO (200);
                  INSERT INTO t SELECT i, i FROM generate_series(1, 199) AS i";
    client.batch_execute(tables).await.unwrap();
    let job = JobFile::new("table = 't'\nset.m = 'n'\nwhere = 'm IS NULL'\n");
    job.run(&db).run().await.expect_code(0);
    let more = "ALTER TABLE t DETACH PARTITION t1;
                CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (200) TO (300);
                INSERT INTO t SELECT i, i, i FROM generate_series(200, 250) AS i;
                UPDATE t SET m = -1 WHERE id = 250";
    client.batch_execute(more).await.unwrap();
    let said = verify(&db, &job).run().await.expect_code(4).stdout;
    assert!(said.contains("151 rows compared") && said.contains("public.t3 250: "), "{said}");
}
