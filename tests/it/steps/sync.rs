//! The sync trigger: every write of the application keeps the new columns in step, whatever wrote it, and none
//! fails because of it.
//!
//! Must not know: what the trigger is made of.

use tokio_postgres::Client;

use super::{CLOSED, ORDERS, contract, expand, orders, text, verify, version};
use crate::support::{Database, JobFile, Pgbackfill, database};

/// A number becomes a word, one way.
const ONE_WAY: &str = "
table = 'orders'
where = 'status_v2 IS NULL'
[set]
status_v2 = \"CASE status WHEN '0' THEN 'new' WHEN '1' THEN 'paid' ELSE (1 / (length(status) - 1))::text END\"
[expand]
column.status_v2 = 'text'
sync.forward = true
[contract]
not_null = ['status_v2']
";

/// Both ways.
const BOTH_WAYS: &str = "
table = 'users'
where = 'email IS NULL'
[set]
email = 'lower(username)'
[expand]
column.email = 'text'
sync.forward = true
sync.back.username = 'upper(email)'
";

async fn one_way() -> (Database, JobFile, Client) {
    let (db, _) = orders(0, "").await;
    let client = db.client().await;
    client
        .batch_execute("INSERT INTO orders SELECT i, (i % 2)::text FROM generate_series(1, 20) AS i")
        .await
        .unwrap();
    (db, JobFile::new(ONE_WAY), client)
}

async fn both_ways(more: &str) -> (Database, JobFile, Client) {
    let db = database().await;
    let client = db.client().await;
    let table = "CREATE TABLE users (id int PRIMARY KEY, username text, note text)";
    client.batch_execute(&format!("{CLOSED}; {table}")).await.unwrap();
    (db, JobFile::new(&format!("{BOTH_WAYS}{more}")), client)
}

/// `id: old, new` of each row.
async fn users(client: &Client) -> String {
    let row = "id || ': ' || coalesce(username, '-') || ', ' || coalesce(email, '-')";
    text(client, &format!("SELECT string_agg({row}, '; ' ORDER BY id) FROM users")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_is_in_step_from_then_on_and_the_run_fills_the_rest() {
    let (db, job, client) = one_way().await;
    let said = expand(&db, &job).run().await.expect_code(0).stderr;
    assert!(said.contains("2/2 sync: adds the trigger; from then on every write is in step"), "{said}");
    client
        .batch_execute("INSERT INTO orders VALUES (100, '1'); UPDATE orders SET status = '1' WHERE id = 2")
        .await
        .unwrap();
    // What has nothing to do with it stays as it is.
    client.batch_execute("UPDATE orders SET id = 4000 WHERE id = 4").await.unwrap();
    let filled =
        "SELECT string_agg(id || status_v2, ' ' ORDER BY id) FROM orders WHERE status_v2 IS NOT NULL";
    assert_eq!(text(&client, filled).await, "2paid 100paid");
    job.run(&db).run().await.expect_code(0);
    assert_eq!(text(&client, "SELECT count(*) FROM orders WHERE status_v2 IS NULL").await, "0");
    let again = expand(&db, &job).run().await.expect_code(0).stderr;
    assert_eq!(again.matches("is there already").count(), 2, "{again}");
    verify(&db, &job).run().await.expect_code(0);
    contract(&db, &job).run().await.expect_code(0);
    client.batch_execute("INSERT INTO orders VALUES (101, '0')").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_writes_is_in_step() {
    let (db, job, client) = one_way().await;
    expand(&db, &job).run().await.expect_code(0);
    client.batch_execute("TRUNCATE orders").await.unwrap();
    let upsert = "INSERT INTO orders VALUES (1, '0') ON CONFLICT (id) DO UPDATE SET status = excluded.status";
    client.batch_execute(upsert).await.unwrap();
    client.batch_execute(&upsert.replace("'0'", "'1'")).await.unwrap();
    client
        .batch_execute("CREATE TABLE many AS SELECT i AS id, '1' AS status FROM generate_series(2, 3) AS i")
        .await
        .unwrap();
    client.batch_execute("INSERT INTO orders SELECT * FROM many").await.unwrap();
    client
        .batch_execute("COPY orders (id, status) FROM PROGRAM 'printf \"4,0\\n5,1\\n\"' (FORMAT csv)")
        .await
        .unwrap();
    if version(&client).await >= 150_000 {
        let merge = "MERGE INTO orders USING many ON many.id + 2 = orders.id
                     WHEN MATCHED THEN UPDATE SET status = '0' WHEN NOT MATCHED THEN INSERT VALUES (many.id + 2, '1')";
        client.batch_execute(merge).await.unwrap();
    }
    let wrong = "SELECT count(*) FROM orders WHERE status_v2 IS DISTINCT FROM CASE status WHEN '0' THEN 'new' ELSE 'paid' END";
    assert_eq!(text(&client, wrong).await, "0");
    assert_eq!(text(&client, "SELECT count(*) FROM orders").await, "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_computed_does_not_fail_the_write() {
    let (db, job, client) = one_way().await;
    expand(&db, &job).run().await.expect_code(0);
    // It divides by zero.
    client
        .batch_execute("INSERT INTO orders VALUES (100, '7'); UPDATE orders SET status = '8' WHERE id = 1")
        .await
        .unwrap();
    let null = "SELECT count(*) FROM orders WHERE id IN (1, 100) AND status_v2 IS NULL";
    assert_eq!(text(&client, null).await, "2");
    let failures = "SELECT last_value FROM pgbackfill.sync_failures_job";
    assert_eq!(text(&client, failures).await, "2");
    // Once NULL is not allowed any more an UPDATE keeps the last value, and only an INSERT is refused.
    client.batch_execute("UPDATE orders SET status = '0' WHERE id IN (1, 100)").await.unwrap();
    job.run(&db).run().await.expect_code(0);
    verify(&db, &job).run().await.expect_code(0);
    contract(&db, &job).run().await.expect_code(0);
    client.batch_execute("UPDATE orders SET status = '9' WHERE id = 1").await.unwrap();
    assert_eq!(text(&client, "SELECT status || status_v2 FROM orders WHERE id = 1").await, "9new");
    assert!(client.batch_execute("INSERT INTO orders VALUES (101, '9')").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_the_old_and_the_new_release_see_what_the_other_writes() {
    let (db, job, client) = both_ways("").await;
    client.batch_execute("INSERT INTO users VALUES (1, 'Ann')").await.unwrap();
    expand(&db, &job).run().await.expect_code(0);
    // The release before, the one after, and one that writes both.
    client.batch_execute("INSERT INTO users (id, username) VALUES (2, 'BOB')").await.unwrap();
    client.batch_execute("INSERT INTO users (id, email) VALUES (3, 'cid')").await.unwrap();
    client.batch_execute("INSERT INTO users (id, username, email) VALUES (4, 'DAN', 'dan')").await.unwrap();
    assert_eq!(users(&client).await, "1: Ann, -; 2: BOB, bob; 3: CID, cid; 4: DAN, dan");
    client.batch_execute("UPDATE users SET username = 'BEA' WHERE id = 2").await.unwrap();
    client.batch_execute("UPDATE users SET email = 'cleo' WHERE id = 3").await.unwrap();
    client
        .batch_execute("UPDATE users SET username = username, email = email, note = 'x' WHERE id = 4")
        .await
        .unwrap();
    assert_eq!(users(&client).await, "1: Ann, -; 2: BEA, bea; 3: CLEO, cleo; 4: DAN, dan");
    // The run does not change the old column by way of `back`, which would make it ANN.
    job.run(&db).run().await.expect_code(0);
    assert_eq!(users(&client).await, "1: Ann, ann; 2: BEA, bea; 3: CLEO, cleo; 4: DAN, dan");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_both_were_changed_and_disagree_the_job_says_who_wins_and_it_is_counted() {
    for (conflict, after) in [("new", "1: EVE, eve"), ("old", "1: ADA, ada"), ("error", "1: ANN, ann")] {
        let (db, job, client) = both_ways(&format!("sync.conflict = '{conflict}'\n")).await;
        expand(&db, &job).run().await.expect_code(0);
        client.batch_execute("INSERT INTO users (id, username) VALUES (1, 'ANN')").await.unwrap();
        let written =
            client.batch_execute("UPDATE users SET username = 'ADA', email = 'eve' WHERE id = 1").await;
        assert_eq!(written.is_err(), conflict == "error", "{conflict}: {written:?}");
        assert_eq!(users(&client).await, after, "{conflict}");
        let counted = text(&client, "SELECT is_called FROM pgbackfill.sync_conflicts_job").await;
        assert_eq!(counted, (conflict != "error").to_string(), "{conflict}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_means_the_same_whatever_the_settings_of_the_writer_are() {
    let db = database().await;
    let client = db.client().await;
    let table = "CREATE TABLE orders (id int PRIMARY KEY, at timestamptz);
                 CREATE FUNCTION public.label(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
                 CREATE SCHEMA other; CREATE FUNCTION other.label(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'wrong' $$;
                 INSERT INTO orders VALUES (1, '2026-03-01 23:30:00Z')";
    client.batch_execute(&format!("{CLOSED}; {table}")).await.unwrap();
    let job = JobFile::new(
        "table = 'orders'\nset.day = 'label(at::date::text)'\nwhere = 'day IS NULL'\n\
         expand.column.day = 'text'\nexpand.sync.forward = true\n",
    );
    expand(&db, &job).run().await.expect_code(0);
    let writer = db.client().await;
    writer
        .batch_execute(
            "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'SQL, DMY'; SET search_path = other, public",
        )
        .await
        .unwrap();
    writer.batch_execute("INSERT INTO orders VALUES (2, '2026-03-01 23:30:00Z')").await.unwrap();
    job.run(&db).run().await.expect_code(0);
    let days =
        "SELECT count(DISTINCT day) || ' ' || count(*) FROM orders WHERE day IS NOT NULL AND day <> 'wrong'";
    assert_eq!(text(&client, days).await, "1 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sees_what_the_application_s_own_triggers_have_made_of_the_row() {
    for name in ["aaa", "zyx"] {
        let (db, job, client) = one_way().await;
        let own = format!(
            "CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.status := '1'; RETURN NEW; END $$;
             CREATE TRIGGER {name} BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION own()"
        );
        client.batch_execute(&own).await.unwrap();
        expand(&db, &job).run().await.expect_code(0);
        client
            .batch_execute(
                "INSERT INTO orders VALUES (100, '0'); UPDATE orders SET status = '0' WHERE id = 2",
            )
            .await
            .unwrap();
        let found = "SELECT string_agg(status || status_v2, ' ') FROM orders WHERE id IN (2, 100)";
        assert_eq!(text(&client, found).await, "1paid 1paid", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_to_the_rows_that_the_job_is_about() {
    let (db, _, client) = one_way().await;
    let half = ONE_WAY.replace("status_v2 IS NULL'", "status_v2 IS NULL AND id % 2 = 0'");
    let said = expand(&db, &JobFile::new(&half)).run().await.expect_code(2).stderr;
    assert!(
        said.contains("`where` reads `id`: it is not known which rows the trigger is to keep in step"),
        "{said}"
    );
    let said_so = JobFile::new(&format!("{half}[verify]\nrows = 'id % 2 = 0'\n"));
    expand(&db, &said_so).run().await.expect_code(0);
    client.batch_execute("INSERT INTO orders VALUES (100, '1'), (101, '1')").await.unwrap();
    let found =
        "SELECT string_agg(id || coalesce(status_v2, '-'), ' ' ORDER BY id) FROM orders WHERE id > 99";
    assert_eq!(text(&client, found).await, "100paid 101-");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_have_it_too_and_lookups_are_joined_as_the_run_does() {
    let db = database().await;
    let client = db.client().await;
    let tables = "CREATE TABLE orders (id int PRIMARY KEY, code text) PARTITION BY RANGE (id);
                  CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100);
                  CREATE TABLE orders_2 PARTITION OF orders DEFAULT;
                  CREATE TABLE users (id int PRIMARY KEY, code text UNIQUE);
                  INSERT INTO users VALUES (7, 'ann'), (8, 'bob'); INSERT INTO orders VALUES (1, 'ann')";
    client.batch_execute(&format!("{CLOSED}; {tables}")).await.unwrap();
    let job = JobFile::new(
        "table = 'orders'\nset.user_id = 'u.id'\nfrom = 'users AS u'\non = 'u.code = orders.code'\nwhere = 'user_id IS NULL'\n\
         expand.column.user_id = 'int'\nexpand.sync.forward = true\n",
    );
    expand(&db, &job).run().await.expect_code(0);
    client
        .batch_execute("INSERT INTO orders VALUES (2, 'bob'), (200, 'ann'), (201, 'nobody')")
        .await
        .unwrap();
    client.batch_execute("UPDATE orders_2 SET code = 'bob' WHERE id = 200").await.unwrap();
    job.run(&db).run().await.expect_code(0);
    let found = "SELECT string_agg(id || ':' || coalesce(user_id::text, '-'), ' ' ORDER BY id) FROM orders";
    assert_eq!(text(&client, found).await, "1:7 2:8 200:8 201:-");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_in_step_is_refused_at_its_line() {
    let (db, _, client) = one_way().await;
    client
        .batch_execute("ALTER TABLE orders ADD COLUMN upper text GENERATED ALWAYS AS (upper(status)) STORED")
        .await
        .unwrap();
    for (set, told) in [
        ("random()::text", "the expression for `status_v2` has another value each time"),
        ("status_v2 || status", "the expression for `status_v2` reads `status_v2`, which the job sets"),
        ("upper", "`set` reads `upper`, which is generated"),
        (
            "(SELECT max(status) FROM orders AS o)",
            "the expression for `status_v2` reads other rows of the table",
        ),
        ("nosuch", "column \"nosuch\" does not exist"),
    ] {
        let job = JobFile::new(&format!(
            "table = 'orders'\nset.status_v2 = '{set}'\nwhere = 'status_v2 IS NULL'\n\
             expand.column.status_v2 = 'text'\nexpand.sync.forward = true\n"
        ));
        let said = expand(&db, &job).run().await.expect_code(2).stderr;
        assert!(said.contains(told) && said.contains("job.toml:5:8"), "{set}: {said}");
    }
    assert_eq!(
        text(&client, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_pgbackfill%'").await,
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_somebody_disabled_is_told_and_another_text_replaces_it() {
    let (db, job, client) = one_way().await;
    expand(&db, &job).run().await.expect_code(0);
    job.run(&db).run().await.expect_code(0);
    client.batch_execute("ALTER TABLE orders DISABLE TRIGGER zz_pgbackfill_update_job").await.unwrap();
    let said = expand(&db, &job).run().await.expect_code(2).stderr;
    assert!(said.contains("the sync trigger is there and was disabled"), "{said}");
    let said = contract(&db, &job).run().await.expect_code(1).stderr;
    assert!(said.contains("its sync trigger does not fire"), "{said}");
    client.batch_execute("ALTER TABLE orders ENABLE TRIGGER zz_pgbackfill_update_job").await.unwrap();
    job.rewrite(&ONE_WAY.replace("'new'", "'fresh'"));
    expand(&db, &job).run().await.expect_code(0);
    client.batch_execute("INSERT INTO orders VALUES (100, '0')").await.unwrap();
    assert_eq!(text(&client, "SELECT status_v2 FROM orders WHERE id = 100").await, "fresh");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_subscription_brings_are_in_step() {
    let db = database().await;
    let client = db.client().await;
    client.batch_execute(&format!("{CLOSED}; {ORDERS}")).await.unwrap();
    // What applies changes of another server works like this.
    let subscription = format!(
        "CREATE SUBSCRIPTION s_{0} CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = NONE)",
        db.name
    );
    client.batch_execute(&subscription).await.unwrap();
    let fed = "INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) SELECT oid, 'orders'::regclass, 'r' FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    client.batch_execute("SET allow_system_table_mods = on").await.unwrap();
    client.batch_execute(fed).await.unwrap();
    expand(&db, &JobFile::new(ONE_WAY)).run().await.expect_code(0);
    client.batch_execute("SET session_replication_role = replica").await.unwrap();
    client.batch_execute("INSERT INTO orders VALUES (1, '1')").await.unwrap();
    assert_eq!(text(&client, "SELECT status_v2 FROM orders").await, "paid");
    client.batch_execute(&format!("DROP SUBSCRIPTION s_{}", db.name)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_of_one_job_is_a_writer_like_any_other_for_the_trigger_of_another() {
    let (db, _) = orders(5, "").await;
    let client = db.client().await;
    client.batch_execute("ALTER TABLE orders ADD COLUMN b text").await.unwrap();
    let of = |column: &str, source: &str| {
        format!(
            "table = 'orders'\nset.{column} = 'upper({source})'\nwhere = '{column} IS NULL'\nexpand.column.{column} = 'text'\nexpand.sync.forward = true\n"
        )
    };
    let dir = tempfile::tempdir().unwrap();
    let files = [("first", of("c", "b")), ("second", of("b", "status"))].map(|(name, text)| {
        let file = dir.path().join(format!("{name}.toml"));
        std::fs::write(&file, format!("{text}pace.mode = 'full'\n")).unwrap();
        file
    });
    let first = Pgbackfill::new(["expand"]).arg(&files[0]).on(&db).run().await.expect_code(0);
    assert!(first.stderr.contains("done"), "{}", first.stderr);
    Pgbackfill::new(["run", "--yes"]).arg(&files[1]).on(&db).run().await.expect_code(2);
    Pgbackfill::new(["expand"]).arg(&files[1]).on(&db).run().await.expect_code(0);
    Pgbackfill::new(["run", "--yes"]).arg(&files[1]).on(&db).run().await.expect_code(0);
    assert_eq!(text(&client, "SELECT string_agg(DISTINCT b || c, ' ') FROM orders").await, "NEWNEW");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_moves_to_another_partition_takes_its_values_along() {
    let db = database().await;
    let client = db.client().await;
    let tables = "CREATE TABLE orders (id int, status text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
                  CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100);
                  CREATE TABLE orders_2 PARTITION OF orders DEFAULT";
    client.batch_execute(&format!("{CLOSED}; {tables}")).await.unwrap();
    let job = JobFile::new(
        "table = 'orders'\nset.status_v2 = 'upper(status)'\nwhere = 'status_v2 IS NULL'\n\
         [expand]\ncolumn.status_v2 = 'text'\nsync.forward = true\nsync.conflict = 'error'\n",
    );
    expand(&db, &job).run().await.expect_code(0);
    client
        .batch_execute("INSERT INTO orders VALUES (1, 'new'); UPDATE orders SET status_v2 = 'by hand'")
        .await
        .unwrap();
    client.batch_execute("UPDATE orders SET id = 500").await.unwrap();
    assert_eq!(text(&client, "SELECT status_v2 FROM orders_2").await, "by hand");
    client.batch_execute("ALTER TABLE orders_2 DISABLE TRIGGER USER").await.unwrap();
    let said = expand(&db, &job).run().await.expect_code(2).stderr;
    assert!(said.contains("the sync trigger is there and was disabled"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_cannot_compute_a_value_what_the_application_brought_along_stays() {
    let (db, job, client) = one_way().await;
    expand(&db, &job).run().await.expect_code(0);
    client
        .batch_execute("INSERT INTO orders (id, status, status_v2) VALUES (100, '7', 'mine')")
        .await
        .unwrap();
    client.batch_execute("UPDATE orders SET status = '8', status_v2 = 'mine' WHERE id = 1").await.unwrap();
    assert_eq!(text(&client, "SELECT count(*) FROM orders WHERE status_v2 = 'mine'").await, "2");
    // While the rows are looked at for NOT NULL, which takes hours on a large table.
    client.batch_execute("ALTER TABLE orders ADD CONSTRAINT pgbackfill_status_v2_not_null CHECK (status_v2 IS NOT NULL) NOT VALID").await.unwrap();
    client.batch_execute("UPDATE orders SET status = '9' WHERE id = 1").await.unwrap();
    assert_eq!(text(&client, "SELECT status || status_v2 FROM orders WHERE id = 1").await, "9mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_run_before_its_trigger_was_there_is_not_contracted() {
    let (db, job, client) = one_way().await;
    client.batch_execute("ALTER TABLE orders ADD COLUMN status_v2 text").await.unwrap();
    let said = job.run(&db).run().await.expect_code(2).stderr;
    assert!(said.contains("the job keeps its columns in step, and its trigger is not there"), "{said}");
    assert!(said.contains("hint: pgbackfill expand comes first"), "{said}");
    expand(&db, &job).run().await.expect_code(0);
    job.run(&db).run().await.expect_code(0);
    client.batch_execute("UPDATE pgbackfill.step SET done_at = done_at + interval '1 hour'").await.unwrap();
    let said = contract(&db, &job).run().await.expect_code(1).stderr;
    assert!(said.contains("its sync trigger was put in place after the run had begun"), "{said}");
    job.run_with(&db, ["--new-run"]).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_everybody_may_make_functions_on_its_path_there_is_none() {
    let (db, job, client) = one_way().await;
    client.batch_execute("GRANT CREATE ON SCHEMA public TO PUBLIC").await.unwrap();
    let said = expand(&db, &job).run().await.expect_code(2).stderr;
    assert!(said.contains("everybody may make functions in schema public"), "{said}");
    assert!(said.contains("REVOKE CREATE ON SCHEMA public FROM PUBLIC"), "{said}");
    client.batch_execute(CLOSED).await.unwrap();
    expand(&db, &job).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_table_under_the_same_job_and_columns_of_a_domain_are_refused() {
    let (db, job, client) = one_way().await;
    expand(&db, &job).run().await.expect_code(0);
    client.batch_execute("CREATE TABLE other (id int PRIMARY KEY, status text)").await.unwrap();
    job.rewrite(&ONE_WAY.replace("'orders'", "'other'"));
    let said = expand(&db, &job).run().await.expect_code(2).stderr;
    assert!(said.contains("the sync trigger of this job is on table orders, too"), "{said}");
    client.batch_execute("CREATE DOMAIN word AS text NOT NULL").await.unwrap();
    let of_domain =
        ONE_WAY.replace("column.status_v2 = 'text'", "column.state = 'word'").replace("status_v2", "state");
    let said = expand(&db, &JobFile::new(&of_domain)).run().await.expect_code(2).stderr;
    assert!(said.contains("is of a domain") || said.contains("would rewrite"), "{said}");
}
