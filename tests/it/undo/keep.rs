//! What is kept: of the version that is updated, in the transaction of the change, and only where it is wanted.
//!
//! Must not know: how it is put back.

use tokio_postgres::Client;

use super::{DIFFER, RAISE, count, prices, undo, version};
use crate::support::{JobFile, Pgbackfill, database};

async fn keeps(client: &Client, run: i64) -> bool {
    client.query_one("SELECT keeps_old FROM pgbackfill.run WHERE id = $1", &[&run]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_value_that_is_kept_is_that_of_the_version_that_was_updated() {
    let (db, client) = prices(100).await;
    let job = JobFile::new(&format!("{RAISE}limits.lock_timeout = '20s'\n"));
    let other = db.client().await;
    other.batch_execute("BEGIN; UPDATE price SET cents = 1000 WHERE id = 50").await.unwrap();
    let running = job.run_with(&db, ["--statement-timeout", "60s"]).spawn();
    // The snapshot of the batch has the row as it was before; it waits for the row as it will be.
    db.until("EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple'))")
        .await;
    other.batch_execute("COMMIT").await.unwrap();
    running.finish().await.expect_code(0);
    assert_eq!(count(&client, "price WHERE id = 50 AND cents = 2001").await, 1);
    undo(&db, &job).run().await.expect_code(0);
    assert_eq!(count(&client, "price WHERE id = 50 AND cents = 1000").await, 1);
    assert_eq!(count(&client, &format!("{DIFFER} AND id <> 50")).await, 0);
    assert_eq!(count(&client, "pgbackfill.undo_left").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_kept_where_they_would_be_lost() {
    let (db, client) = prices(50).await;
    client
        .batch_execute("ALTER TABLE price ADD euros numeric; CREATE TABLE keyless AS SELECT * FROM price")
        .await
        .unwrap();
    let mut run = 0;
    for (toml, is_kept) in [
        ("table = 'price'\nset.cents = 'cents + 1'\n", true),
        ("table = 'price'\nset.note = \"'x'\"\nwhere = 'id > 10'\n", true),
        ("table = 'price'\nset.euros = 'cents / 100.0'\nwhere = 'euros IS NULL'\n", false),
        ("table = 'price'\nset.euros = 'cents / 100.0'\nwhere = 'euros IS NULL'\nundo.values = 'on'\n", true),
        ("table = 'price'\nset.cents = 'cents + 1'\nundo.values = 'off'\n", false),
        ("table = 'price'\nset.yen = 'cents'\nexpand.column.yen = 'int'\n", false),
        ("table = 'keyless'\nset.note = \"'y'\"\nwhere = \"note <> 'y'\"\n", false),
    ] {
        // Version 13 cannot walk a table without a key.
        if toml.contains("keyless") && version(&client).await < 140_000 {
            continue;
        }
        let job = JobFile::new(toml);
        if toml.contains("expand") {
            Pgbackfill::new(["expand"]).arg(job.path()).on(&db).run().await.expect_code(0);
        }
        job.run_with(&db, ["--new-run"]).run().await.expect_code(0);
        run += 1;
        assert_eq!(keeps(&client, run).await, is_kept, "{toml}");
        let table: Option<String> = client
            .query_one(&format!("SELECT to_regclass('pgbackfill.undo_{run}')::text"), &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(table.is_some(), is_kept, "{toml}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_kept_in_short_parts_and_come_back_bit_by_bit() {
    let db = database().await;
    let client = db.client().await;
    let table = "CREATE TABLE doc (id int PRIMARY KEY, body jsonb);
                 INSERT INTO doc SELECT i, jsonb_build_object('n', i, 'text', (SELECT string_agg(md5(i::text || j), ' ') FROM generate_series(1, 3000) AS j))
                 FROM generate_series(1, 60) AS i;
                 CREATE TABLE before AS SELECT id, md5(body::text) AS sum FROM doc";
    client.batch_execute(table).await.unwrap();
    let job = JobFile::new("table = 'doc'\nset.body = '''body || jsonb_build_object('version', 2)'''\n");
    job.run(&db).run().await.expect_code(0);
    let parts = "SELECT count(*), max(pgbackfill_rows) FROM pgbackfill.undo_1";
    let row = client.query_one(parts, &[]).await.unwrap();
    let (parts, most): (i64, i32) = (row.get(0), row.get(1));
    assert!(parts >= 5 && most <= 25, "{parts} parts, {most} rows in one");
    undo(&db, &job).run().await.expect_code(0);
    assert_eq!(count(&client, "doc JOIN before USING (id) WHERE md5(body::text) <> sum").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_retried_are_kept_as_well() {
    let (db, client) = prices(200).await;
    let job = JobFile::new(
        "table = 'price'\nset.cents = 'cents + 10 / (cents - 700)'\nlimits.max_bad_rows = 5\nwhere = 'cents IS NOT NULL'\n",
    );
    client
        .batch_execute(
            "UPDATE price SET cents = 700 WHERE id = 101; UPDATE before SET cents = 600 WHERE id = 101",
        )
        .await
        .unwrap();
    job.run(&db).run().await.expect_code(4);
    client.batch_execute("UPDATE price SET cents = 600 WHERE id = 101").await.unwrap();
    Pgbackfill::new(["retry"]).arg(job.path()).on(&db).run().await.expect_code(0);
    undo(&db, &job).run().await.expect_code(0);
    assert_eq!(count(&client, DIFFER).await, 0);
    assert_eq!(count(&client, "pgbackfill.undo_left").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_can_be_forgotten_as_a_whole_and_by_key() {
    let (db, client) = prices(300).await;
    let job = JobFile::new(RAISE);
    job.run(&db).run().await.expect_code(0);
    let forget = |args: &[&str]| Pgbackfill::new(["forget", "job"]).args(args.iter().copied()).on(&db).run();
    let usage = forget(&["--key", "1", "--key", "2"]).await.expect_code(2).stderr;
    assert!(usage.contains("the key of job \"job\" has 1 column"), "{usage}");
    let none = forget(&["--key", "77777"]).await.expect_code(1).stderr;
    assert!(none.contains("nothing that is kept of job \"job\" has this key"), "{none}");
    for key in ["17", "18"] {
        let said = forget(&["--key", key]).await.expect_code(0).stdout;
        assert!(said.contains("1 entry taken out"), "{said}");
    }
    let kept = "SELECT sum(pgbackfill_rows), sum(cardinality(pgbackfill_k1)), sum(cardinality(pgbackfill_o1)), sum(cardinality(pgbackfill_written)) FROM pgbackfill.undo_1";
    let row = client.query_one(kept, &[]).await.unwrap();
    assert!((0..4).all(|column| row.get::<_, i64>(column) == 298), "{row:?}");
    assert_eq!(count(&client, "pgbackfill.undo_1 WHERE 17 = ANY (pgbackfill_k1)").await, 0);
    let refused = forget(&[]).await.expect_code(2).stderr;
    assert!(refused.contains("nothing is dropped without a yes"), "{refused}");
    undo(&db, &job).run().await.expect_code(0);
    assert_eq!(count(&client, &format!("{DIFFER} AND id NOT IN (17, 18)")).await, 0);
    assert_eq!(count(&client, &format!("{DIFFER} AND id IN (17, 18)")).await, 2);
    let said = forget(&["--yes"]).await.expect_code(0).stdout;
    assert!(said.contains("dropped; its runs can be undone no more"), "{said}");
    let nothing = forget(&["--yes"]).await.expect_code(0).stdout;
    assert!(nothing.contains("has kept no values that could be dropped"), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_may_be_called_as_what_is_kept_might_be() {
    let db = crate::support::database().await;
    let client = db.client().await;
    let table = "CREATE TABLE t (id int PRIMARY KEY, k1 int, o1 int, written int, number int, rows int);
                 INSERT INTO t SELECT i, i, i, i, i, i FROM generate_series(1, 100) AS i";
    client.batch_execute(table).await.unwrap();
    let job = JobFile::new(
        "table = 't'\nset.written = 'written + k1 + o1 + number + rows'\nwhere = 'rows > 0'\nverify.check.all = 'written > 0 AND k1 > 0 AND number > 0 AND rows > 0'\n",
    );
    job.run(&db).run().await.expect_code(0);
    Pgbackfill::new(["verify"]).arg(job.path()).on(&db).run().await.expect_code(0);
    undo(&db, &job).run().await.expect_code(0);
    assert_eq!(count(&client, "t WHERE written = id").await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_values_were_forgotten_goes_on_without() {
    let (db, client) = prices(200).await;
    let job = JobFile::new(RAISE);
    let few = ["--max-rows", "10", "--max-rows-per-batch", "10", "--workers", "1"];
    job.run_with(&db, few).run().await.expect_code(3);
    let kept = Pgbackfill::new(["forget", "job", "--yes"]).on(&db).run().await.expect_code(0).stdout;
    assert!(kept.contains("has not ended"), "{kept}");
    Pgbackfill::new(["cancel", "job"]).on(&db).run().await.expect_code(0);
    Pgbackfill::new(["forget", "job", "--yes"]).on(&db).run().await.expect_code(0);
    assert!(!keeps(&client, 1).await);
    Pgbackfill::new(["resume", "job"]).on(&db).run().await.expect_code(0);
    job.run(&db).run().await.expect_code(0);
    assert_eq!(
        count(
            &client,
            "price JOIN before USING (id) WHERE price.cents IS DISTINCT FROM before.cents * 2 + 1"
        )
        .await,
        0
    );
}
