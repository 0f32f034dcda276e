//! Workers that meet in one range because one of them is late: only one of them changes its rows.

use nix::sys::signal::Signal;
use tokio_postgres::Client;

use crate::support::oracle::{assert_once, assert_tiled};
use crate::support::{Database, JobFile, Pgbackfill, Running, counted_table, database};

const ROWS: i64 = 20_000;

async fn assert_exact(client: &Client, rows: i64) {
    assert_once(client, "t", rows).await;
    assert_tiled(client, rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_waits_longer_than_its_claim_lasts_is_not_done_by_a_second_worker() {
    let (db, job) = (
        database().await,
        JobFile::new(
            "table = 't'\nset.n = 'n + 1'\nlimits.lock_timeout = '30s'\nlimits.statement_timeout = '30s'\n",
        ),
    );
    counted_table(&db, 100).await;
    let client = db.client().await;
    client.batch_execute("BEGIN; SELECT FROM t WHERE id = 50 FOR UPDATE").await.unwrap();
    let processes = [(); 2].map(|()| job.run_with(&db, ["--workers", "1"]).spawn());
    // The second has come, and nobody has said for two seconds that he still works on the range.
    db.until(
        "(SELECT count(*) FROM pgbackfill.process) = 2
         AND EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name LIKE 'pgbackfill%')
         AND (SELECT bool_and(hint_until < clock_timestamp() - interval '2 s') FROM pgbackfill.range)",
    )
    .await;
    client.batch_execute("COMMIT").await.unwrap();
    for process in processes {
        process.finish().await.expect_code(0);
    }
    assert_exact(&client, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_others_have_locked_keeps_nobody_from_the_rest() {
    let (db, job) =
        (database().await, JobFile::new("table = 't'\nset.n = 'n + 1'\npace.max_rows_per_batch = 50\n"));
    counted_table(&db, ROWS).await;
    let client = db.client().await;
    client.batch_execute("BEGIN; SELECT FROM t WHERE id = 50 FOR UPDATE").await.unwrap();
    let processes = ["1", "2"].map(|workers| job.run_with(&db, ["--workers", workers]).spawn());
    db.until(
        "(SELECT count(*) = 1 FROM pgbackfill.range WHERE state = 'open')
         AND NOT EXISTS (SELECT FROM pgbackfill.leaf WHERE state = 'open')",
    )
    .await;
    // Whoever has found it says why nobody goes on.
    db.until("EXISTS (SELECT FROM pgbackfill.process WHERE waiting LIKE 'range 1 of % has rows that others hold: %')").await;
    client.batch_execute("COMMIT").await.unwrap();
    for process in processes {
        process.finish().await.expect_code(0);
    }
    assert_exact(&client, ROWS).await;
}

/// Stops a process between two of its batches.
async fn freeze_between_batches(db: &Database, process: &Running) {
    let client = db.client().await;
    let busy = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE 'pgbackfill%' AND xact_start IS NOT NULL";
    loop {
        process.signal(Signal::SIGSTOP);
        if client.query_one(busy, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            return;
        }
        process.signal(Signal::SIGCONT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_frozen_finds_out_that_its_range_went_on_without_it() {
    // Slowly enough that most of the first range is left when the process is stopped in it.
    let toml = "table = 't'\nset.n = 'n + 1'\norder.stripes = 1\npace.max_rows_per_batch = 20\npace.max_rows_per_second = 100\n";
    let (db, job) = (database().await, JobFile::new(toml));
    counted_table(&db, ROWS).await;
    let one = || job.run_with(&db, ["--workers", "1"]).spawn();
    let frozen = one();
    db.until("(SELECT sum(rows_passed) > 0 FROM pgbackfill.range)").await;
    freeze_between_batches(&db, &frozen).await;
    let client = db.client().await;
    let held = "SELECT number, rows_passed FROM pgbackfill.range WHERE state = 'open'";
    let row = client.query_one(held, &[]).await.unwrap();
    let (number, passed): (i64, i64) = (row.get(0), row.get(1));
    let other = one();
    db.until(&format!("(SELECT rows_passed > {passed} FROM pgbackfill.range WHERE number = {number})")).await;
    frozen.signal(Signal::SIGCONT);
    // It has looked at its range and found something else to do.
    db.until("(SELECT count(DISTINCT hint_worker) FROM pgbackfill.range) = 2").await;
    Pgbackfill::new(["set", "job", "max-rows-per-second=none", "max-rows-per-batch=10000"])
        .on(&db)
        .run()
        .await
        .expect_code(0);
    for process in [frozen, other] {
        process.finish().await.expect_code(0);
    }
    assert_exact(&client, ROWS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_batch_begins_after_an_order_to_stop() {
    for order in ["pause", "cancel"] {
        let toml = "table = 't'\nset.n = 'n + 1'\npace.max_rows_per_batch = 2\npace.min_rows_per_batch = 2\norder.stripes = 1\n";
        let (db, job) = (database().await, JobFile::new(toml));
        counted_table(&db, ROWS).await;
        let process = job.run_with(&db, ["--workers", "1"]).spawn();
        db.until("(SELECT sum(rows_passed) > 0 FROM pgbackfill.range)").await;
        Pgbackfill::new([order, "job"]).on(&db).run().await.expect_code(0);
        let after = db.rows_changed().await;
        if order == "pause" {
            process.signal(Signal::SIGTERM);
        }
        process.finish().await;
        let end = db.rows_changed().await;
        // The one that was on its way.
        assert!(end <= after + 2, "{order}: {end} rows, {after} of them before");
        assert!(end < ROWS, "{order}: the run was over before it was asked for anything");
    }
}

/// What a crash can do that loses a range, and somebody who plans the rest again before its worker is back.
const PLAN_ANEW: &str = "
BEGIN;
SELECT FROM pgbackfill.range WHERE state = 'open' FOR UPDATE;
INSERT INTO pgbackfill.range (run, number, leaf, lo, hi, rows_planned, stripes, why)
SELECT run, number + 1, leaf, ARRAY[((cursor)[1]::int + 10)::text], hi, (hi)[1]::int - (cursor)[1]::int - 10, 1, 'anew'
FROM pgbackfill.range
WHERE state = 'open';
UPDATE pgbackfill.range
SET hi = ARRAY[((cursor)[1]::int + 10)::text], rows_planned = rows_passed + 10
WHERE state = 'open' AND why <> 'anew';
COMMIT";

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_was_planned_anew_is_not_worked_on_by_its_old_bounds() {
    // Slowly enough that most of the first range is left when the process is stopped in it.
    let toml = "table = 't'\nset.n = 'n + 1'\norder.stripes = 1\npace.max_rows_per_batch = 20\npace.max_rows_per_second = 100\n";
    let (db, job) = (database().await, JobFile::new(toml));
    counted_table(&db, ROWS).await;
    let process = job.run_with(&db, ["--workers", "1"]).spawn();
    // Planned to its end, so that the next range follows the frontier.
    db.until("(SELECT bool_and(cursor IS NOT NULL) FROM pgbackfill.range WHERE state = 'open')").await;
    freeze_between_batches(&db, &process).await;
    let client = db.client().await;
    client.batch_execute(PLAN_ANEW).await.unwrap();
    process.signal(Signal::SIGCONT);
    Pgbackfill::new(["set", "job", "max-rows-per-second=none", "max-rows-per-batch=10000"])
        .on(&db)
        .run()
        .await
        .expect_code(0);
    process.finish().await.expect_code(0);
    assert_exact(&client, ROWS).await;
}
