//! What must hold when a run is complete, whatever happened to it.
//!
//! Must not know: what happened to it.

use pgbackfill::run::RunId;
use tokio_postgres::Client;

use super::{Database, until};

/// The ranges of each pass of a leaf follow each other from the start of the table, without gap or overlap,
/// and those of the last one to the leaf's bound; a leaf without ranges has no rows.
const GAPS: &str = "
SELECT count(*)
FROM (
    SELECT r.lo, lag(r.hi) OVER w AS previous_hi, lead(r.number) OVER w AS next, r.hi,
           CASE WHEN r.pass = l.pass THEN l.bound ELSE r.hi END AS bound
    FROM pgbackfill.leaf AS l
    LEFT JOIN pgbackfill.range AS r ON r.run = l.run AND r.leaf = l.number
    WHERE l.run = $1
    WINDOW w AS (PARTITION BY l.number, r.pass ORDER BY r.number)
) AS seam
WHERE lo IS DISTINCT FROM previous_hi
OR (next IS NULL AND hi IS DISTINCT FROM bound)";

/// Asserts that the only run is complete, that its ranges tile the key domain, and that its counters add up
/// to `rows`.
pub(crate) async fn assert_tiled(client: &Client, rows: i64) {
    let run: i64 = client.query_one("SELECT id FROM pgbackfill.run", &[]).await.unwrap().get(0);
    assert_run(client, RunId(run), rows, rows).await;
}

/// The same of one run among others that passed so many rows and changed so many of them.
pub(crate) async fn assert_run(client: &Client, run: RunId, passed: i64, changed: i64) {
    assert_seamless(client, run).await;
    let row = client
        .query_one(
            "SELECT sum(rows_changed)::bigint, sum(rows_passed)::bigint, count(*) FILTER (WHERE state <> 'done')
             FROM pgbackfill.range
             WHERE run = $1",
            &[&run.0],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, Option<i64>>(0).unwrap_or(0), changed, "the counters do not add up to the rows");
    assert_eq!(
        row.get::<_, Option<i64>>(1).unwrap_or(0),
        passed,
        "rows were passed that are not there, or the reverse"
    );
    assert_eq!(row.get::<_, i64>(2), 0, "a range is not done");
    let state = client.query_one("SELECT state FROM pgbackfill.run WHERE id = $1", &[&run.0]).await.unwrap();
    assert_eq!(state.get::<_, String>(0), "complete");
}

/// Asserts that the only run, which walks by block, is complete, that its passes have no gaps, and that it
/// counts as many changes as there are rows.
pub(crate) async fn assert_swept(client: &Client, rows: i64) {
    let run =
        "SELECT id, state, (SELECT sum(rows_changed)::bigint FROM pgbackfill.range) FROM pgbackfill.run";
    let run = client.query_one(run, &[]).await.unwrap();
    assert_seamless(client, RunId(run.get(0))).await;
    assert_eq!((run.get::<_, String>(1).as_str(), run.get::<_, i64>(2)), ("complete", rows));
    let open = "SELECT count(*) FROM pgbackfill.leaf WHERE swept IS DISTINCT FROM 'clean' OR scan <> 'heap'";
    assert_eq!(client.query_one(open, &[]).await.unwrap().get::<_, i64>(0), 0, "a leaf is not swept");
}

/// Asserts that the ranges of a run tile the key domain.
pub(crate) async fn assert_seamless(client: &Client, run: RunId) {
    let gaps: i64 = client.query_one(GAPS, &[&run.0]).await.unwrap().get(0);
    assert_eq!(gaps, 0, "the ranges do not tile the key domain");
}

/// Asserts that `n` is 1 in each of `rows` rows of a table.
pub(crate) async fn assert_once(client: &Client, table: &str, rows: i64) {
    let sql = format!("SELECT n, count(*) FROM {table} GROUP BY n ORDER BY n");
    let expected = if rows == 0 { vec![] } else { vec![(1, rows)] };
    let found: Vec<(i32, i64)> =
        client.query(&sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(found, expected, "(times changed, rows)");
}

/// Waits until the server has noticed that every process is gone, then asserts that nothing of them is left:
/// neither a session nor a lock nor a prepared transaction.
pub(crate) async fn assert_nothing_left(db: &Database) {
    assert_nothing_left_by(&db.client().await).await;
}

/// The same over a connection that is there.
pub(crate) async fn assert_nothing_left_by(client: &Client) {
    until(
        client,
        "NOT EXISTS (SELECT FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name LIKE 'pgbackfill%')",
    )
    .await;
    // Autovacuum has locks of its own at these tables, for a moment.
    until(
        client,
        "NOT EXISTS (SELECT FROM pg_locks
                     WHERE pid <> pg_backend_pid()
                     AND pid NOT IN (SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum worker')
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND relation IN (SELECT oid
                                      FROM pg_class
                                      WHERE relnamespace IN (SELECT oid
                                                             FROM pg_namespace
                                                             WHERE nspname IN ('pgbackfill', 'public'))))",
    )
    .await;
    until(client, "NOT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())").await;
}
