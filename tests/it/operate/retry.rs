//! `pgbackfill retry`: the rows of the quarantine once more.
//!
//! Must not know: how rows get there.

use crate::support::oracle::{assert_nothing_left, assert_once};
use crate::support::{Database, Finished, JobFile, Pgbackfill, database};

/// A row is bad as long as its `d` is 0.
const JOB: &str = "table = 't'\nset.n = 'n + 1 / d'\n[limits]\nmax_bad_rows = 1000\n";
/// The same, for rows that are held at a gate for as long as a test needs it.
const PATIENT: &str = "lock_timeout = '2m'\nstatement_timeout = '2m'\n";

/// Rows 1 to `rows`, of which those that `bad` selects were put aside by a run.
async fn quarantined(rows: u32, bad: &str) -> (Database, JobFile) {
    let db = database().await;
    let make = format!(
        "CREATE TABLE t (id int PRIMARY KEY, d int NOT NULL DEFAULT 1, n int NOT NULL DEFAULT 0, tag text);
         INSERT INTO t (id, d) SELECT i, CASE WHEN {bad} THEN 0 ELSE 1 END FROM generate_series(1, {rows}) AS i"
    );
    execute(&db, &make).await;
    let job = JobFile::new(JOB);
    job.run(&db).run().await.expect_code(4);
    (db, job)
}

async fn execute(db: &Database, sql: &str) {
    db.client().await.batch_execute(sql).await.unwrap();
}

fn retry(db: &Database, job: &JobFile) -> Pgbackfill {
    Pgbackfill::new(["retry", "--output", "json"]).arg(job.path()).on(db)
}

/// Fates of the rows in the order of their keys.
fn fates(said: &Finished) -> Vec<(String, String)> {
    let json = said.json();
    let rows = json.iter().filter(|line| line.get("fate").is_some());
    rows.map(|line| (line["key"][0].as_str().unwrap().to_owned(), line["fate"].as_str().unwrap().to_owned()))
        .collect()
}

async fn assert_complete(db: &Database, rows: i64) {
    let client = db.client().await;
    client.batch_execute("SELECT pgbackfill.assert_complete('job')").await.unwrap();
    assert_once(&client, "t", rows).await;
    let counted =
        client.query_one("SELECT sum(rows_changed)::bigint FROM pgbackfill.range", &[]).await.unwrap();
    assert_eq!(counted.get::<_, i64>(0), rows, "the counters do not add up to the rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_mended_are_changed_and_those_that_were_not_stay() {
    let (db, job) = quarantined(20, "i IN (3, 7, 20)").await;
    execute(&db, "UPDATE t SET d = 1 WHERE id IN (3, 20)").await;
    let before = "SELECT at FROM pgbackfill.bad_row WHERE key = '{7}'";
    let before: std::time::SystemTime = db.client().await.query_one(before, &[]).await.unwrap().get(0);
    let said = Pgbackfill::new(["retry"]).arg(job.path()).on(&db).run().await.expect_code(4);
    insta::assert_snapshot!(said.stdout, @r#"
    row 20 of "public"."t": changed
    row 3 of "public"."t": changed
    row 7 of "public"."t": still bad: division by zero [SQLSTATE 22012]
    job, run 1: 2 rows changed, 0 rows taken out, 1 row left in quarantine
    "#);
    let after = "SELECT at FROM pgbackfill.bad_row";
    let after: std::time::SystemTime = db.client().await.query_one(after, &[]).await.unwrap().get(0);
    assert!(after > before, "that it was tried again is not recorded");
    execute(&db, "UPDATE t SET d = 1 WHERE id = 7").await;
    let said = retry(&db, &job).run().await.expect_code(0);
    assert_eq!(fates(&said), [("7".to_owned(), "changed".to_owned())]);
    assert_complete(&db, 20).await;
    let said = retry(&db, &job).run().await.expect_code(0);
    assert_eq!(fates(&said), []);
    assert_complete(&db, 20).await;
    let history = Pgbackfill::new(["history", "job"]).on(&db).run().await.expect_code(0).stdout;
    assert!(history.contains("rows of the quarantine: 2 changed, 0 taken out, 1 still bad"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_fails_otherwise_is_recorded_with_what_is_wrong_now() {
    let (db, job) = quarantined(5, "i = 3").await;
    execute(&db, "UPDATE t SET d = 1 WHERE id = 3; ALTER TABLE t ADD CHECK (id <> 3 OR n = 0)").await;
    let said = retry(&db, &job).run().await.expect_code(4);
    assert_eq!(fates(&said), [("3".to_owned(), "still_bad".to_owned())]);
    db.until("SELECT sqlstate = '23514' FROM pgbackfill.bad_row").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_gone_or_no_longer_selected_leaves_the_quarantine() {
    let db = database().await;
    execute(
        &db,
        "CREATE TABLE t (id int PRIMARY KEY, d int NOT NULL, n int NOT NULL DEFAULT 0, tag text);
         INSERT INTO t SELECT i, i % 2 FROM generate_series(1, 4) AS i",
    )
    .await;
    let job =
        JobFile::new("table = 't'\nset.n = 'n + 1 / d'\nwhere = 'tag IS NULL'\n[limits]\nmax_bad_rows = 9\n");
    job.run(&db).run().await.expect_code(4);
    execute(&db, "DELETE FROM t WHERE id = 2; UPDATE t SET tag = 'x' WHERE id = 4").await;
    let said = Pgbackfill::new(["retry"]).arg(job.path()).on(&db).run().await.expect_code(0);
    insta::assert_snapshot!(said.stdout, @r#"
    row 2 of "public"."t": taken out, there is no such row any more
    row 4 of "public"."t": taken out, the job does not select it any more
    job, run 1: 0 rows changed, 2 rows taken out, 0 rows left in quarantine
    "#);
    execute(&db, "SELECT pgbackfill.assert_complete('job')").await;
    db.until("(SELECT sum(n) FROM t) = 2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_share_the_rows() {
    let (db, job) = quarantined(300, "true").await;
    job.rewrite(&format!("{JOB}{PATIENT}"));
    execute(&db, "UPDATE t SET d = 1").await;
    execute(&db, GATE).await;
    let gate = db.client().await;
    gate.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
    let (one, other) = (retry(&db, &job).spawn(), retry(&db, &job).spawn());
    // Each has a row in hand, which the other has passed over.
    db.until("(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) = 2").await;
    gate.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    let (one, other) = (one.finish().await.expect_code(0), other.finish().await.expect_code(0));
    assert_eq!(fates(&one).len() + fates(&other).len(), 300);
    assert!(!fates(&one).is_empty() && !fates(&other).is_empty(), "one did all of it");
    assert_complete(&db, 300).await;
}

/// No row is changed as long as somebody holds the lock.
const GATE: &str = "
    CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END';
    CREATE TRIGGER pass BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION pass()";

/// Each row takes some time, so that somebody can come in between.
const SLOW: &str = "
    CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END';
    CREATE TRIGGER nap BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION nap()";

#[tokio::test(flavor = "multi_thread")]
async fn killed_half_way_it_goes_on_where_it_was() {
    let (db, job) = quarantined(200, "true").await;
    execute(&db, "UPDATE t SET d = 1").await;
    execute(&db, SLOW).await;
    for left in [150, 80] {
        let running = retry(&db, &job).spawn();
        db.until(&format!("(SELECT count(*) FROM pgbackfill.bad_row) < {left}")).await;
        running.kill().await;
    }
    retry(&db, &job).run().await.expect_code(0);
    assert_complete(&db, 200).await;
    assert_nothing_left(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_any_kind_are_found_again() {
    let db = database().await;
    execute(
        &db,
        "CREATE TABLE t (day timestamptz, code text COLLATE \"C\", m numeric, d int NOT NULL DEFAULT 0, n int NOT NULL DEFAULT 0,
                         PRIMARY KEY (day, code, m)) PARTITION BY RANGE (day);
         CREATE TABLE \"t 1\" PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
         CREATE TABLE \"t 2\" PARTITION OF t FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);
         INSERT INTO t SELECT day, code, m
         FROM unnest('{-infinity,infinity,2023-12-31 23:59:59.999999+01,2024-06-01}'::timestamptz[]) AS day,
              unnest('{\"\",a,B,\"\\\"\",\"\\\\\",😀}'::text[]) AS code, unnest('{NaN,-1e300,0.10}'::numeric[]) AS m",
    )
    .await;
    let rows = 72;
    let job = JobFile::new(JOB);
    job.run(&db).run().await.expect_code(4);
    db.until(&format!("(SELECT count(*) FROM pgbackfill.bad_row) = {rows}")).await;
    execute(&db, "UPDATE t SET d = 1").await;
    retry(&db, &job).run().await.expect_code(0);
    assert_complete(&db, rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_rewritten_is_refused() {
    let (db, job) = quarantined(5, "i = 3").await;
    job.rewrite(&JOB.replace("n + 1", "n + 2"));
    let said = retry(&db, &job).run().await.expect_code(5);
    assert!(said.stderr.contains("is not the one that run 1 was started with"), "{}", said.stderr);
    job.rewrite(&JOB.replace("1 / d", "1 / e"));
    retry(&db, &job).run().await.expect_code(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_somebody_has_cancelled_is_left_alone() {
    let db = database().await;
    execute(&db, "CREATE TABLE t (id int PRIMARY KEY, d int NOT NULL, n int NOT NULL DEFAULT 0); INSERT INTO t VALUES (1, 0), (2, 1), (3, 1)").await;
    let job = JobFile::new(&format!("{JOB}[pace]\nmax_rows_per_batch = 1\n"));
    job.run_with(&db, ["--max-rows", "1"]).run().await.expect_code(3);
    Pgbackfill::new(["cancel", "job"]).on(&db).run().await.expect_code(0);
    let said = retry(&db, &job).run().await.expect_code(1);
    assert_eq!(said.stderr, "error: run 1 of job \"job\" is cancelled\nhint: pgbackfill resume job first\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_table_under_the_name_is_not_touched() {
    let (db, job) = quarantined(5, "i = 3").await;
    execute(&db, "ALTER TABLE t RENAME TO old; CREATE TABLE t (id int PRIMARY KEY, d int, n int); INSERT INTO t VALUES (3, 1, 0)").await;
    let said = retry(&db, &job).run().await.expect_code(5);
    assert!(said.stderr.contains("was started on another table of the name"), "{}", said.stderr);
    db.until("(SELECT n FROM t) = 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_has_locked_is_named() {
    let (db, _) = quarantined(5, "i = 3").await;
    let job = JobFile::new(
        &JOB.replace("max_bad_rows = 1000", "max_bad_rows = 9\nretries = 1\nlock_timeout = '10ms'"),
    );
    execute(&db, "UPDATE t SET d = 1 WHERE id = 3").await;
    let locker = db.client().await;
    locker.batch_execute("BEGIN; SELECT FROM t WHERE id = 3 FOR UPDATE").await.unwrap();
    let said = retry(&db, &job).run().await.expect_code(1);
    assert!(
        said.stderr.contains("row 3 of \"public\".\"t\": canceling statement due to lock timeout"),
        "{}",
        said.stderr
    );
    locker.batch_execute("COMMIT").await.unwrap();
    retry(&db, &job).run().await.expect_code(0);
    assert_complete(&db, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_never_run_has_nothing_to_retry() {
    let (db, _) = quarantined(5, "i = 3").await;
    let said = Pgbackfill::new(["retry", "--table", "t", "--set", "n = n + 1", "--name", "jo"])
        .on(&db)
        .run()
        .await
        .expect_code(1);
    insta::assert_snapshot!(said.stderr, @r#"
    error: job "jo" has never been run in this database
    hint: did you mean "job"?
    "#);
}

/// A version before the quarantine stored the range has put the rows aside: their range is found by its
/// bounds.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_an_earlier_version_put_aside_are_counted_in_their_range() {
    let (db, job) = quarantined(2_000, "i IN (3, 1999)").await;
    let client = db.client().await;
    let stored = client.query_one("SELECT count(range) FROM pgbackfill.bad_row", &[]).await.unwrap();
    assert_eq!(stored.get::<_, i64>(0), 2, "the range is not stored with the row");
    execute(&db, "UPDATE pgbackfill.bad_row SET range = NULL; UPDATE t SET d = 1").await;
    let said = retry(&db, &job).run().await.expect_code(0);
    assert_eq!(fates(&said).len(), 2);
    assert_complete(&db, 2_000).await;
}
