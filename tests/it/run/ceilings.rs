//! Ceilings: what a person sets is what the database sees, over all processes, within five in a hundred.

use pgbackfill::sandbox::Fsync;

use crate::support::{
    Database, JobFile, PACED, Pgbackfill, Running, counted_table, database, database_on, machine, own_server,
};

const ROWS_PER_S: f64 = 2_000.0;
const WAL_PER_S: f64 = 1_048_576.0;

/// Counters by the database's clock.
const CHANGED: &str = "SELECT extract(epoch FROM clock_timestamp())::float8,
                              (SELECT sum(rows_changed) FROM pgbackfill.range)::float8";
const WRITTEN: &str = "SELECT extract(epoch FROM clock_timestamp())::float8,
                              (pg_current_wal_insert_lsn() - '0/0')::float8";

/// How fast a counter grows over ten seconds.
async fn speed(db: &Database, counter: &str) -> f64 {
    let client = db.client().await;
    let read = async || {
        let row = client.query_one(counter, &[]).await.unwrap();
        (row.get::<_, f64>(0), row.get::<_, f64>(1))
    };
    let (began, before) = read().await;
    client.batch_execute("SELECT pg_sleep(10)").await.unwrap();
    let (ended, after) = read().await;
    (after - before) / (ended - began)
}

#[track_caller]
fn assert_near(found: f64, expected: f64) {
    println!("{found:.0} of {expected:.0} a second");
    assert!((found / expected - 1.0).abs() <= 0.05, "{found:.0} a second instead of {expected:.0}");
}

/// Lets the database's clock run for this long: what is measured is to be the steady state.
async fn settle(db: &Database, seconds: u32) {
    db.client().await.batch_execute(&format!("SELECT pg_sleep({seconds})")).await.unwrap();
}

async fn has_checksums(db: &Database) -> bool {
    let sql = "SELECT current_setting('data_checksums') = 'on'";
    db.client().await.query_one(sql, &[]).await.unwrap().get(0)
}

async fn scene(db: &Database) {
    counted_table(db, 200_000).await;
    // What vacuum writes is not the run's.
    db.client().await.batch_execute("ALTER TABLE t SET (autovacuum_enabled = false)").await.unwrap();
}

/// Processes that have all committed their first batches.
async fn at_work(job: &JobFile, db: &Database, processes: usize) -> Vec<Running> {
    let all = (0..processes).map(|_| job.run(db).spawn()).collect();
    db.until_claimed_by(2 * processes).await;
    settle(db, 2).await;
    all
}

async fn cancel(db: &Database, processes: Vec<Running>) {
    Pgbackfill::new(["cancel", "job"]).on(db).run().await.expect_code(0);
    for process in processes {
        process.finish().await.expect_code(3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_keeps_to_the_ceiling_of_rows() {
    let _machine = machine::shared().await;
    let (db, job) = (database().await, JobFile::new(PACED));
    scene(&db).await;
    let processes = at_work(&job, &db, 1).await;
    assert_near(speed(&db, CHANGED).await, ROWS_PER_S);
    cancel(&db, processes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_share_the_ceiling_and_take_over_the_share_of_one_that_was_killed() {
    let _machine = machine::shared().await;
    let (db, job) = (database().await, JobFile::new(PACED));
    scene(&db).await;
    let mut processes = at_work(&job, &db, 3).await;
    assert_near(speed(&db, CHANGED).await, ROWS_PER_S);
    processes.remove(0).kill().await;
    // Three seconds of silence make a process count as gone, and the next heartbeat of each tells the others.
    let heard = "(SELECT min(last_seen) FROM heard) > (SELECT max(last_seen) FROM silent) + interval '4 s'";
    let seen = "SELECT last_seen FROM pgbackfill.process ORDER BY last_seen";
    db.until(&format!("(WITH heard AS ({seen} DESC LIMIT 2), silent AS ({seen} LIMIT 1) SELECT {heard})"))
        .await;
    settle(&db, 1).await;
    assert_near(speed(&db, CHANGED).await, ROWS_PER_S);
    cancel(&db, processes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_writes_as_much_wal_as_the_ceiling_says() {
    let _machine = machine::shared().await;
    let server = own_server(Fsync::Off);
    let db = database_on(&server).await;
    let job = JobFile::new("table = 't'\nset.n = 'n + 1'\npace.max_wal_per_second = '1MiB'\n");
    scene(&db).await;
    db.client().await.batch_execute("CHECKPOINT").await.unwrap();
    let processes = at_work(&job, &db, 2).await;
    let written = speed(&db, WRITTEN).await;
    if has_checksums(&db).await {
        // With data checksums the server also logs whole pages on which somebody has only set hints; nobody
        // counts those.
        assert!(
            (0.95..1.15).contains(&(written / WAL_PER_S)),
            "{written:.0} a second instead of {WAL_PER_S:.0}"
        );
    } else {
        assert_near(written, WAL_PER_S);
    }
    cancel(&db, processes).await;
}
