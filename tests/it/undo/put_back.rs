//! Which rows get their values back, and which are left.
//!
//! Must not know: kills.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{DIFFER, RAISE, count, prices, undo, version};
use crate::support::{JobFile, Pgbackfill, database, random};

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_as_it_was_and_what_was_changed_since_is_left_and_listed() {
    let (db, client) = prices(2_000).await;
    let job = JobFile::new(RAISE);
    job.run(&db).run().await.expect_code(0);
    assert_eq!(count(&client, DIFFER).await, 1_800);
    let since = "UPDATE price SET cents = -1 WHERE id IN (3, 40);
                 UPDATE price SET note = 'changed elsewhere' WHERE id = 5;
                 UPDATE price SET cents = cents WHERE id = 6;
                 DELETE FROM price WHERE id = 7; DELETE FROM before WHERE id = 7;
                 INSERT INTO price VALUES (9999, 1); INSERT INTO before VALUES (9999, 1)";
    client.batch_execute(since).await.unwrap();
    let preview =
        Pgbackfill::new(["undo", "--dry-run"]).arg(job.path()).on(&db).run().await.expect_code(0).stdout;
    assert!(
        preview.contains(
            "would put back 1,997 rows; left as they are: 2 rows that were changed since, 1 row that is gone"
        ),
        "{preview}"
    );
    assert_eq!(count(&client, "pgbackfill.undo_left").await, 0);
    let said = undo(&db, &job).run().await.expect_code(0).stdout;
    assert!(said.contains("1,997 rows put back") && said.contains("left as they are: 2 rows"), "{said}");
    let left = "SELECT string_agg(key[1] || ' ' || why, ', ' ORDER BY key[1]::int) FROM pgbackfill.undo_left";
    let left: String = client.query_one(left, &[]).await.unwrap().get(0);
    assert_eq!(left, "3 changed, 7 gone, 40 changed");
    // NULL is a value, too; and a row that was written with what it had counts as untouched.
    assert_eq!(count(&client, &format!("{DIFFER} AND id NOT IN (3, 40)")).await, 0);
    assert_eq!(count(&client, "price WHERE id IN (3, 40) AND cents = -1").await, 2);
    let again = undo(&db, &job).run().await.expect_code(0).stdout;
    assert!(again.contains("complete before this process came"), "{again}");
    // What follows a run is not built upon one that was undone.
    let error = client.query("SELECT pgbackfill.assert_complete('job')", &[]).await.unwrap_err();
    assert!(error.as_db_error().unwrap().message().contains("was undone"), "{error:?}");
    let status = Pgbackfill::new(["status", "job"]).on(&db).run().await.expect_code(0).stdout;
    assert!(status.contains("complete, undone since"), "{status}");
    let refused = job.run(&db).run().await.expect_code(5).stderr;
    assert!(refused.contains("was undone") && refused.contains("--new-run"), "{refused}");
    // Once more, and back once more.
    job.run_with(&db, ["--new-run"]).run().await.expect_code(0);
    undo(&db, &job).run().await.expect_code(0);
    assert_eq!(count(&client, &format!("{DIFFER} AND id NOT IN (3, 40)")).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_writer_each_row_is_as_it_was_or_as_the_writer_left_it() {
    let (db, client) = prices(20_000).await;
    let job = JobFile::new(RAISE);
    job.run(&db).run().await.expect_code(0);
    let (stop, other, mut rng) = (Arc::new(AtomicBool::new(false)), db.client().await, random::seeded());
    let stopped = stop.clone();
    let writer = tokio::spawn(async move {
        let mut touched = std::collections::BTreeSet::new();
        while !stopped.load(Ordering::Relaxed) {
            let id = rng.i32(1..=20_000);
            if id % 3 == 0 {
                other.execute("UPDATE price SET note = note || '.' WHERE id = $1", &[&id]).await.unwrap();
            } else {
                other.execute("UPDATE price SET cents = -id WHERE id = $1", &[&id]).await.unwrap();
                touched.insert(id);
            }
        }
        touched
    });
    let slow = ["--max-rows-per-second", "20000"];
    undo(&db, &job).args(slow).run().await.expect_code(0);
    stop.store(true, Ordering::Relaxed);
    let touched: Vec<i32> = writer.await.unwrap().into_iter().collect();
    assert!(touched.len() > 50, "{}", touched.len());
    let wrong = "SELECT count(*) FROM price JOIN before USING (id)
                 WHERE CASE WHEN id = ANY ($1) THEN price.cents <> -id ELSE price.cents IS DISTINCT FROM before.cents END";
    let wrong: i64 = client.query_one(wrong, &[&touched]).await.unwrap().get(0);
    assert_eq!(wrong, 0);
    // Each that was left was touched; one that was touched after it was put back is not left.
    let left = "SELECT count(*) FROM pgbackfill.undo_left WHERE key[1]::int <> ALL ($1)";
    assert_eq!(client.query_one(left, &[&touched]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_sort_come_back_as_they_were() {
    let db = database().await;
    let client = db.client().await;
    client
        .batch_execute(&format!(
            "CREATE SCHEMA \"Other\"; CREATE TYPE \"Other\".\"Mood\" AS ENUM ('so so', 'fine');
             CREATE TYPE pair AS (a int, b text); CREATE DOMAIN small AS numeric(6,2) CHECK (VALUE < 1000);
             CREATE TABLE t (id uuid, \"At\" timestamptz, mood \"Other\".\"Mood\", pair pair, small small, tags text[], grid int[][], doc jsonb,
                             raw json, bytes bytea, f float8, bits bit(5), v varchar(10), span interval, PRIMARY KEY (id, \"At\"));
             INSERT INTO t SELECT md5(i::text)::uuid, timestamptz '2024-03-31 00:59:59.999999+00' + i * interval '17 min', 'fine', ROW(i, 'x,\"' || i)::pair, i / 7.0,
                 CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN '{{}}' ELSE ARRAY['a', NULL, i::text] END, ARRAY[[i, 2], [3, 4]], jsonb_build_object('n', i, 'f', 0.1),
                 '{{ \"b\" : 1,  \"a\":2 }}', decode('00ff' || lpad(to_hex(i), 8, '0'), 'hex'), i / 3.0 * 1e-5, B'10101', 'ü' || i, make_interval(months => -1, secs => i / 7.0)
             FROM generate_series(1, 300) AS i;
             CREATE TABLE before AS SELECT * FROM t;
             ALTER ROLE CURRENT_USER IN DATABASE \"{0}\" SET datestyle = 'SQL, DMY';
             ALTER ROLE CURRENT_USER IN DATABASE \"{0}\" SET timezone = 'Europe/London';
             ALTER ROLE CURRENT_USER IN DATABASE \"{0}\" SET intervalstyle = 'sql_standard';
             ALTER ROLE CURRENT_USER IN DATABASE \"{0}\" SET extra_float_digits = -10",
            db.name
        ))
        .await
        .unwrap();
    let job = JobFile::new(
        "table = 't'\n[set]\nmood = '''CASE WHEN mood = 'fine' THEN 'so so' ELSE mood END'''\npair = 'NULL'\nsmall = '1'\ntags = 'ARRAY[1::text]'\n\
         grid = 'NULL'\ndoc = '''doc || jsonb_build_object('m', 1)'''\nraw = '''to_json(1)'''\nbytes = '''bytes || bytes'''\nf = 'f + 1'\nbits = '~bits'\nv = 'upper(v)'\nspan = '-span'\n",
    );
    job.run(&db).run().await.expect_code(0);
    undo(&db, &job).run().await.expect_code(0);
    let same = "t FULL JOIN before USING (id, \"At\") WHERE t::text IS DISTINCT FROM before::text
                OR (t.f, t.span, t.grid) IS DISTINCT FROM (before.f, before.span, before.grid)";
    assert_eq!(count(&db.client().await, same).await, 0);
    assert_eq!(count(&client, "pgbackfill.undo_left").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_partitions_in_stripes_by_block_and_with_a_lookup() {
    let scenes = [
        ("order.stripes = 8\n", "", "PARTITION BY RANGE (id)"),
        ("order.stripes = 8\n", "", ""),
        ("scan.order = 'heap'\nwhere = 'cents < 1000000'\n", "+ 1000000", ""),
        ("from = 'rate AS r'\non = 'r.id = price.id % 3'\n", "+ r.n", "PARTITION BY RANGE (id)"),
    ];
    for (more, plus, partitions) in scenes {
        let db = database().await;
        let client = db.client().await;
        let children = if partitions.is_empty() {
            ""
        } else {
            "CREATE TABLE price_1 PARTITION OF price FOR VALUES FROM (0) TO (2000); CREATE TABLE price_2 PARTITION OF price DEFAULT;"
        };
        if more.contains("heap") && version(&client).await < 140_000 {
            continue;
        }
        let tables = format!(
            "CREATE TABLE price (id int PRIMARY KEY, cents int, note text) {partitions}; {children}
             CREATE TABLE rate (id int, n int); INSERT INTO rate VALUES (0, 5), (1, 6), (2, 7);
             INSERT INTO price SELECT i, i * 7, repeat('x', 50) FROM generate_series(1, 6000) AS i;
             CREATE TABLE before AS SELECT * FROM price; ANALYZE price"
        );
        client.batch_execute(&tables).await.unwrap();
        let job = JobFile::new(&format!("table = 'price'\nset.cents = 'cents {plus} + 1'\n{more}"));
        job.run(&db).run().await.expect_code(0);
        assert_eq!(count(&client, DIFFER).await, 6_000, "{more}");
        let kept: i64 =
            client.query_one("SELECT sum(pgbackfill_rows) FROM pgbackfill.undo_1", &[]).await.unwrap().get(0);
        assert_eq!(kept, 6_000, "{more}");
        undo(&db, &job).run().await.expect_code(0);
        assert_eq!(count(&client, DIFFER).await, 0, "{more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_fits_no_more_is_put_aside_and_the_others_come_back() {
    let (db, client) = prices(1_000).await;
    let job = JobFile::new("table = 'price'\nset.cents = 'coalesce(cents, 0) + 1'\n");
    job.run(&db).run().await.expect_code(0);
    client.batch_execute("ALTER TABLE price ADD CHECK (id <> 500 OR cents IS NOT NULL), ADD CHECK (id <> 501 OR cents > 3507)").await.unwrap();
    let ran = undo(&db, &job).run().await.expect_code(4);
    assert!(ran.stderr.contains("bad row (500)") && ran.stderr.contains("bad row (501)"), "{}", ran.stderr);
    assert!(ran.stdout.contains("998 rows put back"), "{}", ran.stdout);
    assert_eq!(count(&client, &format!("{DIFFER} AND id NOT IN (500, 501)")).await, 0);
    assert_eq!(count(&client, "pgbackfill.bad_row WHERE key[1] IN ('500', '501')").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_an_undo_and_it_can_be_paused() {
    let (db, client) = prices(60_000).await;
    let job = JobFile::new(RAISE);
    job.run(&db).run().await.expect_code(0);
    let slow = ["--max-rows-per-second", "30000"];
    let first = undo(&db, &job).args(slow).spawn();
    db.until("(SELECT count(*) > 0 FROM pgbackfill.range WHERE run = 2 AND rows_changed > 0)").await;
    Pgbackfill::new(["pause", "job"]).on(&db).run().await.expect_code(0);
    let second = undo(&db, &job).args(slow).spawn();
    Pgbackfill::new(["resume", "job"]).on(&db).run().await.expect_code(0);
    first.finish().await.expect_code(0);
    second.finish().await.expect_code(0);
    assert_eq!(count(&client, DIFFER).await, 0);
}
