//! Undo: what a run has replaced is put back, exactly once, and what others have changed since is left.
//!
//! Must not know: how values are kept.

mod keep;
mod kill;
mod put_back;
mod refuse;

use tokio_postgres::Client;

use crate::support::{Database, JobFile, Pgbackfill, database};

/// Changes in place.
const RAISE: &str = "table = 'price'\nset.cents = 'cents * 2 + 1'\n";

/// Prices, and what they were.
async fn prices(rows: i32) -> (Database, Client) {
    let db = database().await;
    let client = db.client().await;
    let tables = format!(
        "CREATE TABLE price (id int PRIMARY KEY, cents int, note text NOT NULL DEFAULT '');
         INSERT INTO price SELECT i, CASE WHEN i % 10 > 0 THEN i * 7 END FROM generate_series(1, {rows}) AS i;
         CREATE TABLE before AS SELECT * FROM price; ANALYZE price"
    );
    client.batch_execute(&tables).await.unwrap();
    (db, client)
}

fn undo(db: &Database, job: &JobFile) -> Pgbackfill {
    Pgbackfill::new(["undo", "--yes", "--mode", "full"]).arg(job.path()).on(db)
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {sql}"), &[]).await.unwrap().get(0)
}

/// Rows of the table that are not as they were.
const DIFFER: &str = "price FULL JOIN before USING (id) WHERE price.cents IS DISTINCT FROM before.cents";

async fn version(client: &Client) -> i32 {
    client.query_one("SELECT current_setting('server_version_num')::int", &[]).await.unwrap().get(0)
}
