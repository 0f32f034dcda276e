//! Processes and servers that are killed at any instant: every row is changed exactly once.

mod others;

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use pgbackfill::sandbox::{Fsync, StopMode};
use tokio::task::block_in_place;
use tokio::time;

use crate::support::oracle::{assert_nothing_left, assert_once, assert_swept};
use crate::support::{
    COUNT_FILLS, Database, FILL_UP, JobFile, Pgbackfill, Running, counted_table, database, database_on,
    machine, own_server, random, walks_by_block,
};

const ROWS: i64 = 100_000;
const PROCESSES: usize = 3;
const KILLS: u32 = 50;
/// From here on those that are there may end it.
const KILLS_MAX: u32 = 90;
const CRASHES: u32 = 10;
/// Attempts of a batch, while the server is there.
const RETRIES: usize = 2;

/// Two rows a batch are 50,000 batches: more than are committed under this ceiling before the last of the
/// kills.
const SLOW: &str =
    "table = 't'\nset.n = 'n + 1'\npace.max_rows_per_batch = 2\npace.max_rows_per_second = 1500\n";

const SLOW_PACE: &str = "pace.max_rows_per_batch = 2\npace.max_rows_per_second = 1500\n";

fn start_all(job: &JobFile, db: &Database) -> Vec<Running> {
    (0..PROCESSES).map(|_| job.run(db).spawn()).collect()
}

async fn set(db: &Database, knob: &str) {
    Pgbackfill::new(["set", "job", knob]).on(db).run().await.expect_code(0);
}

/// The rest in batches of so many rows, without the ceiling.
async fn hurry(db: &Database, rows_per_batch: u32) {
    let rows = format!("max-rows-per-batch={rows_per_batch}");
    let hurry = Pgbackfill::new(["set", "job", "max-rows-per-second=none", &rows]);
    hurry.on(db).run().await.expect_code(0);
}

/// Kills one of the processes and puts a new one in its place; false if it had ended by itself.
async fn replace(one: &mut Running, job: &JobFile, db: &Database) -> bool {
    let killed = std::mem::replace(one, job.run(db).spawn());
    killed.kill().await.signal == Some(Signal::SIGKILL as i32)
}

async fn all_complete(processes: Vec<Running>) {
    for process in processes {
        process.finish().await.expect_code(0);
    }
}

async fn assert_exact(db: &Database) {
    db.assert_exact(ROWS).await;
    assert_nothing_left(db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_killed_at_any_instant_change_every_row_once() {
    killed("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_killed_at_any_instant_in_key_order_change_every_row_once() {
    killed("order.stripes = 1\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_killed_at_any_instant_by_block_change_every_row_once() {
    if !walks_by_block().await {
        return;
    }
    let _machine = machine::loaded().await;
    let db = database().await;
    counted_table(&db, ROWS).await;
    db.client().await.batch_execute(COUNT_FILLS).await.unwrap();
    killed_until_complete(&db, &JobFile::new(&format!("{FILL_UP}{SLOW_PACE}"))).await;
    let client = db.client().await;
    assert_once(&client, "t", ROWS).await;
    assert_swept(&client, ROWS).await;
    assert_nothing_left(&db).await;
}

async fn killed(order: &str) {
    let _machine = machine::loaded().await;
    let (db, job) = (database().await, JobFile::new(&format!("{SLOW}{order}")));
    counted_table(&db, ROWS).await;
    killed_until_complete(&db, &job).await;
    assert_exact(&db).await;
}

async fn killed_until_complete(db: &Database, job: &JobFile) {
    let mut rng = random::seeded();
    let mut processes = start_all(job, db);
    db.until_progress().await;
    let mut kills = 0;
    while !db.is_complete().await {
        // The fault that is injected, not a wait for anything.
        time::sleep(random::time_up_to(Duration::from_millis(250), &mut rng)).await;
        if kills < KILLS_MAX {
            kills += u32::from(replace(&mut processes[rng.usize(..PROCESSES)], job, db).await);
        }
        if kills == KILLS {
            // From here on towards the end, which the kills do not spare either.
            hurry(db, 2000).await;
        }
    }
    println!("{kills} kills");
    all_complete(processes).await;
    assert!(kills >= KILLS, "the run was complete after {kills} kills");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_outlive_a_server_that_crashes_and_change_every_row_once() {
    let _machine = machine::exclusive().await;
    let (mut server, mut rng) = (own_server(Fsync::On), random::seeded());
    let (db, job) = (database_on(&server).await, JobFile::new(SLOW));
    counted_table(&db, ROWS).await;
    let processes = start_all(&job, &db);
    // Whoever comes to a server that is gone leaves; whoever is there stays.
    db.until_claimed_by(2 * PROCESSES).await;
    for crash in 0..CRASHES {
        db.until_progress().await;
        // As above.
        time::sleep(random::time_up_to(Duration::from_millis(800), &mut rng)).await;
        assert!(!db.is_complete().await, "the run was complete after {crash} crashes");
        block_in_place(|| {
            server.stop(StopMode::Immediate).unwrap();
            server.restart().unwrap();
        });
    }
    db.until_progress().await;
    // Those that were there before the first crash are there after the last one.
    assert!(processes.iter().all(|process| !process.has_ended()), "a process did not outlive the crashes");
    hurry(&db, 50_000).await;
    all_complete(processes).await;
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_for_more_attempts_than_a_batch_has_is_waited_for() {
    let mut server = own_server(Fsync::Off);
    let toml = format!("{SLOW}limits.retries = {RETRIES}\n");
    let (db, job) = (database_on(&server).await, JobFile::new(&toml));
    counted_table(&db, ROWS).await;
    let process = job.run(&db).spawn();
    db.until_progress().await;
    block_in_place(|| server.stop(StopMode::Fast)).unwrap();
    // Of its two workers one has tried more often than a batch may.
    process.until_said("retrying", 2 * RETRIES + 1).await;
    block_in_place(|| server.restart()).unwrap();
    db.until_progress().await;
    hurry(&db, 50_000).await;
    process.finish().await.expect_code(0);
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_come_back_is_given_up_when_the_job_says() {
    let mut server = own_server(Fsync::Off);
    let toml = format!("{SLOW}limits.reconnect_timeout = '1s'\n");
    let (db, job) = (database_on(&server).await, JobFile::new(&toml));
    counted_table(&db, ROWS).await;
    let process = job.run(&db).spawn();
    db.until_progress().await;
    block_in_place(|| server.stop(StopMode::Fast)).unwrap();
    let ended = process.finish().await.expect_code(75);
    assert!(ended.stderr.contains("is the server up"), "{}", ended.stderr);
    let last = ended.json().pop().unwrap();
    assert!(last["event"] == "failed" && last["run"] == 1, "{last}");
    block_in_place(|| server.restart()).unwrap();
    job.run_with(&db, ["--max-rows-per-batch", "50000", "--max-rows-per-second", "none"])
        .run()
        .await
        .expect_code(0);
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_worker_gives_up_the_whole_process_leaves() {
    let db = database().await;
    counted_table(&db, ROWS).await;
    // As often as one worker bears it; the other has hours of work.
    let fatal = "CREATE SEQUENCE blow;
                 CREATE FUNCTION fatal() RETURNS trigger LANGUAGE plpgsql AS
                     'BEGIN IF nextval(''blow'') <= 2 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END';
                 CREATE TRIGGER fatal BEFORE UPDATE ON t FOR EACH ROW WHEN (old.id = 1) EXECUTE FUNCTION fatal()";
    db.client().await.batch_execute(fatal).await.unwrap();
    let job = JobFile::new(
        "table = 't'\nset.n = 'n + 1'\npace.max_rows_per_batch = 2\npace.max_rows_per_second = 4\nlimits.retries = 1\n",
    );
    let ended = job.run(&db).run().await.expect_code(75);
    assert!(ended.stderr.contains("57P01"), "{}", ended.stderr);
    let status = Pgbackfill::new(["status"]).on(&db).run().await.expect_code(0).stdout;
    assert!(status.contains("state     running, but no process is at work"), "{status}");
    assert!(status.contains("\nretries   1\n"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_share_a_run_and_each_takes_part() {
    let _machine = machine::loaded().await;
    let db = database().await;
    // The ceiling keeps the first from finishing before the last has come.
    let job = JobFile::new("table = 't'\nset.n = 'n + 1'\npace.max_rows_per_second = 2000\n");
    counted_table(&db, ROWS).await;
    let processes: Vec<_> = (0..4).map(|_| job.run(&db).spawn()).collect();
    db.until_claimed_by(8).await;
    set(&db, "max-rows-per-second=none").await;
    let mut rows_changed = 0;
    for process in processes {
        let finished = process.finish().await.expect_code(0);
        let batches = finished.events("batch_committed");
        let workers: BTreeSet<_> = batches.iter().map(|batch| batch["worker"].as_u64().unwrap()).collect();
        assert_eq!(workers, BTreeSet::from([0, 1]), "not every worker has committed a batch");
        let here: u64 = batches.iter().map(|batch| batch["rows_changed"].as_u64().unwrap()).sum();
        assert_eq!(finished.summary()["rows_changed_here"], here);
        rows_changed += here;
    }
    assert_eq!(rows_changed, ROWS as u64);
    assert_exact(&db).await;
}
