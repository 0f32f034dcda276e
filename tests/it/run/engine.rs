//! The engine through the library: every kind of key and table, exactly once.

use std::num::NonZeroU32;

use pgbackfill::engine::{EngineError, Options, Which};
use pgbackfill::event::{Event, Outcome};
use pgbackfill::job::{Job, JobName, JobParts};

use tokio_postgres::error::SqlState;

use crate::support::in_process::{job, options, run, run_with};
use crate::support::oracle::{assert_once, assert_tiled};
use crate::support::{COUNT_UP, Database, database, skipped};

/// A table `t` with a column `n` and the rows of `select`, which gives the other columns.
async fn table(db: &Database, columns: &str, select: &str) -> i64 {
    let client = db.client().await;
    client.batch_execute(&format!("CREATE TABLE t ({columns}, n int NOT NULL DEFAULT 0)")).await.unwrap();
    let rows = client.execute(&format!("INSERT INTO t {select}"), &[]).await.unwrap();
    i64::try_from(rows).unwrap()
}

async fn exact(columns: &str, select: &str) {
    let db = database().await;
    let rows = table(&db, columns, select).await;
    let ran = run(&db, COUNT_UP).await;
    assert_eq!(ran.summary.outcome, Outcome::Complete);
    assert_eq!(ran.summary.rows_changed_here, rows as u64);
    let client = db.client().await;
    assert_once(&client, "t", rows).await;
    assert_tiled(&client, rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_a_bigint_key_is_changed_once() {
    exact("id bigint PRIMARY KEY", "SELECT i FROM generate_series(1, 100000) AS i").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn negative_and_sparse_integers_are_changed_once() {
    exact("id int PRIMARY KEY", "SELECT i * 70001 FROM generate_series(-15000, 15000) AS i").await;
    exact("id bigint PRIMARY KEY", "SELECT i::bigint * 1000003 FROM generate_series(-5000, 5000) AS i").await;
    exact("id smallint PRIMARY KEY", "SELECT i FROM generate_series(-32768, 32767) AS i").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_extreme_values_of_a_key_are_changed_once() {
    exact("id bigint PRIMARY KEY", "VALUES (-9223372036854775808), (-1), (0), (1), (9223372036854775807)")
        .await;
    exact(
        "id numeric PRIMARY KEY",
        "VALUES (-1e300), (0.1), (0.10000000000000000000001), (1e300), ('NaN'::numeric)",
    )
    .await;
    exact(
        "id timestamptz PRIMARY KEY",
        "VALUES ('-infinity'::timestamptz), ('4000-01-01 BC'), ('2024-03-31 01:59:59.999999+01'), ('infinity')",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn infinite_numerics_are_keys_where_the_server_has_them() {
    let version = "SELECT current_setting('server_version_num')::int";
    let version: i32 = database().await.client().await.query_one(version, &[]).await.unwrap().get(0);
    if version >= 140_000 {
        exact("id numeric PRIMARY KEY", "VALUES ('-Infinity'::numeric), (0), ('Infinity'), ('NaN')").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uuid_text_date_and_timestamp_keys_are_changed_once() {
    exact("id uuid PRIMARY KEY", "SELECT md5(i::text)::uuid FROM generate_series(1, 20000) AS i").await;
    exact(
        "id text PRIMARY KEY",
        "SELECT 'Ä b''\"\\,{}' || chr(65 + i % 26) || i FROM generate_series(1, 20000) AS i",
    )
    .await;
    exact("id varchar(40) PRIMARY KEY", "SELECT md5(i::text) FROM generate_series(1, 20000) AS i").await;
    exact("id date PRIMARY KEY", "SELECT date '0044-03-15 BC' + i * 30 FROM generate_series(1, 20000) AS i")
        .await;
    exact(
        "id timestamp PRIMARY KEY",
        "SELECT timestamp '2000-01-01' + i * interval '0.000001 s' FROM generate_series(1, 20000) AS i",
    )
    .await;
    exact("id numeric PRIMARY KEY", "SELECT i / 7.0 FROM generate_series(-10000, 10000) AS i").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_keys_of_any_collation_are_changed_once() {
    let select = "SELECT chr(97 + i % 26) || chr(65 + i % 7) || i FROM generate_series(1, 20000) AS i";
    exact("id text COLLATE \"C\" PRIMARY KEY", select).await;
    exact("id text COLLATE \"en-x-icu\" PRIMARY KEY", select).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_index_in_a_collation_of_its_own_serves_as_key() {
    let db = database().await;
    let rows =
        table(&db, "id text NOT NULL", "SELECT 'k' || i || 'K' FROM generate_series(1, 20000) AS i").await;
    let client = db.client().await;
    client.batch_execute("CREATE UNIQUE INDEX ON t (id COLLATE \"C\")").await.unwrap();
    run(&db, "table = 't'\nkey = 'id'\nset.n = 'n + 1'\n").await;
    assert_once(&client, "t", rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn composite_keys_are_changed_once() {
    exact(
        "a int, b text, c date, d uuid, PRIMARY KEY (a, b, c, d)",
        "SELECT i % 7, 'x' || i % 11, date '2024-01-01' + i % 13, md5(i::text)::uuid FROM generate_series(1, 30000) AS i",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_is_complete_at_once() {
    exact("id int PRIMARY KEY", "SELECT 1 WHERE false").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_are_quoted_everywhere() {
    let db = database().await;
    let client = db.client().await;
    client
        .batch_execute(
            r#"CREATE SCHEMA "Sch""ema";
               CREATE TABLE "Sch""ema"."select" ("or""der" int PRIMARY KEY, "N n" int NOT NULL DEFAULT 0);
               INSERT INTO "Sch""ema"."select" SELECT i FROM generate_series(1, 3000) AS i"#,
        )
        .await
        .unwrap();
    let ran = run(
        &db,
        r#"table = '"Sch""ema"."select"'
set."N n" = '"N n" + 1'
where = '"select"."or""der" > 0 -- a comment'
"#,
    )
    .await;
    assert_eq!(ran.summary.rows_changed_here, 3000);
    let once: i64 = client
        .query_one(r#"SELECT count(*) FROM "Sch""ema"."select" WHERE "N n" = 1"#, &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(once, 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_rows_of_where_are_changed() {
    let db = database().await;
    table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 10000) AS i").await;
    let ran = run(&db, "table = 't'\nwhere = 'id % 3 = 0'\nset.n = 'n + 1'\n").await;
    assert_eq!(ran.summary.rows_changed_here, 3333);
    assert_eq!(ran.summary.progress.totals.rows_passed, 10000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_or_in_where_does_not_reach_beyond_the_batch() {
    let db = database().await;
    table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 1000) AS i").await;
    let pace = "order.stripes = 1\npace.max_rows_per_batch = 50\npace.min_rows_per_batch = 50\n";
    let ran =
        run(&db, &format!("table = 't'\nwhere = 'id <= 500 OR id > 900'\nset.n = 'n + 1'\n{pace}")).await;
    assert_eq!(ran.summary.rows_changed_here, 600);
    let wrong = "SELECT count(*) FROM t WHERE n <> (id <= 500 OR id > 900)::int";
    assert_eq!(db.client().await.query_one(wrong, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_reads_another_table() {
    let db = database().await;
    table(&db, "id int PRIMARY KEY, legacy int", "SELECT i, i * 2 FROM generate_series(1, 5000) AS i").await;
    let client = db.client().await;
    client
        .batch_execute(
            "CREATE TABLE u (id int PRIMARY KEY, legacy_id int UNIQUE);
             INSERT INTO u SELECT i + 100000, i * 2 FROM generate_series(1, 4000) AS i",
        )
        .await
        .unwrap();
    let ran = run(&db, "table = 't'\nfrom = 'u AS x'\non = 'x.legacy_id = t.legacy'\nset.n = 'x.id'\n").await;
    assert_eq!(ran.summary.rows_changed_here, 4000);
    let right: i64 =
        client.query_one("SELECT count(*) FROM t WHERE n = id + 100000", &[]).await.unwrap().get(0);
    assert_eq!(right, 4000);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_deleted_and_inserted_by_others_do_not_disturb() {
    let db = database().await;
    table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 30000) AS i").await;
    let client = db.client().await;
    client.batch_execute("DELETE FROM t WHERE id BETWEEN 5000 AND 25000 OR id > 29000").await.unwrap();
    let ran = run(&db, COUNT_UP).await;
    assert_eq!(ran.summary.outcome, Outcome::Complete);
    assert_once(&client, "t", 8999).await;
    assert_tiled(&client, 8999).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_job_says_so_and_a_new_run_repeats_it() {
    let db = database().await;
    table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 1000) AS i").await;
    run(&db, COUNT_UP).await;
    let again = run(&db, COUNT_UP).await;
    assert_eq!(again.summary.outcome, Outcome::AlreadyComplete);
    let new = Options { which: Which::New, ..options() };
    let third = run_with(&db, &job(COUNT_UP), &new).await.unwrap();
    assert_eq!(third.summary.outcome, Outcome::Complete);
    let twice: i64 =
        db.client().await.query_one("SELECT count(*) FROM t WHERE n = 2", &[]).await.unwrap().get(0);
    assert_eq!(twice, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn max_rows_stops_early_and_the_next_process_goes_on() {
    let db = database().await;
    table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 20000) AS i").await;
    let small = Options { max_rows: std::num::NonZeroU64::new(1000), ..options() };
    let ran = run_with(&db, &job(COUNT_UP), &small).await.unwrap();
    assert_eq!(ran.summary.outcome, Outcome::MaxRows);
    assert!((1000..3000).contains(&ran.summary.rows_changed_here), "{}", ran.summary.rows_changed_here);
    let rest = run(&db, COUNT_UP).await;
    assert_eq!(rest.summary.outcome, Outcome::Complete);
    assert_once(&db.client().await, "t", 20000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_at_fault_is_named_and_stops_the_run() {
    let db = database().await;
    table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 5000) AS i").await;
    let ran = run(&db, "table = 't'\nset.n = '1 / (id - 4321)'\n").await;
    assert_eq!(ran.summary.outcome, Outcome::Blocked);
    let reason = ran.summary.reason.unwrap();
    assert!(reason.contains("row 4321 of") && reason.contains("division by zero"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_at_fault_go_to_the_quarantine_up_to_the_limit() {
    let db = database().await;
    table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 5000) AS i").await;
    let ran = run(&db, "table = 't'\nset.n = 'n + 1 + 0 / (id % 1000)'\nlimits.max_bad_rows = 5\n").await;
    assert_eq!(ran.summary.outcome, Outcome::CompleteWithBadRows);
    let client = db.client().await;
    let keys: Vec<String> = client
        .query("SELECT key[1] FROM pgbackfill.bad_row WHERE sqlstate = '22012' ORDER BY key[1]::int", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(keys, ["1000", "2000", "3000", "4000", "5000"]);
    assert!(ran.summary.batches_here < 1500, "behind a row at fault batches grow again");
    let once: i64 = client.query_one("SELECT count(*) FROM t WHERE n = 1", &[]).await.unwrap().get(0);
    assert_eq!(once, 4995);
}

/// Row 7 of twenty fails with this code, and all others are changed.
async fn only_the_seventh_fails(sqlstate: &str, before: &str, expression: &str) {
    let db = database().await;
    table(&db, "id int PRIMARY KEY, note text", "SELECT i, '' FROM generate_series(1, 20) AS i").await;
    let client = db.client().await;
    client.batch_execute(before).await.unwrap();
    let toml =
        format!("table = 't'\nset.n = 'n + 1'\nset.note = \"{expression}\"\nlimits.max_bad_rows = 1\n");
    assert_eq!(run(&db, &toml).await.summary.outcome, Outcome::CompleteWithBadRows, "{sqlstate}");
    let bad = "SELECT string_agg(key[1] || ' ' || sqlstate, ',') FROM pgbackfill.bad_row";
    let bad: String = client.query_one(bad, &[]).await.unwrap().get(0);
    assert_eq!(bad, format!("7 {sqlstate}"));
    let once: i64 = client.query_one("SELECT count(*) FROM t WHERE n = 1", &[]).await.unwrap().get(0);
    assert_eq!(once, 19, "{sqlstate}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_server_itself_cannot_take_is_put_aside() {
    // 32 kB of what hardly gets smaller, for an index that takes 2.7 kB.
    let long = "(SELECT coalesce(string_agg(md5(i::text), ''), '') FROM generate_series(1, 1000) AS i WHERE t.id = 7)";
    only_the_seventh_fails("54000", "CREATE INDEX ON t (note)", long).await;
    let deep = "CASE WHEN id = 7 THEN repeat('[', id * 20000)::jsonb::text ELSE '' END";
    only_the_seventh_fails("54001", "", deep).await;
    let two = "(SELECT x FROM (VALUES ('a'), ('b')) AS v (x) WHERE t.id = 7 OR x = 'a')";
    only_the_seventh_fails("21000", "", two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_trigger_refuses_is_put_aside_however_it_says_so() {
    let refusals = [
        ("P0001", "IF NEW.id = 7 THEN RAISE EXCEPTION 'not this one'; END IF"),
        ("P0002", "SELECT 1 INTO STRICT x WHERE NEW.id <> 7"),
        ("P0003", "SELECT i INTO STRICT x FROM generate_series(0, (NEW.id = 7)::int) AS i"),
        ("P0004", "ASSERT NEW.id <> 7"),
        ("20000", "CASE WHEN NEW.id <> 7 THEN x := 1; END CASE"),
        ("2F005", "IF NEW.id = 7 THEN x := no_return(); END IF"),
    ];
    for (sqlstate, statement) in refusals {
        let trigger = format!(
            "CREATE FUNCTION no_return() RETURNS int LANGUAGE plpgsql AS $$BEGIN END$$;
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$DECLARE x int; BEGIN {statement}; RETURN NEW; END$$;
             CREATE TRIGGER refuse BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION refuse()"
        );
        only_the_seventh_fails(sqlstate, &trigger, "''").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_for_whole_transactions_ends_none_of_ours() {
    let db = database().await;
    let rows = table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 100) AS i").await;
    let limit = format!("ALTER DATABASE {} SET transaction_timeout = '200ms'", db.name);
    if let Err(error) = db.client().await.batch_execute(&limit).await {
        assert_eq!(error.code(), Some(&SqlState::UNDEFINED_OBJECT), "{error:?}");
        return skipped("PostgreSQL 17 or later");
    }
    // Each batch takes half a second.
    let toml = "table = 't'\nset.n = 'n + 1 + length(pg_sleep(0.005)::text)'\npace.min_rows_per_batch = 100\norder.stripes = 1\n";
    let ran = run(&db, toml).await;
    assert_eq!(ran.summary.outcome, Outcome::Complete);
    let failed: Vec<_> = ran.events.iter().filter(|event| matches!(event, Event::Retrying { .. })).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_once(&db.client().await, "t", rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_the_quarantine_holds_for_all_workers_together() {
    let toml = "table = 't'\nset.n = 'n + 1 / (id - id)'\nlimits.max_bad_rows = 5\npace.mode = 'full'\npace.max_rows_per_batch = 1\n";
    let eight = Options { workers: NonZeroU32::new(8), ..options() };
    for _ in 0..5 {
        let db = database().await;
        table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 5000) AS i").await;
        let ran = run_with(&db, &job(toml), &eight).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(ran.summary.outcome, Outcome::Blocked);
        let stored = "SELECT count(*) FROM pgbackfill.bad_row";
        let stored: i64 = db.client().await.query_one(stored, &[]).await.unwrap().get(0);
        assert_eq!(stored, 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_different_job_under_the_same_name_is_refused_with_the_difference() {
    let db = database().await;
    table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 100) AS i").await;
    run(&db, COUNT_UP).await;
    let other = job("table = 't'\nset.n = 'n + 2'\n");
    let Err(EngineError::InTheWay(why)) = run_with(&db, &other, &options()).await else {
        panic!("it was not refused")
    };
    assert!(why.contains("n + 1") && why.contains("n + 2") && why.contains("--new-run"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_all_levels_are_changed_once() {
    let db = database().await;
    let client = db.client().await;
    client
        .batch_execute(
            "CREATE TABLE t (id int, kind text, n int NOT NULL DEFAULT 0, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
             CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a') PARTITION BY RANGE (id);
             CREATE TABLE t_a1 PARTITION OF t_a FOR VALUES FROM (0) TO (5000);
             CREATE TABLE t_a2 PARTITION OF t_a FOR VALUES FROM (5000) TO (50000);
             CREATE TABLE t_b PARTITION OF t DEFAULT;
             INSERT INTO t SELECT i, CASE WHEN i % 3 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 20000) AS i",
        )
        .await
        .unwrap();
    run(&db, COUNT_UP).await;
    assert_once(&client, "t", 20000).await;
    assert_tiled(&client, 20000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_has_locked_is_no_silent_wait() {
    let db = database().await;
    table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 100) AS i").await;
    let holder = db.client().await;
    holder.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let Err(EngineError::InTheWay(why)) = run_with(&db, &job(COUNT_UP), &options()).await else {
        panic!("it was not refused")
    };
    assert!(why.contains("another session has locked it"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_job_from_flags_is_the_same_run() {
    let db = database().await;
    table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 100) AS i").await;
    run(&db, COUNT_UP).await;
    let parts = JobParts {
        name: Some(JobName::new("job").unwrap()),
        table: "t".into(),
        set: vec!["n = n + 1".into()],
        ..JobParts::default()
    };
    let ran = run_with(&db, &Job::from_parts(parts).unwrap(), &options()).await.unwrap();
    assert_eq!(ran.summary.outcome, Outcome::AlreadyComplete);
    assert!(matches!(ran.events.last(), Some(Event::Left(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_come_first_at_the_same_moment_install_the_control_schema_once() {
    for _ in 0..5 {
        let db = database().await;
        table(&db, "id int PRIMARY KEY", "SELECT i FROM generate_series(1, 10) AS i").await;
        let (job, options) = (job(COUNT_UP), options());
        let come = || run_with(&db, &job, &options);
        let (first, second, third, fourth) = tokio::join!(come(), come(), come(), come());
        for ran in [first, second, third, fourth] {
            ran.unwrap_or_else(|error| panic!("{error}"));
        }
        assert_once(&db.client().await, "t", 10).await;
    }
}
