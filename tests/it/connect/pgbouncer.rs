//! The engine through `PgBouncer` in transaction mode: what one process sends goes over connections that it
//! shares with the others.
//!
//! Must not know: how the engine goes about it. `make test-pgbouncer` sends all other tests through it, too.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::task::block_in_place;
use tokio::time;

use crate::support::oracle::assert_nothing_left;
use crate::support::{
    COUNT_UP, Database, Finished, JobFile, PACED, Pgbackfill, counted_table, database_behind_pgbouncer,
    machine, random, skipped,
};

const ROWS: i64 = 30_000;
const KILLS: u32 = 20;
const RESTARTS: u32 = 5;
/// 15,000 batches: more than are committed under this ceiling before the last of the kills.
const SLOW: &str = "table = 't'\nset.n = 'n + 1'\npace.max_rows_per_batch = 2\npace.max_rows_per_second = 400\nlimits.retries = 100\n";

/// A table and a job behind `PgBouncer`; none if this machine has none.
async fn scene(toml: &str) -> Option<(Database, JobFile)> {
    let Some(db) = database_behind_pgbouncer().await else {
        skipped("there is no pgbouncer; .ci/pgbouncer.sh gets it where it can");
        return None;
    };
    counted_table(&db, ROWS).await;
    Some((db, JobFile::new(toml)))
}

async fn ask<const N: usize>(db: &Database, args: [&str; N]) -> Finished {
    Pgbackfill::new(args).on(db).run().await.expect_code(0)
}

async fn assert_exact(db: &Database) {
    db.assert_exact(ROWS).await;
    assert_nothing_left(db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_behind_it_share_a_run_and_change_every_row_once() {
    let Some((db, job)) = scene(SLOW).await else { return };
    let processes: Vec<_> = (0..3).map(|_| job.run(&db).spawn()).collect();
    db.until_processes(3).await;
    ask(&db, ["set", "job", "max-rows-per-batch=1000", "max-rows-per-second=none"]).await;
    for process in processes {
        process.finish().await.expect_code(0);
    }
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_killed_behind_it_change_every_row_once() {
    let _machine = machine::loaded().await;
    let Some((db, job)) = scene(SLOW).await else { return };
    let mut rng = random::seeded();
    let mut processes: Vec<_> = (0..3).map(|_| job.run(&db).spawn()).collect();
    db.until_progress().await;
    for kill in 0..KILLS {
        // The fault that is injected, not a wait for anything.
        time::sleep(random::time_up_to(Duration::from_millis(150), &mut rng)).await;
        assert!(!db.is_complete().await, "the run was complete after {kill} kills");
        let one = &mut processes[rng.usize(..3)];
        std::mem::replace(one, job.run(&db).spawn()).kill().await;
    }
    ask(&db, ["set", "job", "max-rows-per-batch=1000", "max-rows-per-second=none"]).await;
    for process in processes {
        process.finish().await.expect_code(0);
    }
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_outlive_a_pgbouncer_that_is_killed_and_change_every_row_once() {
    let _machine = machine::loaded().await;
    let Some((mut db, job)) = scene(SLOW).await else { return };
    let mut rng = random::seeded();
    let processes: Vec<_> = (0..2).map(|_| job.run(&db).spawn()).collect();
    db.until_processes(2).await;
    for restart in 0..RESTARTS {
        db.until_progress().await;
        // As above.
        time::sleep(random::time_up_to(Duration::from_millis(200), &mut rng)).await;
        assert!(!db.is_complete().await, "the run was complete after {restart} restarts");
        block_in_place(|| db.replace_pgbouncer());
    }
    db.until_progress().await;
    // Those that were there before the first restart are there after the last one.
    assert!(processes.iter().all(|process| !process.has_ended()), "a process did not outlive the restarts");
    ask(&db, ["set", "job", "max-rows-per-batch=1000", "max-rows-per-second=none"]).await;
    for process in processes {
        process.finish().await.expect_code(0);
    }
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_cancels_a_batch_behind_it() {
    let patient = format!("{COUNT_UP}limits.lock_timeout = '10min'\nlimits.statement_timeout = '10min'\n");
    let Some((db, job)) = scene(&patient).await else { return };
    let locker = db.client().await;
    locker.batch_execute("BEGIN; SELECT FROM t FOR UPDATE").await.unwrap();
    let process = job.run(&db).spawn();
    db.until(
        "(SELECT count(*) = 2 FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ '^(UPDATE|WITH)')",
    )
    .await;
    process.signal(Signal::SIGINT);
    assert_eq!(process.finish().await.expect_code(3).summary()["outcome"], "stopped");
    drop(locker);
    job.run(&db).run().await.expect_code(0);
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_behind_it_is_paused_resumed_and_waited_for() {
    let Some((db, job)) = scene(PACED).await else { return };
    let process = job.run(&db).spawn();
    db.until_progress().await;
    ask(&db, ["pause", "job"]).await;
    db.until("(SELECT bool_and(hold = 'paused') FROM pgbackfill.process)").await;
    let timed_out = Pgbackfill::new(["wait", "job", "--timeout", "100ms"]).on(&db).run().await;
    timed_out.expect_code(3);
    ask(&db, ["resume", "job"]).await;
    ask(&db, ["set", "job", "max-rows-per-second=none"]).await;
    ask(&db, ["wait", "job"]).await;
    process.finish().await.expect_code(0);
    let status = ask(&db, ["status", "job"]).await;
    assert!(status.stdout.contains("complete"), "{}", status.stdout);
    assert_exact(&db).await;
}
