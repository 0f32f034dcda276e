//! Partitions that come and go while a run is at work on them.

use crate::support::oracle::{assert_once, assert_tiled};
use crate::support::{Database, JobFile, Pgbackfill, Running, database};

/// Rows of each partition.
const ROWS: i64 = 4_000;
/// Half a minute for all partitions: each test has changed them by then, and takes the ceiling away.
const PACED: &str =
    "table = 't'\nset.n = 'n + 1'\npace.max_rows_per_second = 400\npace.max_rows_per_batch = 100\n";

/// A table `t` with the partitions `t_1`, `t_2`, `t_3` of `ROWS` rows each, and a table `t_4` that could be
/// the next.
async fn scene() -> (Database, JobFile) {
    let db = database().await;
    execute(
        &db,
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0) PARTITION BY RANGE (id);
         CREATE TABLE t_4 (LIKE t INCLUDING ALL)",
    )
    .await;
    for number in 1..=3 {
        execute(&db, &format!("CREATE TABLE t_{number} PARTITION OF t {}", values(number))).await;
    }
    for number in 1..=4 {
        let (from, to) = ((number - 1) * ROWS, number * ROWS - 1);
        execute(&db, &format!("INSERT INTO t_{number} SELECT i FROM generate_series({from}, {to}) AS i"))
            .await;
    }
    (db, JobFile::new(PACED))
}

fn values(number: i64) -> String {
    format!("FOR VALUES FROM ({}) TO ({})", (number - 1) * ROWS, number * ROWS)
}

async fn execute(db: &Database, sql: &str) {
    db.client().await.batch_execute(sql).await.unwrap();
}

async fn at_work(job: &JobFile, db: &Database) -> Running {
    let process = job.run(db).spawn();
    db.until_first_batch().await;
    process
}

async fn lift_the_ceiling(db: &Database) {
    Pgbackfill::new(["set", "job", "max-rows-per-second=none"]).on(db).run().await.expect_code(0);
}

async fn assert_exact(db: &Database, leaves: i64) {
    db.assert_exact(leaves * ROWS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_attached_during_the_run_is_changed_too() {
    let (db, job) = scene().await;
    let processes = [at_work(&job, &db).await, job.run(&db).spawn()];
    execute(&db, &format!("ALTER TABLE t ATTACH PARTITION t_4 {}", values(4))).await;
    db.until("(SELECT count(*) = 4 FROM pgbackfill.leaf)").await;
    lift_the_ceiling(&db).await;
    for process in processes {
        process.finish().await.expect_code(0);
    }
    assert_exact(&db, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_attached_before_the_last_batch_is_found_by_the_end_of_the_run() {
    let (db, job) = scene().await;
    // Half of a partition is left, and nobody is there who could notice the new one by his heartbeat.
    job.run_with(&db, ["--max-rows", "10000", "--max-rows-per-second", "none"]).run().await.expect_code(3);
    execute(&db, &format!("ALTER TABLE t ATTACH PARTITION t_4 {}", values(4))).await;
    job.run_with(&db, ["--max-rows-per-second", "none"]).run().await.expect_code(0);
    assert_exact(&db, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_detached_with_work_left_blocks_the_run_until_it_is_attached_again() {
    for detached in ["t_1", "t_3"] {
        let (db, job) = scene().await;
        let process = at_work(&job, &db).await;
        execute(&db, &format!("ALTER TABLE t DETACH PARTITION {detached}")).await;
        lift_the_ceiling(&db).await;
        let blocked = process.finish().await.expect_code(1).summary();
        let reason = blocked["reason"].as_str().unwrap();
        assert!(reason.contains(&format!("\"{detached}\"")), "{reason}");
        let number = detached.trim_start_matches("t_").parse().unwrap();
        execute(&db, &format!("ALTER TABLE t ATTACH PARTITION {detached} {}", values(number))).await;
        job.run(&db).run().await.expect_code(0);
        assert_exact(&db, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_dropped_with_work_left_blocks_the_run_with_its_name() {
    let (db, job) = scene().await;
    let process = at_work(&job, &db).await;
    execute(&db, "DROP TABLE t_3").await;
    lift_the_ceiling(&db).await;
    let blocked = process.finish().await.expect_code(1).summary();
    assert!(blocked["reason"].as_str().unwrap().contains("t_3"), "{blocked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_partition_may_be_dropped() {
    let (db, job) = scene().await;
    let process = job.run_with(&db, ["--max-rows-per-second", "1000"]).spawn();
    db.until(
        "(SELECT NOT bool_or(r.state = 'open') AND min(l.state) = 'planned'
          FROM pgbackfill.leaf AS l JOIN pgbackfill.range AS r ON r.run = l.run AND r.leaf = l.number
          WHERE l.name = 't_1')",
    )
    .await;
    execute(&db, "DROP TABLE t_1").await;
    lift_the_ceiling(&db).await;
    process.finish().await.expect_code(0);
    let client = db.client().await;
    assert_once(&client, "t", 2 * ROWS).await;
    // Its rows were changed before they went.
    assert_tiled(&client, 3 * ROWS).await;
}
