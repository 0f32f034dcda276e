//! Which rows differ, and how they are put right.
//!
//! Must not know: writers.

use super::{CLOSED, SYNC, behind_its_back, filled, found, repair, verify, wrong};
use crate::support::{JobFile, Pgbackfill, database};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_rows_are_told_by_their_keys_and_repaired_and_no_others() {
    let check = "[verify]\ncheck.loud = \"status_v2 = upper(status_v2)\"\n";
    let (db, job, client) = filled(3_000, &format!("{SYNC}{check}")).await;
    let clean = verify(&db, &job).run().await.expect_code(0).stdout;
    assert!(clean.contains("3,000 rows compared") && clean.contains("no row differs"), "{clean}");
    behind_its_back(
        &client,
        "UPDATE orders SET status_v2 = 'PAID' WHERE id = 17;
         UPDATE orders SET status_v2 = NULL WHERE id = 1500;
         UPDATE orders SET status_v2 = status WHERE id = 2999",
    )
    .await;
    let said = verify(&db, &job).run().await.expect_code(4).stdout;
    for row in [
        "public.orders 17: \"status_v2\" is not what `set` gives\n",
        "public.orders 1500: is still selected by the job, \"status_v2\" is not what `set` gives\n",
        "public.orders 2999: \"status_v2\" is not what `set` gives, check loud is false\n",
    ] {
        assert!(said.contains(row), "{said}");
    }
    assert!(said.contains("found 3 rows that differ") && said.contains("--repair"), "{said}");
    // As they are written, no row is locked, and none is changed that was right.
    let before: String =
        client.query_one("SELECT max(xmin::text::bigint)::text FROM orders", &[]).await.unwrap().get(0);
    let said = repair(&db, &job).run().await.expect_code(0).stdout;
    assert!(said.contains("3 rows changed"), "{said}");
    let written = format!("SELECT count(*) FROM orders WHERE xmin::text::bigint > {before}");
    assert_eq!(client.query_one(&written, &[]).await.unwrap().get::<_, i64>(0), 3);
    verify(&db, &job).run().await.expect_code(0);
    assert_eq!(wrong(&client).await, []);
    let nothing = repair(&db, &job).run().await.expect_code(1).stderr;
    assert!(nothing.contains("there is nothing to repair"), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_dates_and_texts_in_any_date_style_and_a_lookup() {
    let db = database().await;
    let client = db.client().await;
    client
        .batch_execute(&format!(
            "{CLOSED};
             CREATE TABLE country (code text PRIMARY KEY, name text NOT NULL);
             INSERT INTO country VALUES ('de', 'Germany'), ('fr', 'France');
             CREATE TABLE visit (at timestamptz, who text COLLATE \"C\", code text, country text, PRIMARY KEY (at, who)) PARTITION BY RANGE (at);
             CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
             CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
             INSERT INTO visit SELECT timestamptz '2024-01-02 03:04:05.678901+00' + i * interval '1 hour', 'O''Hara ' || i, 'de'
             FROM generate_series(1, 1000) AS i;
             ALTER ROLE CURRENT_USER IN DATABASE \"{}\" SET datestyle = 'SQL, DMY';
             ALTER ROLE CURRENT_USER IN DATABASE \"{}\" SET timezone = 'Asia/Kolkata'",
            db.name, db.name
        ))
        .await
        .unwrap();
    let job = JobFile::new(
        "table = 'visit'\nfrom = 'country AS c'\non = 'c.code = visit.code'\nwhere = 'visit.country IS NULL'\nset.country = 'c.name'\n",
    );
    job.run(&db).run().await.expect_code(0);
    verify(&db, &job).run().await.expect_code(0);
    behind_its_back(&client, "UPDATE visit SET country = 'France' WHERE who IN ('O''Hara 7', 'O''Hara 900')")
        .await;
    let said = verify(&db, &job).run().await.expect_code(4).stdout;
    assert!(
        said.contains("found 2 rows that differ") && said.contains("O'Hara 900): \"country\" is not"),
        "{said}"
    );
    repair(&db, &job).run().await.expect_code(0);
    verify(&db, &job).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_compared_is_told_and_the_others_are_compared() {
    let db = database().await;
    let client = db.client().await;
    let table = "CREATE TABLE t (id int PRIMARY KEY, n int, share int); INSERT INTO t SELECT i, i FROM generate_series(1, 500) AS i";
    client.batch_execute(table).await.unwrap();
    let job = JobFile::new("table = 't'\nset.share = '1000 / n'\nwhere = 'share IS NULL'\n");
    job.run(&db).run().await.expect_code(0);
    client
        .batch_execute("UPDATE t SET n = 0 WHERE id = 250; UPDATE t SET share = 1 WHERE id = 300")
        .await
        .unwrap();
    let said = verify(&db, &job).run().await.expect_code(4).stdout;
    assert!(said.contains("1 row that differs, 1 row that cannot be compared"), "{said}");
    assert!(said.contains("  250: ") && said.contains("division by zero"), "{said}");
    assert_eq!(found(&client, "rows").await, 499);
    assert_eq!(wrong(&client).await, [("300".to_owned(), "\"share\" is not what `set` gives".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_computed_once_more_is_left_out_and_said_so() {
    let db = database().await;
    let client = db.client().await;
    let table =
        "CREATE TABLE t (id int PRIMARY KEY, n int, at timestamptz, done bool NOT NULL DEFAULT false);
                 INSERT INTO t SELECT i, i FROM generate_series(1, 100) AS i";
    client.batch_execute(table).await.unwrap();
    let in_place = "table = 't'\nwhere = 'NOT done'\n[set]\nn = 'n + 1'\nat = 'clock_timestamp()'\ndone = 'true'\n[undo]\nvalues = 'off'\n";
    let job = JobFile::new(in_place);
    job.run(&db).run().await.expect_code(0);
    let ran = verify(&db, &job).run().await.expect_code(0);
    assert!(ran.stdout.contains("compared: rows\n"), "{}", ran.stdout);
    for why in [
        "not compared: \"n\" is made of what the change sets",
        "not compared: \"at\" has another value each time",
        "not compared: \"done\" gets the same value in each row",
    ] {
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
    client.batch_execute("UPDATE t SET done = false WHERE id = 3").await.unwrap();
    verify(&db, &job).run().await.expect_code(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_only_read_the_table_can_verify_it() {
    let (db, job, client) = filled(100, "").await;
    let role = format!("reader_{}", db.name);
    client
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN;
             GRANT SELECT ON orders TO {role};
             GRANT USAGE ON SCHEMA pgbackfill TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgbackfill TO {role}"
        ))
        .await
        .unwrap();
    let as_reader = |command: Pgbackfill| command.env("DATABASE_URL", db.url_of(&role));
    as_reader(verify(&db, &job)).run().await.expect_code(0);
    client.batch_execute("UPDATE orders SET status_v2 = 'x' WHERE id = 5").await.unwrap();
    as_reader(verify(&db, &job)).run().await.expect_code(4);
    let refused = as_reader(repair(&db, &job)).run().await.expect_code(2).stderr;
    assert!(refused.contains("may not read and update"), "{refused}");
    client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_wrong_rows_than_are_kept_are_counted() {
    let (db, job, client) = filled(30_000, "").await;
    client.batch_execute("UPDATE orders SET status_v2 = 'x'").await.unwrap();
    let said = verify(&db, &job).args(["--max-rows-per-batch", "5000"]).run().await.expect_code(4).stdout;
    let (listed, unlisted) = (found(&client, "mismatches").await, found(&client, "unlisted").await);
    assert_eq!(listed + unlisted, 30_000);
    assert!((1_000..=10_000).contains(&listed), "{listed}");
    assert!(said.contains("were too many to be looked at again"), "{said}");
    // Those that were not listed are repaired as well.
    repair(&db, &job).run().await.expect_code(0);
    verify(&db, &job).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_place_is_compared_with_what_the_run_has_written() {
    let db = database().await;
    let client = db.client().await;
    let table = "CREATE TABLE t (id int PRIMARY KEY, n int, note text);
                 INSERT INTO t SELECT i, i FROM generate_series(1, 3000) AS i";
    client.batch_execute(table).await.unwrap();
    let job = JobFile::new("table = 't'\nset.n = 'n + 1'\nverify.check.small = 'n < 10000'\n");
    job.run(&db).run().await.expect_code(0);
    let said = verify(&db, &job).run().await.expect_code(0).stdout;
    assert!(
        said.contains("3,000 rows compared")
            && said.contains("compared: what the run has written, check small"),
        "{said}"
    );
    // Changed once more, by whomever; written as it was; gone; and new.
    let since = "UPDATE t SET n = n + 1 WHERE id IN (7, 2500); UPDATE t SET n = NULL WHERE id = 8; UPDATE t SET note = 'x' WHERE id = 9;
                 DELETE FROM t WHERE id = 10; INSERT INTO t VALUES (9999, 1); UPDATE t SET n = 20000 WHERE id = 11";
    client.batch_execute(since).await.unwrap();
    let said = verify(&db, &job).run().await.expect_code(4).stdout;
    assert!(
        said.contains("found 4 rows that differ")
            && said.contains("public.t 2500: is not what the run has written\n"),
        "{said}"
    );
    assert!(said.contains("public.t 11: is not what the run has written, check small is false"), "{said}");
    let keys: Vec<_> = wrong(&client).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["11", "2500", "7", "8"]);
    // What it was made of is known to the undo alone.
    let refused = repair(&db, &job).run().await.expect_code(2).stderr;
    assert!(refused.contains("what differs cannot be set once more: \"n\" is made of what"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_place_is_no_false_alarm_and_never_made_twice() {
    let db = database().await;
    let client = db.client().await;
    let table = "CREATE TABLE t (id int PRIMARY KEY, kind text, n int, a text, b text);
                 INSERT INTO t SELECT i, 'a', i, NULL, 'x' || i FROM generate_series(1, 500) AS i";
    client.batch_execute(table).await.unwrap();
    // What the predicate reads is what is changed: it holds again.
    let kept = JobFile::new(
        "table = 't'\nset.n = 'n * 100'\nwhere = \"n < 1000000 AND kind = 'a'\"\nverify.rows = 'true'\n",
    );
    kept.run(&db).run().await.expect_code(0);
    verify(&db, &kept).run().await.expect_code(0);
    // Every row of the run, whatever the predicate would say of it by now.
    client.batch_execute("UPDATE t SET kind = 'b', n = 99 WHERE id = 5").await.unwrap();
    let said = verify(&db, &kept).run().await.expect_code(4).stdout;
    assert!(
        said.contains("public.t 5: is not what the run has written") && !said.contains("--repair"),
        "{said}"
    );
    let refused = repair(&db, &kept).run().await.expect_code(2).stderr;
    assert!(refused.contains("what differs cannot be set once more"), "{refused}");
    let both = JobFile::new("table = 't'\n[set]\na = 'upper(b)'\nn = 'n + 1'\n[undo]\nvalues = 'off'\n");
    both.run_with(&db, ["--new-run"]).run().await.expect_code(0);
    client.batch_execute("UPDATE t SET a = 'damaged' WHERE id = 7").await.unwrap();
    verify(&db, &both).run().await.expect_code(4);
    repair(&db, &both).run().await.expect_code(2);
    let n: i32 = client.query_one("SELECT n FROM t WHERE id = 7", &[]).await.unwrap().get(0);
    assert_eq!(n, 701);
}
