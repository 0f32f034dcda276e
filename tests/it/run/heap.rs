//! Walking by block: tables without a key, with a random one, changes that can be repeated and those that
//! cannot, and whatever moves rows meanwhile.

use std::time::Duration;

use pgbackfill::event::{Event, Outcome};
use tokio_postgres::Client;

use crate::support::in_process::{Ran, job, options, run, run_with};
use crate::support::{Database, JobFile, Pgbackfill, database, until, walks_by_block};

/// Sets `filled` of each row once.
const FILL: &str = "table = 't'\nset.filled = 'a * 2'\nwhere = 'filled IS NULL'\n[scan]\norder = 'heap'\n";

/// A database with a table `t` whose trigger counts in `n` how often a row was filled; none: a server that
/// cannot walk by block.
async fn counted(key: &str, rows: u32) -> Option<Database> {
    if !walks_by_block().await {
        return None;
    }
    let db = database().await;
    let client = db.client().await;
    client
        .batch_execute(&format!(
            "CREATE TABLE t (id uuid NOT NULL {key}, a int NOT NULL, filled int, note text, n int NOT NULL DEFAULT 0);
             CREATE INDEX ON t (a);
             CREATE INDEX ON t (note);
             INSERT INTO t (id, a, note)
             SELECT md5(i::text)::uuid, i, repeat('x', 60) FROM generate_series(1, {rows}) AS i;
             ANALYZE t;
             CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 NEW.n := NEW.n + 1;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER count_up BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.filled IS DISTINCT FROM OLD.filled)
             EXECUTE FUNCTION count_up()"
        ))
        .await
        .unwrap();
    Some(db)
}

async fn number(client: &Client, query: &str) -> i64 {
    client.query_one(&format!("SELECT ({query})::bigint"), &[]).await.unwrap().get(0)
}

/// Every row is filled, and was filled once.
async fn assert_filled_once(client: &Client, rows: i64) {
    let found = client
        .query_one(
            "SELECT count(*), count(*) FILTER (WHERE filled IS NOT DISTINCT FROM a * 2 AND n = 1) FROM t",
            &[],
        )
        .await
        .unwrap();
    assert_eq!((found.get::<_, i64>(0), found.get::<_, i64>(1)), (rows, rows), "(rows, filled once)");
}

/// What the run says of its proof.
async fn proof(client: &Client) -> (Option<bool>, String) {
    let row = client.query_one("SELECT proven, coalesce(proof, '') FROM pgbackfill.run", &[]).await.unwrap();
    (row.get(0), row.get(1))
}

fn notices(ran: &Ran) -> String {
    let texts = ran.events.iter().filter_map(|event| match event {
        Event::Notice { message } => Some(message.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_is_walked_by_block_and_no_row_is_found_by_the_sweep() {
    let Some(db) = counted("", 30_000).await else { return };
    let ran = run(&db, "table = 't'\nset.filled = 'a * 2'\nwhere = 'filled IS NULL'\n").await;
    assert_eq!((ran.summary.outcome, ran.summary.rows_changed_here), (Outcome::Complete, 30_000));
    let client = db.client().await;
    assert_filled_once(&client, 30_000).await;
    assert_eq!(number(&client, "SELECT sum(rows_changed) FROM pgbackfill.range WHERE pass > 0").await, 0);
    assert_eq!(number(&client, "SELECT sweep FROM pgbackfill.leaf").await, 1);
    assert_eq!(proof(&client).await.0, Some(true));
    client.batch_execute("SELECT pgbackfill.assert_complete('job')").await.unwrap();
    let status = Pgbackfill::new(["status", "job"]).on(&db).run().await.expect_code(0).stdout;
    assert!(status.contains("by block, sweep 1"), "{status}");
    assert!(
        status.contains("proof     proven: no row matches any more: one pass under one snapshot"),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_scattered_is_walked_by_block_and_one_that_is_not_by_key() {
    let Some(db) = counted("PRIMARY KEY", 120_000).await else { return };
    let text = "table = 't'\nset.filled = 'a * 2'\nwhere = 'filled IS NULL'\n";
    let plan =
        Pgbackfill::new(["plan"]).arg(JobFile::new(text).path()).on(&db).run().await.expect_code(0).stdout;
    assert!(
        plan.contains("block by block (rows that follow each other by key lie on different pages"),
        "{plan}"
    );
    run(&db, text).await;
    let client = db.client().await;
    assert_filled_once(&client, 120_000).await;
    assert_eq!(number(&client, "SELECT count(*) FROM pgbackfill.leaf WHERE scan = 'heap'").await, 1);
    client
        .batch_execute(
            "CREATE TABLE u (id bigint PRIMARY KEY, a text, filled int);
             INSERT INTO u SELECT i, repeat('x', 60) FROM generate_series(1, 120000) AS i; ANALYZE u",
        )
        .await
        .unwrap();
    let text = "table = 'u'\nset.filled = '1'\nwhere = 'filled IS NULL'\n";
    let plan =
        Pgbackfill::new(["plan"]).arg(JobFile::new(text).path()).on(&db).run().await.expect_code(0).stdout;
    assert!(plan.contains("over the key (id)"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_where_changes_only_rows_that_are_not_yet_as_it_makes_them() {
    let Some(db) = counted("", 5_000).await else { return };
    let client = db.client().await;
    client
        .batch_execute("DROP TRIGGER count_up ON t; UPDATE t SET filled = a * 2 WHERE a <= 2000")
        .await
        .unwrap();
    let text = "table = 't'\nset.filled = 'a * 2'\nset.note = \"'n' || a\"\n";
    assert_eq!(run(&db, text).await.summary.rows_changed_here, 5_000);
    client.batch_execute("UPDATE t SET note = 'other' WHERE a > 4990").await.unwrap();
    let again = pgbackfill::engine::Options { which: pgbackfill::engine::Which::New, ..options() };
    let ran = run_with(&db, &job(text), &again).await.unwrap();
    assert_eq!(ran.summary.rows_changed_here, 10);
    assert_eq!(
        number(&client, "SELECT count(*) FROM t WHERE filled = a * 2 AND note = 'n' || a").await,
        5_000
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_where_that_stays_true_is_found_out_and_the_run_goes_on_by_key() {
    let Some(db) = counted("PRIMARY KEY", 20_000).await else { return };
    let text =
        "table = 't'\nset.filled = 'coalesce(filled, 0) + 1'\nwhere = 'a > 0'\n[scan]\norder = 'heap'\n";
    let ran = run(&db, text).await;
    assert_eq!(ran.summary.outcome, Outcome::Complete);
    let said = notices(&ran);
    assert!(
        said.contains("\"public\".\"t\" is walked by key from now on: ")
            && said.contains("rows match again right after they were changed"),
        "{said}"
    );
    let client = db.client().await;
    assert_eq!(number(&client, "SELECT count(*) FROM t WHERE filled = 1 AND n = 1").await, 20_000);
    assert_eq!(proof(&client).await.0, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_where_that_only_sometimes_stays_true_is_found_out_too() {
    let Some(db) = counted("PRIMARY KEY", 20_000).await else { return };
    // One row in ten thousand gets NULL again.
    let text = "table = 't'\nset.filled = 'nullif(a * 2, 14000)'\nset.note = \"'done'\"\nwhere = 'filled IS NULL'\n[scan]\norder = 'heap'\n";
    let ran = run(&db, text).await;
    assert!(notices(&ran).contains("is walked by key from now on: 1 of "), "{}", notices(&ran));
    let client = db.client().await;
    assert_eq!(number(&client, "SELECT count(*) FROM t WHERE note = 'done'").await, 20_000);
    assert_eq!(number(&client, "SELECT count(*) FROM t WHERE n <> 1 AND a <> 7000").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_a_where_that_stays_true_blocks_the_run() {
    let Some(db) = counted("", 5_000).await else { return };
    let text = "table = 't'\nset.filled = 'a'\nwhere = 'a > 0'\n";
    let said = JobFile::new(text).run(&db).run().await.expect_code(1);
    let reason = "cannot be walked by block: ";
    assert!(
        said.stdout.contains(reason) && said.stdout.contains("let `where` select only rows"),
        "{}",
        said.stdout
    );
    let client = db.client().await;
    assert_eq!(number(&client, "SELECT count(*) FROM t WHERE n > 0").await, 0);
}

/// What is said of a job that cannot be walked by block.
async fn refused(db: &Database, text: &str) -> String {
    let job = JobFile::new(text);
    let said = job.run(db).run().await.expect_code(2);
    said.stderr.replace(&job.path().display().to_string(), "job.toml")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_repeated_is_refused_where_there_is_no_key() {
    let Some(db) = counted("", 100).await else { return };
    for (set, why) in [
        ("set.a = 'a + 1'", "there is no `where` that the change makes false, and trigger \"count_up\""),
        (
            "set.filled = 'a'\nwhere = 'filled < (SELECT max(filled) FROM t)'",
            "the job reads \"public\".\"t\" itself",
        ),
    ] {
        let said = refused(&db, &format!("table = 't'\n{set}\n")).await;
        assert!(said.contains("has no primary key that can order it") && said.contains(why), "{said}");
    }
    db.client().await.batch_execute("DROP TRIGGER count_up ON t").await.unwrap();
    for (set, why) in [
        ("set.a = 'a + 1'", "and the value of \"a\" is made of what the change sets"),
        ("set.filled = 'random() * 9'", "and \"filled\" has another value each time"),
        ("set.filled = 'a'\n[scan]\ntouch = true", "and the job says touch = true"),
    ] {
        let said = refused(&db, &format!("table = 't'\n{set}\n")).await;
        assert!(said.contains(why), "{said}");
        let (set, scan) = set.split_once("\n[scan]").unwrap_or((set, ""));
        let said = refused(&db, &format!("table = 't'\n{set}\n[scan]{scan}\norder = 'heap'\n")).await;
        assert!(said.contains("the table cannot be walked by block: there is no `where`"), "{said}");
    }
}

/// A trigger that fires after each updated row, and does this.
async fn afterwards(db: &Database, sort: &str, does: &str) {
    let make = format!(
        "CREATE TABLE audit (a int);
         CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; RETURN NULL; END $$;
         CREATE {sort} FOR EACH ROW WHEN (OLD.filled IS NULL AND NEW.filled IS NOT NULL) EXECUTE FUNCTION later()"
    );
    db.client().await.batch_execute(&make).await.unwrap();
}

const AT_ONCE: &str = "TRIGGER later AFTER UPDATE ON t";
const AT_COMMIT: &str = "CONSTRAINT TRIGGER later AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED";

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_fires_afterwards_and_writes_elsewhere_is_no_hindrance() {
    for sort in [AT_ONCE, AT_COMMIT] {
        let Some(db) = counted("", 5_000).await else { return };
        afterwards(&db, sort, "INSERT INTO audit VALUES (NEW.a)").await;
        let ran = run(&db, FILL).await;
        assert_eq!(ran.summary.outcome, Outcome::Complete);
        let client = db.client().await;
        assert_filled_once(&client, 5_000).await;
        assert_eq!(number(&client, "SELECT count(DISTINCT a) FROM audit").await, 5_000);
        assert_eq!(number(&client, "SELECT count(*) FROM audit").await, 5_000);
        assert_eq!(proof(&client).await.0, Some(true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_sets_a_row_back_afterwards_is_found_out() {
    for sort in [AT_ONCE, AT_COMMIT] {
        let Some(db) = counted("PRIMARY KEY", 5_000).await else { return };
        afterwards(&db, sort, "UPDATE t SET filled = NULL WHERE id = NEW.id AND NEW.a = 77").await;
        let ran = run(&db, FILL).await;
        let said = notices(&ran);
        let why = "is walked by key from now on: trigger \"later\" changes rows of the table, too (1 row in this batch)";
        assert!(said.contains(why), "{said}");
        let client = db.client().await;
        // By key each row is changed once: what the trigger makes of it is the application's.
        assert_eq!(number(&client, "SELECT count(*) FROM t WHERE filled = a * 2 AND n = 1").await, 4_999);
        assert_eq!(number(&client, "SELECT n FROM t WHERE a = 77 AND filled IS NULL").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_scattered_and_must_be_walked_has_its_price_told() {
    let Some(db) = counted("PRIMARY KEY", 120_000).await else { return };
    let text = "table = 't'\nset.filled = 'coalesce(filled, 0) + 1'\n";
    let plan =
        Pgbackfill::new(["plan"]).arg(JobFile::new(text).path()).on(&db).run().await.expect_code(0).stdout;
    assert!(
        plan.contains("scattered-key") && plan.contains("walking by block would spare most of that, but"),
        "{plan}"
    );
}

/// A run that is so slow that it has not ended whatever the test does.
const SLOW: &str = "table = 't'\nset.filled = 'a * 2'\nwhere = 'filled IS NULL'\npace.max_rows_per_second = 4000\n[scan]\norder = 'heap'\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_rewritten_meanwhile_is_walked_again() {
    let Some(db) = counted("PRIMARY KEY", 30_000).await else { return };
    let job = JobFile::new(SLOW);
    let running = job.run(&db).spawn();
    let client = db.client().await;
    for rewrite in ["VACUUM FULL t", "CLUSTER t USING t_pkey"] {
        until(&client, "(SELECT count(*) FROM t WHERE filled IS NOT NULL) > 1000").await;
        let pass = number(&client, "SELECT pass FROM pgbackfill.leaf").await;
        client.batch_execute(rewrite).await.unwrap();
        until(&client, &format!("(SELECT pass FROM pgbackfill.leaf) > {pass}")).await;
    }
    client.batch_execute("UPDATE pgbackfill.run SET knobs = knobs - 'max_rows_per_s'").await.unwrap();
    let said = running.finish().await.expect_code(0);
    assert!(said.stdout.contains("was rewritten (VACUUM FULL, CLUSTER)"), "{}", said.stdout);
    assert_filled_once(&client, 30_000).await;
    assert_eq!(number(&client, "SELECT sum(rows_changed) FROM pgbackfill.range").await, 30_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_an_application_moves_are_all_found() {
    let Some(db) = counted("PRIMARY KEY", 40_000).await else { return };
    let job = JobFile::new(&SLOW.replace("4000", "20000"));
    let running = job.run(&db).spawn();
    db.until_first_batch().await;
    let moving = async {
        let client = db.client().await;
        let mut rounds = 0;
        while number(&client, "SELECT count(*) FROM pgbackfill.leaf WHERE sweep = 0").await > 0 {
            // Each moves to where there is room: before or behind the cursor.
            client
                .batch_execute(
                    "UPDATE t SET note = md5(random()::text) WHERE id IN (SELECT id FROM t TABLESAMPLE SYSTEM (2));
                     DELETE FROM t WHERE id IN (SELECT id FROM t WHERE n = 1 ORDER BY random() LIMIT 20);
                     VACUUM t",
                )
                .await
                .ok();
            rounds += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        rounds
    };
    let (said, rounds) = tokio::join!(running.finish(), moving);
    said.expect_code(0);
    assert!(rounds > 0, "nothing was moved");
    let client = db.client().await;
    let rows = number(&client, "SELECT count(*) FROM t").await;
    assert_filled_once(&client, rows).await;
    assert_eq!(proof(&client).await.0, Some(true), "{}", proof(&client).await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_put_aside_by_their_key_and_without_one_by_their_place() {
    for (key, is_named) in [("PRIMARY KEY", true), ("", false)] {
        let Some(db) = counted(key, 5_000).await else { return };
        let text = "table = 't'\nset.filled = '2 * a * (a - 7) / (a - 7)'\nwhere = 'filled IS NULL'\n[limits]\nmax_bad_rows = 5\n[scan]\norder = 'heap'\n";
        let job = JobFile::new(text);
        job.run(&db).run().await.expect_code(4);
        let client = db.client().await;
        let bad = "SELECT key[1] FROM pgbackfill.bad_row";
        let bad: String = client.query_one(bad, &[]).await.unwrap().get(0);
        let name = if is_named { "id::text" } else { "ctid::text" };
        let row: String =
            client.query_one(&format!("SELECT {name} FROM t WHERE a = 7"), &[]).await.unwrap().get(0);
        assert_eq!(bad, row);
        assert_eq!(number(&client, "SELECT count(*) FROM t WHERE n = 1").await, 4_999);
        assert_eq!(proof(&client).await.0, Some(true), "{}", proof(&client).await.1);
        client.batch_execute("UPDATE t SET a = 5001 WHERE a = 7").await.unwrap();
        Pgbackfill::new(["retry"]).arg(job.path()).on(&db).run().await.expect_code(0);
        if is_named {
            assert_filled_once(&client, 5_000).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_at_the_end_of_their_blocks_are_put_aside() {
    let Some(db) = counted("PRIMARY KEY", 5_000).await else { return };
    let client = db.client().await;
    client
        .batch_execute(
            "CREATE TABLE bad AS SELECT DISTINCT ON ((ctid::text::point)[0]) a FROM t ORDER BY (ctid::text::point)[0], ctid DESC;
             CREATE UNIQUE INDEX ON bad (a)",
        )
        .await
        .unwrap();
    let bad = number(&client, "SELECT count(*) FROM bad").await;
    let text = "table = 't'\nset.filled = 'a * 2 / (SELECT 1 - count(*) FROM bad WHERE bad.a = t.a)'\n\
                where = 'filled IS NULL'\n[limits]\nmax_bad_rows = 1000\n[scan]\norder = 'heap'\n";
    JobFile::new(text).run(&db).run().await.expect_code(4);
    assert_eq!(number(&client, "SELECT count(*) FROM pgbackfill.bad_row").await, bad);
    assert_eq!(number(&client, "SELECT count(*) FROM t WHERE filled = a * 2 AND n = 1").await, 5_000 - bad);
    assert_eq!(proof(&client).await.0, Some(true), "{}", proof(&client).await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_proven_is_said_everywhere() {
    let Some(db) = counted("", 2_000).await else { return };
    let ran = run(&db, &format!("{FILL}proof = 'off'\n")).await;
    assert_eq!(ran.summary.outcome, Outcome::Complete);
    assert!(
        notices(&ran).contains("complete, but not proven: the job says proof = \"off\""),
        "{}",
        notices(&ran)
    );
    let client = db.client().await;
    assert_eq!(proof(&client).await.0, Some(false));
    let refused = client.batch_execute("SELECT pgbackfill.assert_complete('job')").await.unwrap_err();
    assert!(refused.as_db_error().unwrap().message().contains("complete, but not proven"), "{refused}");
    let status = Pgbackfill::new(["status", "job"]).on(&db).run().await.expect_code(0).stdout;
    assert!(
        status.contains(
            "proof     not proven: the job says proof = \"off\"; it is proven where this gives 0: SELECT count(*)"
        ),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_writes_rows_that_match_does_not_keep_a_run_from_its_end() {
    let Some(db) = counted("PRIMARY KEY", 5_000).await else { return };
    let client = db.client().await;
    let writing = async {
        let client = db.client().await;
        let mut number = 1_000_000;
        while self::number(&client, "SELECT count(*) FROM pg_class WHERE relname = 'leaf'").await == 0
            || self::number(&client, "SELECT count(*) FROM pgbackfill.run WHERE state <> 'complete'").await
                > 0
            || self::number(&client, "SELECT count(*) FROM pgbackfill.run").await == 0
        {
            number += 1;
            let row = format!(
                "INSERT INTO t (id, a) SELECT md5(i::text)::uuid, i FROM generate_series({number}, {number} + 4) AS i"
            );
            client.batch_execute(&row).await.unwrap();
            number += 4;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let job = JobFile::new(FILL);
    let (said, ()) = tokio::join!(job.run(&db).run(), writing);
    said.expect_code(0);
    let (proven, text) = proof(&client).await;
    // Either a sweep met a moment without an insertion, or it is said what the application does.
    if proven != Some(true) {
        assert!(text.contains("the application writes rows of \"public\".\"t\" that match"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_without_a_key_are_walked_by_block() {
    let Some(db) = counted("", 10).await else { return };
    let client = db.client().await;
    client
        .batch_execute(
            "CREATE TABLE p (a int NOT NULL, filled int) PARTITION BY RANGE (a);
             CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (5000);
             CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (5000) TO (20000);
             INSERT INTO p SELECT i FROM generate_series(0, 19999) AS i",
        )
        .await
        .unwrap();
    let ran = run(&db, "table = 'p'\nset.filled = 'a + 1'\nwhere = 'filled IS NULL'\n").await;
    assert_eq!(ran.summary.rows_changed_here, 20_000);
    assert_eq!(number(&client, "SELECT count(*) FROM p WHERE filled = a + 1").await, 20_000);
    assert_eq!(number(&client, "SELECT count(*) FROM pgbackfill.leaf WHERE swept = 'clean'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_that_would_prove_it_is_about_all_partitions() {
    let Some(db) = counted("", 10).await else { return };
    let client = db.client().await;
    let make = "CREATE TABLE p (a int NOT NULL, filled int) PARTITION BY RANGE (a);
                CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (50);
                CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (50) TO (200);
                INSERT INTO p SELECT i FROM generate_series(0, 199) AS i";
    client.batch_execute(make).await.unwrap();
    let job = "table = 'p'\nset.filled = 'a + 1'\nwhere = 'filled IS NULL -- still'\n[scan]\nproof = 'off'\n";
    run(&db, job).await;
    let said = proof(&client).await.1;
    let (_, statement) = said.split_once("this gives 0: ").expect("it tells a statement");
    assert_eq!(number(&client, &format!("SELECT ({statement})")).await, 0);
    client.batch_execute("UPDATE p SET filled = NULL WHERE a = 199").await.unwrap();
    assert_eq!(number(&client, &format!("SELECT ({statement})")).await, 1);
}
