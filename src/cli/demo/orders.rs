//! The table that the demo changes.
//!
//! Must not know: how it is changed.

use std::time::Instant;

use tokio_postgres::{Client, Error};

/// What was made.
pub(super) struct Table {
    pub(super) megabytes: i64,
    pub(super) seconds: f64,
}

/// Creates `orders` with this many rows, its pages full, as a table is that has been there for long.
pub(super) async fn fill(client: &Client, rows: i64) -> Result<Table, Error> {
    let started = Instant::now();
    client.batch_execute(include_str!("orders.sql")).await?;
    client.execute(include_str!("fill.sql"), &[&rows]).await?;
    // One at a time: VACUUM does not run inside the transaction that a script is.
    client.batch_execute("VACUUM ANALYZE orders").await?;
    client.batch_execute("CHECKPOINT").await?;
    let size = client.query_one("SELECT pg_total_relation_size('orders') >> 20", &[]).await?;
    Ok(Table { megabytes: size.get(0), seconds: started.elapsed().as_secs_f64() })
}
