//! Indexes: built beside writers, taken over, built again where one was left behind, on every partition.
//!
//! Must not know: how an index is built.

use std::time::Duration;

use nix::sys::signal::Signal;
use pgbackfill::sandbox::{Fsync, StopMode};
use tokio::time::sleep;
use tokio_postgres::Client;

use super::{ORDERS, catalog, ends, expand, job, orders, text};
use crate::support::{JobFile, Pgbackfill, database_behind_pgbouncer, database_on, own_server, skipped};

const INDEX: &str = "expand.index.by_status = '(lower(status)) WHERE id > 5'\n";
const UNIQUE: &str = "expand.unique.one_status = '(status)'\n";
const VALID: &str =
    "SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY indexrelid::regclass::text)
                     FROM pg_index WHERE indrelid = 'orders'::regclass AND NOT indisprimary";

/// A transaction on another table that was there before the index is built.
async fn old_snapshot(client: &Client) {
    client.batch_execute("CREATE TABLE theirs (id int)").await.unwrap();
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM theirs").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_built_while_others_have_transactions_open_whatever_the_role_says_of_locks() {
    let (db, job) = orders(100, INDEX).await;
    let (admin, other) = (db.client().await, db.client().await);
    let name = &db.name;
    admin.batch_execute(&format!("ALTER DATABASE {name} SET lock_timeout = '200ms'")).await.unwrap();
    old_snapshot(&other).await;
    let running = expand(&db, &job).spawn();
    db.until("EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for%')").await;
    // Longer than that lock_timeout: it is not what ends the wait.
    sleep(Duration::from_millis(600)).await;
    assert!(!running.has_ended());
    other.batch_execute("COMMIT").await.unwrap();
    let said = ends(running).await.expect_code(0).stderr;
    assert!(said.contains("done, and kept nobody waiting"), "{said}");
    assert_eq!(text(&admin, VALID).await, "by_status true");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_it_is_refused_where_a_limit_would_end_it() {
    let Some(mut db) = database_behind_pgbouncer().await else {
        return skipped("there is no PgBouncer");
    };
    let admin = db.client().await;
    let name = &db.name;
    let table = "CREATE TABLE orders (id int PRIMARY KEY, status text)";
    admin.batch_execute(&format!("{table}; ALTER DATABASE {name} SET lock_timeout = '1s'")).await.unwrap();
    let job = job(INDEX);
    let said = expand(&db, &job).run().await.expect_code(1).stderr;
    assert!(said.contains("lock_timeout is 1000 ms here") && said.contains("past the pooler"), "{said}");
    assert_eq!(text(&admin, VALID).await, "none");
    admin.batch_execute(&format!("ALTER DATABASE {name} RESET lock_timeout")).await.unwrap();
    // The pooler's connections know the old setting until they are made again.
    db.replace_pgbouncer();
    expand(&db, &job).run().await.expect_code(0);
    assert_eq!(text(&admin, VALID).await, "by_status true");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_others_made_is_taken_over_if_it_is_the_same_and_not_if_it_is_another() {
    let (db, job) = orders(100, INDEX).await;
    let client = db.client().await;
    client.batch_execute("CREATE INDEX by_status ON orders (lower(status)) WHERE id > 6").await.unwrap();
    let said = expand(&db, &job).run().await.expect_code(2).stderr;
    assert!(said.contains("index \"public\".\"by_status\" is there already and is not the same"), "{said}");
    assert!(said.contains("it is `USING btree (lower(status)) WHERE (id > 6)`"), "{said}");
    assert!(said.contains("this says `USING btree (lower(status)) WHERE (id > 5)`"), "{said}");
    client.batch_execute("DROP INDEX by_status; CREATE INDEX by_status ON orders USING btree (lower(status)) WHERE (id > 5)").await.unwrap();
    let before = catalog(&client, "orders").await;
    let said = expand(&db, &job).run().await.expect_code(0).stderr;
    assert!(said.contains("is there already"), "{said}");
    assert_eq!(catalog(&client, "orders").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_something_else_has_is_refused() {
    let (db, job) = orders(10, INDEX).await;
    db.client().await.batch_execute("CREATE TABLE by_status (id int)").await.unwrap();
    let said = expand(&db, &job).run().await.expect_code(2).stderr;
    assert!(said.contains("is taken by something that is no index of \"public\".\"orders\""), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_one_over_rows_that_are_not_names_them_and_leaves_nothing_behind() {
    let (db, job) = orders(10, UNIQUE).await;
    let client = db.client().await;
    let said = expand(&db, &job).run().await.expect_code(4).stderr;
    assert!(said.contains("Key (status)=(new) is duplicated."), "{said}");
    assert!(said.contains("hint: the index is not there; make the rows unique"), "{said}");
    assert_eq!(text(&client, VALID).await, "none");
    client.batch_execute("UPDATE orders SET status = id").await.unwrap();
    expand(&db, &job).run().await.expect_code(0);
    assert_eq!(text(&client, VALID).await, "one_status true");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_left_behind_is_built_again_and_nothing_else_is_touched() {
    let (db, job) = orders(10, UNIQUE).await;
    let client = db.client().await;
    for name in ["one_status", "theirs"] {
        let failed = client
            .batch_execute(&format!("CREATE UNIQUE INDEX CONCURRENTLY {name} ON orders (status)"))
            .await;
        assert!(failed.is_err());
    }
    assert_eq!(text(&client, VALID).await, "one_status false, theirs false");
    // The one that is left behind is enforced.
    client.batch_execute("ALTER TABLE orders DISABLE TRIGGER USER").await.unwrap();
    client
        .batch_execute(
            "DROP INDEX theirs; DELETE FROM orders WHERE id > 1; CREATE INDEX theirs ON orders (id, status)",
        )
        .await
        .unwrap();
    let said = expand(&db, &job).run().await.expect_code(0).stderr;
    assert!(said.contains("removes what is left of index \"public\".\"one_status\""), "{said}");
    assert_eq!(text(&client, VALID).await, "one_status true, theirs true");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_client_was_killed_in_the_middle_the_next_one_finishes() {
    let (db, job) = orders(100, INDEX).await;
    let (client, other) = (db.client().await, db.client().await);
    old_snapshot(&other).await;
    let running = expand(&db, &job).spawn();
    db.until("EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for%')").await;
    running.signal(Signal::SIGKILL);
    let next = expand(&db, &job).spawn();
    sleep(Duration::from_millis(300)).await;
    other.batch_execute("COMMIT").await.unwrap();
    // It may come while the other's session is at work still: then it says so, and the same command helps.
    let mut finished = ends(next).await;
    while finished.code == Some(5) {
        sleep(Duration::from_millis(200)).await;
        finished = expand(&db, &job).run().await;
    }
    finished.expect_code(0);
    assert_eq!(text(&client, VALID).await, "by_status true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_stops_it_leaves_nothing_behind() {
    let (db, job) = orders(100, INDEX).await;
    let (client, other) = (db.client().await, db.client().await);
    old_snapshot(&other).await;
    let running = expand(&db, &job).spawn();
    db.until("EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for%')").await;
    running.signal(Signal::SIGINT);
    // To remove it the server waits for the same transaction.
    sleep(Duration::from_millis(500)).await;
    other.batch_execute("COMMIT").await.unwrap();
    let said = ends(running).await.expect_code(3).stderr;
    assert!(said.contains("stopped; what was begun is rolled back or removed"), "{said}");
    assert_eq!(text(&client, VALID).await, "none");
    expand(&db, &job).run().await.expect_code(0);
}

/// Three levels, and one leaf with an index that somebody has made already.
const PARTITIONED: &str = "
CREATE TABLE orders (id int NOT NULL, status text) PARTITION BY RANGE (id);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100);
CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM (100) TO (200) PARTITION BY LIST (status);
CREATE TABLE orders_2_new PARTITION OF orders_2 FOR VALUES IN ('new');
CREATE TABLE orders_2_old PARTITION OF orders_2 DEFAULT;
INSERT INTO orders SELECT i, CASE i % 2 WHEN 0 THEN 'new' ELSE 'old' END FROM generate_series(1, 150) AS i;
CREATE INDEX theirs ON orders_2_old (status)";

#[tokio::test(flavor = "multi_thread")]
async fn on_a_partitioned_table_each_leaf_gets_its_own_and_new_partitions_get_theirs() {
    let db = crate::support::database().await;
    let client = db.client().await;
    client.batch_execute(PARTITIONED).await.unwrap();
    let job =
        JobFile::new("table = 'orders'\nkey = 'id'\nset.status = '1'\nexpand.index.by_status = '(status)'\n");
    // What a person has left behind on a leaf, under the name that ours would have, is no use.
    let failed = "CREATE UNIQUE INDEX CONCURRENTLY orders_1_by_status ON orders_1 (status)";
    assert!(client.batch_execute(failed).await.is_err());
    let said = expand(&db, &job).run().await.expect_code(2).stderr;
    assert!(
        said.contains("index \"public\".\"orders_1_by_status\" is there already and is not the same"),
        "{said}"
    );
    client.batch_execute("DROP INDEX orders_1_by_status").await.unwrap();
    expand(&db, &job).run().await.expect_code(0);
    let tree = "SELECT string_agg(format('%s %s %s', i.indexrelid::regclass, i.indisvalid, h.inhparent::regclass), ', ' ORDER BY i.indexrelid::regclass::text)
                FROM pg_index AS i LEFT JOIN pg_inherits AS h ON h.inhrelid = i.indexrelid
                WHERE i.indrelid::regclass::text LIKE 'orders%'";
    assert_eq!(
        text(&client, tree).await,
        "by_status t , orders_1_by_status t by_status, orders_2_by_status t by_status, \
         orders_2_new_by_status t orders_2_by_status, theirs t orders_2_by_status"
    );
    client
        .batch_execute("CREATE TABLE orders_3 PARTITION OF orders FOR VALUES FROM (200) TO (300)")
        .await
        .unwrap();
    assert_eq!(
        text(&client, "SELECT count(*) FROM pg_index WHERE indrelid = 'orders_3'::regclass").await,
        "1"
    );
    let said = expand(&db, &job).run().await.expect_code(0).stderr;
    assert!(said.contains("is there already"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_a_dba_is_building_is_waited_for_also_by_a_role_that_may_not_see_it() {
    let (db, job) = orders(100, INDEX).await;
    let (admin, builder, other) = (db.client().await, db.client().await, db.client().await);
    let role = format!("owns_{}", db.name);
    let grants = format!(
        "CREATE ROLE {role} LOGIN; ALTER TABLE orders OWNER TO {role}; GRANT CREATE ON DATABASE {0} TO {role}; GRANT CREATE ON SCHEMA public TO {role}",
        db.name
    );
    admin.batch_execute(&grants).await.unwrap();
    old_snapshot(&other).await;
    let built = tokio::spawn(async move {
        builder
            .batch_execute("CREATE INDEX CONCURRENTLY by_status ON orders (lower(status)) WHERE id > 5")
            .await
    });
    db.until("EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for%')").await;
    let running = Pgbackfill::new(["expand"]).arg(job.path()).env("DATABASE_URL", db.url_of(&role)).spawn();
    db.until("(SELECT waits_for LIKE '%is at work on the table, perhaps on index%' FROM pgbackfill.step)")
        .await;
    other.batch_execute("COMMIT").await.unwrap();
    built.await.unwrap().unwrap();
    ends(running).await.expect_code(0);
    assert_eq!(text(&admin, VALID).await, "by_status true");
    admin.batch_execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_server_has_crashed_in_the_middle_it_is_built_again() {
    let mut server = own_server(Fsync::On);
    let db = database_on(&server).await;
    let rows = format!("{ORDERS}; INSERT INTO orders SELECT generate_series(1, 100)");
    db.client().await.batch_execute(&rows).await.unwrap();
    let (job, other) = (job(INDEX), db.client().await);
    old_snapshot(&other).await;
    let running = expand(&db, &job).spawn();
    db.until("EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for%')").await;
    server.stop(StopMode::Immediate).unwrap();
    ends(running).await.expect_code(75);
    server.restart().unwrap();
    let said = expand(&db, &job).run().await.expect_code(0).stderr;
    assert!(said.contains("removes what is left of index \"public\".\"by_status\""), "{said}");
    assert_eq!(text(&db.client().await, VALID).await, "by_status true");
}
