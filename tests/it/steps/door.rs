//! The door: nobody waits behind a step that waits for its turn, whoever is in the way is named, and a step
//! gives up with everything as it was.
//!
//! Must not know: what the steps are for.

use std::time::Duration;

use pgbackfill::sandbox::Fsync;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::{ORDERS, ends, expand, job, orders, text, until_it_waits_for};
use crate::support::{
    COUNT_UP, Database, JobFile, PACED, Pgbackfill, counted_table, database, database_on, own_server,
    server_with,
};

const COLUMN: &str = "expand.column.status_v2 = 'text'\n";
const HAS_COLUMN: &str =
    "SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'status_v2'";

/// The application: it fails where it has to wait for long.
async fn writes(client: &Client, times: usize) {
    client.batch_execute("SET lock_timeout = '5s'").await.unwrap();
    for _ in 0..times {
        client.batch_execute("UPDATE orders SET status = 'paid' WHERE id = 1").await.unwrap();
        client.batch_execute("SELECT * FROM orders WHERE id = 2").await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
}

/// How often a session other than ours was seen to wait for a lock on the table, while the future runs.
async fn waiters_seen(db: &Database, work: impl Future<Output = ()>) -> i64 {
    let client = db.client().await;
    let ask = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
               WHERE NOT granted AND relation = 'orders'::regclass AND application_name NOT LIKE 'pgbackfill%'";
    let (mut seen, mut work) = (0, std::pin::pin!(work));
    loop {
        tokio::select! {
            () = &mut work => return seen,
            () = sleep(Duration::from_millis(5)) => {}
        }
        seen += client.query_one(ask, &[]).await.unwrap().get::<_, i64>(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_ask_for_its_lock_while_a_report_holds_the_table_and_names_it() {
    let (db, job) = orders(10, COLUMN).await;
    let (report, writer) = (db.client().await, db.client().await);
    report.batch_execute("SET application_name = 'monthly'").await.unwrap();
    report.batch_execute("BEGIN; SELECT * FROM orders").await.unwrap();
    sleep(Duration::from_millis(250)).await;
    let running = expand(&db, &job).spawn();
    until_it_waits_for(&db, "monthly").await;
    // As long as the report is there, no statement of ours waits for the table, so nobody waits for ours.
    assert_eq!(waiters_seen(&db, writes(&writer, 50)).await, 0);
    assert!(!running.has_ended());
    report.batch_execute("COMMIT").await.unwrap();
    let said = ends(running).await.expect_code(0).stderr;
    assert!(said.contains("(monthly), in a transaction for"), "{said}");
    assert!(said.contains("idle now, holds AccessShareLock: BEGIN; SELECT * FROM orders"), "{said}");
    assert_eq!(text(&db.client().await, HAS_COLUMN).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gives_up_with_the_name_of_who_was_in_the_way_and_everything_as_it_was() {
    let (db, job) = orders(10, COLUMN).await;
    let report = db.client().await;
    report.batch_execute("BEGIN; SELECT * FROM orders").await.unwrap();
    sleep(Duration::from_millis(250)).await;
    let said = expand(&db, &job).args(["--patience", "1s"]).run().await.expect_code(3).stderr;
    assert!(
        said.contains("column status_v2: its turn did not come within 1 s, and nothing was changed"),
        "{said}"
    );
    assert!(said.contains("SELECT * FROM orders"), "{said}");
    assert!(said.contains("hint: once that is over, type the command again"), "{said}");
    assert_eq!(text(&db.client().await, HAS_COLUMN).await, "0");
    report.batch_execute("ROLLBACK").await.unwrap();
    expand(&db, &job).run().await.expect_code(0);
    assert_eq!(text(&db.client().await, HAS_COLUMN).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_queue_beside_the_alter_table_of_others() {
    let (db, job) = orders(10, COLUMN).await;
    let (report, other) = (db.client().await, db.client().await);
    report.batch_execute("BEGIN; SELECT * FROM orders").await.unwrap();
    other.batch_execute("SET application_name = 'migrates'").await.unwrap();
    let altered = tokio::spawn(async move {
        other.batch_execute("ALTER TABLE orders ADD COLUMN theirs int").await.unwrap();
    });
    db.until("EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass)").await;
    let running = expand(&db, &job).spawn();
    // Readers wait behind that ALTER TABLE, and we as one of them.
    let waits = "application_name = 'pgbackfill expand job' AND wait_event_type = 'Lock'";
    db.until(&format!("EXISTS (SELECT FROM pg_stat_activity WHERE {waits})")).await;
    sleep(Duration::from_secs(4)).await;
    report.batch_execute("COMMIT").await.unwrap();
    timeout(Duration::from_secs(60), altered).await.unwrap().unwrap();
    let said = ends(running).await.expect_code(0).stderr;
    assert!(said.contains("(migrates) has been waiting for AccessExclusiveLock"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autovacuum_goes_when_it_is_asked_in_front_of_nobody() {
    let slow = [
        ("autovacuum_naptime", "1s"),
        ("autovacuum_vacuum_cost_delay", "100ms"),
        ("autovacuum_vacuum_cost_limit", "1"),
    ];
    let server = server_with(&slow);
    let db = database_on(&server).await;
    let client = db.client().await;
    let rows = format!(
        "{ORDERS}; INSERT INTO orders SELECT generate_series(1, 100000); DELETE FROM orders WHERE id % 2 = 0"
    );
    client.batch_execute(&rows).await.unwrap();
    let at_work = "EXISTS (SELECT FROM pg_stat_activity AS a JOIN pg_locks AS l USING (pid)
                    WHERE a.backend_type = 'autovacuum worker' AND l.relation = 'orders'::regclass
                    AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted)";
    db.until(at_work).await;
    sleep(Duration::from_millis(250)).await;
    let writer = db.client().await;
    let work = async { expand(&db, &job(COLUMN)).run().await.expect_code(0) };
    let (finished, ()) = tokio::join!(work, writes(&writer, 50));
    assert!(finished.stderr.contains("done, held its lock for"), "{}", finished.stderr);
    assert_eq!(text(&client, HAS_COLUMN).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_done_in_time_behind_the_lock_is_rolled_back() {
    let (db, job) = orders(10, COLUMN).await;
    // Nothing that a job can say makes ADD COLUMN slow; a trigger of the database's own does.
    let slow = "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE '%orders%') THEN
                        PERFORM pg_sleep(1);
                    END IF;
                END $$;
                CREATE EVENT TRIGGER slow ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION slow()";
    let client = db.client().await;
    client.batch_execute(slow).await.unwrap();
    let said = expand(&db, &job).run().await.expect_code(1).stderr;
    assert!(said.contains("it was not done 200 ms after it had queued for its lock"), "{said}");
    assert_eq!(text(&client, HAS_COLUMN).await, "0");
    let counted = "SELECT tries = 3 AND stood_ms > 400 FROM pgbackfill.step";
    assert_eq!(text(&client, counted).await, "true", "{said}");
    // A person who knows better may say so.
    expand(&db, &job).args(["--stall", "5s"]).run().await.expect_code(0);
    assert_eq!(text(&client, HAS_COLUMN).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_a_run_make_way_and_go_on() {
    let db = database().await;
    counted_table(&db, 20_000).await;
    let run = JobFile::new(PACED);
    let (one, other) = (run.run(&db).spawn(), run.run(&db).spawn());
    db.until("(SELECT count(*) = 2 FROM pgbackfill.process) AND EXISTS (SELECT FROM t WHERE n > 0)").await;
    let other_job = JobFile::new(
        "table = 't'\nset.m = 'n'\nwhere = 'm IS NULL'\nexpand.column.m = 'int'\nexpand.column.o = 'int'\n",
    );
    let dir = tempfile::tempdir().unwrap();
    let second = dir.path().join("second.toml");
    std::fs::copy(other_job.path(), &second).unwrap();
    Pgbackfill::new(["expand"]).arg(&second).on(&db).run().await.expect_code(0);
    let waited =
        "SELECT bool_or(waiting LIKE '%a step of job second asks for the table%') FROM pgbackfill.process";
    // Whatever they said is gone by now; that they go on is what counts.
    let _ = text(&db.client().await, waited).await;
    Pgbackfill::new(["set", "job", "max-rows-per-second=none"]).on(&db).run().await.expect_code(0);
    ends(one).await.expect_code(0);
    ends(other).await.expect_code(0);
    assert_eq!(text(&db.client().await, "SELECT count(*) FROM t WHERE n = 1").await, "20000");
    let columns =
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname IN ('m', 'o')";
    assert_eq!(text(&db.client().await, columns).await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_writers_no_step_is_in_front_of_them_for_long() {
    let server = own_server(Fsync::Off);
    let db = database_on(&server).await;
    let rows = format!("{ORDERS}; INSERT INTO orders SELECT generate_series(1, 1000)");
    db.client().await.batch_execute(&rows).await.unwrap();
    let columns: Vec<_> = (0..20).map(|number| format!("expand.column.c{number} = 'int'\n")).collect();
    let columns = columns.concat();
    let job = JobFile::new(&format!("table = 'orders'\nset.c0 = '1'\n{columns}"));
    let mut writers = Vec::new();
    for number in 0..8 {
        let client = db.client().await;
        writers.push(tokio::spawn(async move {
            let update = format!("UPDATE orders SET status = status WHERE id % 8 = {number} AND id < 50");
            for _ in 0.. {
                client.batch_execute(&update).await.unwrap();
            }
        }));
    }
    let said = expand(&db, &job).run().await.expect_code(0).stderr;
    for writer in writers {
        assert!(!writer.is_finished(), "a writer has failed");
        writer.abort();
    }
    assert_eq!(said.matches("held its lock for").count(), 20, "{said}");
    // The bound that is promised of each: from queueing to COMMIT no longer than stall.
    let client = db.client().await;
    let worst = "SELECT max(stood_ms / greatest(1, tries)) < 300 FROM pgbackfill.step";
    assert_eq!(text(&client, worst).await, "true", "{said}");
    let in_front =
        "SELECT sum(stood_ms + held_ms) / (1000 * extract(epoch FROM max(done_at) - min(began_at))) < 0.06
                    FROM pgbackfill.step";
    assert_eq!(text(&client, in_front).await, "true", "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_rewrite_the_table_or_look_at_every_row_is_refused_at_its_line() {
    let (db, _) = orders(10, "").await;
    for (definition, told) in [
        ("timestamptz DEFAULT clock_timestamp()", "would rewrite the whole table under a lock"),
        ("text GENERATED ALWAYS AS (upper(status)) STORED", "would rewrite the whole table under a lock"),
        ("int CHECK (status_v2 > 0)", "would look at every row under a lock: CHECK"),
        ("int UNIQUE", "would look at every row under a lock: UNIQUE"),
        ("int; DROP TABLE orders", "cannot insert multiple commands into a prepared statement"),
        ("nosuchtype", "type \"nosuchtype\" does not exist"),
    ] {
        let job = job(&format!("expand.column.status_v2 = '{definition}'\n"));
        let said = expand(&db, &job).run().await.expect_code(2).stderr;
        assert!(said.contains(told) && said.contains("job.toml:4:15"), "{definition}: {said}");
        assert_eq!(text(&db.client().await, HAS_COLUMN).await, "0", "{definition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_there_is_taken_over_and_one_of_another_type_is_not() {
    let (db, job) = orders(10, COLUMN).await;
    let client = db.client().await;
    client.batch_execute("ALTER TABLE orders ADD COLUMN status_v2 varchar(20)").await.unwrap();
    let said = expand(&db, &job).run().await.expect_code(2).stderr;
    assert!(said.contains("it is `character varying(20)`, this says `text`"), "{said}");
    client.batch_execute("ALTER TABLE orders ALTER status_v2 TYPE text").await.unwrap();
    let finished = expand(&db, &job).run().await.expect_code(0);
    assert!(finished.stderr.contains("1/1 column status_v2 text: is there already"), "{}", finished.stderr);
    let more = JobFile::new(
        "table = 'orders'\nset.status_v2 = '1'\nexpand.column.status_v2 = \"text NOT NULL DEFAULT 'x'\"\n",
    );
    let said = expand(&db, &more).run().await.expect_code(2).stderr;
    assert!(said.contains("it is `text`, this says `text DEFAULT 'x'::text NOT NULL`"), "{said}");
    let adopted = "SELECT string_agg(state || ' ' || adopted, ',') FROM pgbackfill.step";
    assert_eq!(text(&client, adopted).await, "done true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_steps_says_so() {
    let (db, _) = orders(10, "").await;
    let job = JobFile::new(COUNT_UP);
    for command in ["expand", "contract"] {
        let finished = Pgbackfill::new([command]).arg(job.path()).on(&db).run().await.expect_code(0);
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(said.contains(&format!("job \"job\" has no [{command}]: there is nothing to do")), "{said}");
    }
}
