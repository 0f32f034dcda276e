//! The striped order: exactly once through every number of stripes, HOT where it can be, and out of the way
//! where it cannot.

use pgbackfill::connect::ConnectParams;
use pgbackfill::db::Pool;
use pgbackfill::engine;
use pgbackfill::event::{Event, Outcome};
use pgbackfill::sandbox::Fsync;
use tokio_postgres::Client;

use crate::support::in_process::{job, run};
use crate::support::oracle::{assert_once, assert_tiled};
use crate::support::{Database, database, database_on, own_server};

/// Runs `n = n + 1` with `stripes` over a table with these columns and rows; everything must be exact.
async fn exact(stripes: u32, columns: &str, select: &str) {
    let db = database().await;
    let client = db.client().await;
    let sql =
        format!("CREATE TABLE t ({columns}, n int NOT NULL DEFAULT 0); INSERT INTO t {select}; ANALYZE t");
    client.batch_execute(&sql).await.unwrap();
    let rows: i64 = client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0);
    let job =
        format!("table = 't'\nset.n = 'n + 1'\norder.stripes = {stripes}\npace.max_rows_per_batch = 700\n");
    let ran = run(&db, &job).await;
    assert_eq!(ran.summary.outcome, Outcome::Complete, "{stripes} stripes of {columns}");
    assert_once(&client, "t", rows).await;
    assert_tiled(&client, rows).await;
    assert_eq!(one(&client, "SELECT max(stripes)::bigint FROM pgbackfill.range").await, i64::from(stripes));
}

async fn one(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_of_stripes_changes_every_row_once() {
    for stripes in [2, 4, 8, 16, 32] {
        exact(stripes, "id bigint PRIMARY KEY", "SELECT i FROM generate_series(-4000, 9000) AS i").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind_are_striped_exactly() {
    exact(8, "id int PRIMARY KEY", "SELECT i * 2 FROM generate_series(-5000, 5000) AS i").await;
    exact(8, "id bigint PRIMARY KEY", "SELECT i::bigint * 1000003 FROM generate_series(1, 8000) AS i").await;
    exact(8, "id bigint PRIMARY KEY", "SELECT (i::bigint << 40) FROM generate_series(-4000, 4000) AS i")
        .await;
    exact(4, "id smallint PRIMARY KEY", "SELECT i FROM generate_series(-9000, 9000) AS i").await;
    exact(8, "id uuid PRIMARY KEY", "SELECT md5(i::text)::uuid FROM generate_series(1, 8000) AS i").await;
    exact(
        8,
        "id text COLLATE \"en-x-icu\" PRIMARY KEY",
        "SELECT 'é' || i FROM generate_series(1, 8000) AS i",
    )
    .await;
    exact(8, "id numeric PRIMARY KEY", "SELECT i / 7.0 FROM generate_series(1, 8000) AS i").await;
    exact(
        8,
        "id timestamptz PRIMARY KEY",
        "SELECT now() + i * interval '1 s' FROM generate_series(1, 8000) AS i",
    )
    .await;
    let composite = "a int, b date, PRIMARY KEY (a, b)";
    exact(8, composite, "SELECT i % 90, date '2020-01-01' + i FROM generate_series(1, 8000) AS i").await;
}

/// `orders` with full pages and a random secondary index.
async fn orders(rows: u32, options: &str) -> (Database, Client) {
    orders_in(database().await, rows, options).await
}

async fn orders_in(db: Database, rows: u32, options: &str) -> (Database, Client) {
    let client = db.client().await;
    client
        .batch_execute(&format!(
            "CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, status int, note text, status_v2 text) {options};
             INSERT INTO orders SELECT i, i::bigint * 7919 % 10007, i % 3, repeat('x', 60) FROM generate_series(1, {rows}) AS i;
             CREATE INDEX orders_customer ON orders (customer_id)"
        ))
        .await
        .unwrap();
    // VACUUM wants a transaction of its own.
    client.batch_execute("VACUUM ANALYZE orders").await.unwrap();
    (db, client)
}

const STATUS: &str = "table = 'orders'\nset.status_v2 = 'upper(status::text) || status'\n";

async fn hot_percent(client: &Client) -> i64 {
    one(client, "SELECT (100 * sum(rows_hot) / sum(rows_changed))::bigint FROM pgbackfill.range").await
}

/// Why the ranges had their stripes, each reason once.
fn reasons(events: &[Event]) -> Vec<(u32, String)> {
    let mut all: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::RangePlanned { stripes, why, .. } => Some((*stripes, why.clone())),
            _ => None,
        })
        .collect();
    all.dedup();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn most_updates_of_full_pages_are_hot() {
    // On a server of its own: a transaction that writes keeps dead rows from being pruned in every database,
    // and the other tests write all the time.
    let server = own_server(Fsync::Off);
    let (db, client) = orders_in(database_on(&server).await, 120_000, "").await;
    let ran = run(&db, STATUS).await;
    assert_eq!(reasons(&ran.events)[0].0, 8);
    let hot = hot_percent(&client).await;
    assert!(hot >= 50, "only {hot} % of the updates were HOT");
    run(&db, &format!("{STATUS}order.stripes = 1\n")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_on_a_set_column_is_walked_in_order() {
    for index in [
        "CREATE INDEX spoiler ON orders (status_v2)",
        "CREATE INDEX spoiler ON orders (lower(status_v2))",
        "CREATE INDEX spoiler ON orders (id) WHERE status_v2 IS NULL",
        "CREATE INDEX spoiler ON orders (id) INCLUDE (status_v2)",
        "ALTER TABLE orders ADD CONSTRAINT spoiler UNIQUE (status_v2, id)",
    ] {
        let (db, client) = orders(3_000, "").await;
        client.batch_execute(index).await.unwrap();
        let ran = run(&db, STATUS).await;
        let reasons = reasons(&ran.events);
        assert!(
            reasons.iter().all(|(stripes, why)| *stripes == 1 && why.contains("spoiler")),
            "{index}: {reasons:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_with_room_are_walked_in_order_once_that_is_known() {
    let (db, client) = orders(60_000, "WITH (fillfactor = 40)").await;
    let ran = run(&db, STATUS).await;
    let last = reasons(&ran.events).pop().unwrap();
    assert!(last.0 == 1 && last.1.contains("pages have room"), "{last:?}");
    assert!(hot_percent(&client).await >= 90);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_snapshot_makes_stripes_futile_and_they_are_given_up_for_a_while() {
    let (db, client) = orders(120_000, "").await;
    let holder = db.client().await;
    holder.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM orders").await.unwrap();
    // So long that it is not taken for one of the short ones that come and go.
    holder.batch_execute("SELECT pg_sleep(2.1)").await.unwrap();
    let ran = run(&db, STATUS).await;
    let reasons = reasons(&ran.events);
    assert!(
        reasons.iter().any(|(stripes, why)| *stripes == 1
            && why.contains("HOT")
            && why.contains("has held an old snapshot")),
        "{reasons:?}"
    );
    holder.batch_execute("COMMIT").await.unwrap();
    assert_tiled(&client, 120_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stripe_is_runs_of_as_many_keys_as_fit_on_a_part_of_a_page() {
    // About 70 rows a page, of which eight stripes have about nine each: runs of eight keys; of every tenth
    // key, runs of 64 values.
    for (factor, shift) in [(1, 3), (10, 6)] {
        let db = database().await;
        let client = db.client().await;
        let sql = format!(
            "CREATE TABLE t (id bigint PRIMARY KEY, note text, n int NOT NULL DEFAULT 0);
             INSERT INTO t SELECT i * {factor}, repeat('x', 70) FROM generate_series(1::bigint, 20000) AS i; ANALYZE t"
        );
        client.batch_execute(&sql).await.unwrap();
        run(&db, "table = 't'\nset.n = 'n + 1'\n").await;
        let shifts =
            "SELECT DISTINCT stripe_shift FROM pgbackfill.range WHERE rows_planned > 1000 AND stripes > 1";
        let found: Vec<i32> = client.query(shifts, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(found, [shift], "ids multiplied by {factor}");
        assert_once(&client, "t", 20_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_lie_scattered_are_walked_in_the_order_of_their_keys() {
    let db = database().await;
    let client = db.client().await;
    client
        .batch_execute(
            "CREATE TABLE t (id uuid PRIMARY KEY, note text, n int NOT NULL DEFAULT 0);
             INSERT INTO t SELECT md5(i::text)::uuid, repeat('x', 70) FROM generate_series(1, 60000) AS i; ANALYZE t",
        )
        .await
        .unwrap();
    let ran = run(&db, "table = 't'\nset.n = 'n + 1'\n").await;
    let reasons = reasons(&ran.events);
    assert!(
        reasons.iter().all(|(stripes, why)| *stripes == 1 && why.contains("different pages")),
        "{reasons:?}"
    );
    assert_once(&client, "t", 60_000).await;
}

/// The columns that a run assigns their own value, read from what the plan says.
async fn quiet(db: &Database, job: &str) -> Vec<String> {
    use pgbackfill::connect::ConnectParams;
    use pgbackfill::db::Pool;
    let params = ConnectParams::resolve(db.url(), &|_| None).unwrap();
    let mut session = Pool::new(&params, 1).unwrap().session().await.unwrap();
    let plan = pgbackfill::plan::preflight(
        &mut session,
        &self::job(job),
        "tester",
        pgbackfill::run::RunKind::Backfill,
    )
    .await
    .unwrap();
    plan.change.quiet().iter().map(|column| column.0.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_each_secondary_index_is_assigned_its_own_value() {
    let (db, client) = orders(1_000, "").await;
    client.batch_execute("CREATE INDEX ON orders (status, note)").await.unwrap();
    assert_eq!(quiet(&db, STATUS).await, ["customer_id", "status"]);
    assert!(quiet(&db, &format!("{STATUS}order.quiet = false\n")).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_must_not_be_named_is_left_alone() {
    for (spoiler, why) in [
        ("CREATE UNIQUE INDEX ON orders (customer_id, id)", "a foreign key could point to it"),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER g BEFORE UPDATE OF customer_id ON orders FOR EACH ROW EXECUTE FUNCTION f()",
            "its trigger would fire",
        ),
        (
            "ALTER TABLE orders DROP COLUMN customer_id;
             ALTER TABLE orders ADD COLUMN customer_id bigint GENERATED ALWAYS AS (id * 2) STORED;
             CREATE INDEX ON orders (customer_id)",
            "it is generated",
        ),
        (
            "ALTER TABLE orders DROP COLUMN customer_id;
             ALTER TABLE orders ADD COLUMN customer_id bigint GENERATED ALWAYS AS IDENTITY;
             CREATE INDEX ON orders (customer_id)",
            "it is an identity",
        ),
    ] {
        let (db, client) = orders(100, "").await;
        client.batch_execute(spoiler).await.unwrap();
        assert!(quiet(&db, STATUS).await.is_empty(), "{why}");
        assert_eq!(run(&db, STATUS).await.summary.outcome, Outcome::Complete, "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_update_it_a_column_is_left_alone() {
    let (_db, client) = orders(100, "").await;
    client
        .batch_execute(
            "CREATE ROLE quiet_tester; GRANT SELECT, UPDATE (status_v2) ON orders TO quiet_tester; SET ROLE quiet_tester",
        )
        .await
        .unwrap();
    let quiet: Vec<String> = client
        .query_typed_one(
            pgbackfill::sql::fixed::ORDER_FACTS,
            &[
                (&relation(&client).await, tokio_postgres::types::Type::OID),
                (&vec!["status_v2"], tokio_postgres::types::Type::TEXT_ARRAY),
                (&vec!["id"], tokio_postgres::types::Type::TEXT_ARRAY),
            ],
        )
        .await
        .unwrap()
        .get("quiet");
    client.batch_execute("RESET ROLE; DROP OWNED BY quiet_tester; DROP ROLE quiet_tester").await.unwrap();
    assert!(quiet.is_empty(), "{quiet:?}");
}

async fn relation(client: &Client) -> u32 {
    client.query_one("SELECT 'orders'::regclass::oid", &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_at_fault_is_found_in_its_stripe() {
    let db = database().await;
    let client = db.client().await;
    client
        .batch_execute(
            "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
             INSERT INTO t SELECT i FROM generate_series(1, 5000) AS i",
        )
        .await
        .unwrap();
    let job = "table = 't'\nset.n = 'n + 1 + 0 / (id % 1001)'\norder.stripes = 8\nlimits.max_bad_rows = 4\n";
    let ran = run(&db, job).await;
    assert_eq!(ran.summary.outcome, Outcome::CompleteWithBadRows);
    assert_eq!(one(&client, "SELECT count(*) FROM t WHERE n = 1").await, 4996);
    assert_eq!(
        one(&client, "SELECT sum(key[1]::int) FROM pgbackfill.bad_row").await,
        1001 + 2002 + 3003 + 4004
    );
    // Behind each of them batches grow again.
    assert!(ran.summary.batches_here < 1500, "{} batches", ran.summary.batches_here);
}

/// Where a stripe is a condition on all rows of a batch, the server looks at a cheaper predicate before it,
/// and so at rows of all stripes.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_predicate_fails_for_is_put_aside_by_its_own_stripe_alone() {
    let db = database().await;
    let client = db.client().await;
    client
        .batch_execute(
            "CREATE TABLE t (id text PRIMARY KEY, d int NOT NULL, n int NOT NULL DEFAULT 0);
             INSERT INTO t SELECT lpad(i::text, 6, '0'), CASE WHEN i = 777 THEN 0 ELSE 1 END FROM generate_series(1, 1000) AS i;
             ANALYZE t",
        )
        .await
        .unwrap();
    let toml =
        "table = 't'\nset.n = 'n + 1'\nwhere = '10 / d > 1'\norder.stripes = 8\nlimits.max_bad_rows = 1\n";
    let ran = run(&db, toml).await;
    assert_eq!(ran.summary.outcome, Outcome::CompleteWithBadRows, "{:?}", ran.summary.reason);
    assert_eq!(one(&client, "SELECT count(*) FROM t WHERE n = 1").await, 999);
    // Only behind its stripe's cursor nobody comes to it again.
    let told = |event: &&Event| matches!(event, Event::BadRow { .. });
    assert_eq!(ran.events.iter().filter(told).count(), 1);
    client.batch_execute("UPDATE t SET d = 1").await.unwrap();
    let params = ConnectParams::resolve(db.url(), &|_| None).unwrap();
    let mended =
        engine::retry_bad_rows(&Pool::new(&params, 1).unwrap(), &job(toml), "somebody", &mut |_| ()).await;
    assert_eq!(mended.unwrap().changed, 1);
    assert_once(&client, "t", 1000).await;
    assert_tiled(&client, 1000).await;
}
