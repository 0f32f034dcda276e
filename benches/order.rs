//! The striped order against what one would do otherwise, side by side in one go, interleaved, medians:
//!
//! - one UPDATE statement;
//! - key ranges in order with one worker;
//! - `pgbackfill` with its defaults and no ceilings.
//!
//! `ROWS`, `REPEATS` and `INDEXES` (random secondary indexes: 0, 1, 3) in the environment change its size.

mod support;

use std::time::Instant;

use pgbackfill::sandbox::Server;
use support::{Anything, connect, job, median, orders, run, server, size};
use tokio_postgres::Client;

const UPDATE: &str =
    "UPDATE orders SET status_v2 = CASE status WHEN 0 THEN 'new' WHEN 1 THEN 'paid' ELSE 'shipped' END";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    OneUpdate,
    InOrder,
    Striped,
}

impl How {
    const ALL: [Self; 3] = [Self::OneUpdate, Self::InOrder, Self::Striped];

    fn name(self) -> &'static str {
        match self {
            Self::OneUpdate => "one UPDATE",
            Self::InOrder => "key order, 1 worker",
            Self::Striped => "pgbackfill, defaults",
        }
    }

    async fn go(self, server: &Server, client: &Client) -> Anything<f64> {
        let began = Instant::now();
        match self {
            Self::OneUpdate => client.batch_execute(UPDATE).await?,
            Self::InOrder => drop(run(server, &job("[order]\nstripes = 1\nquiet = false\n")?, 1).await?),
            Self::Striped => drop(run(server, &job("")?, 2).await?),
        }
        Ok(began.elapsed().as_secs_f64())
    }
}

/// What one repeat showed.
#[derive(Clone, Copy, Debug)]
struct Seen {
    seconds: f64,
    wal_bytes_per_row: f64,
    heap: f64,
    hot_percent: Option<f64>,
}

fn main() -> Anything<()> {
    let server = server()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(compare(&server, size("ROWS", 3_000_000), size("REPEATS", 3)))
}

async fn compare(server: &Server, rows: i64, repeats: i64) -> Anything<()> {
    let client = connect(server).await?;
    let mut seen = How::ALL.map(|how| (how, Vec::new()));
    for _ in 0..repeats {
        for (how, seen) in &mut seen {
            seen.push(once(server, &client, *how, rows).await?);
        }
    }
    println!("order: {rows} rows, {} random secondary indexes, medians of {repeats}", size("INDEXES", 1));
    println!("{:<22}{:>10}{:>8}{:>12}{:>8}{:>10}", "how", "rows/s", "ratio", "WAL B/row", "HOT", "heap");
    let base = median_of(&seen[0].1, |seen| seen.seconds);
    for (how, seen) in &seen {
        let seconds = median_of(seen, |seen| seen.seconds);
        let hot = seen
            .iter()
            .find_map(|seen| seen.hot_percent)
            .map_or("0 %".to_owned(), |hot| format!("{hot:.0} %"));
        println!(
            "{:<22}{:>10.0}{:>7.2}×{:>12.0}{hot:>8}{:>9.2}×",
            how.name(),
            rows as f64 / seconds,
            base / seconds,
            median_of(seen, |seen| seen.wal_bytes_per_row),
            median_of(seen, |seen| seen.heap)
        );
    }
    Ok(())
}

fn median_of(seen: &[Seen], value: fn(&Seen) -> f64) -> f64 {
    median(&mut seen.iter().map(value).collect::<Vec<_>>())
}

async fn once(server: &Server, client: &Client, how: How, rows: i64) -> Anything<Seen> {
    orders(client, rows, 1).await?;
    for column in ["created_at", "total"].iter().take(usize::try_from(size("INDEXES", 1) - 1).unwrap_or(0)) {
        // As random as the first, whatever the column: the hash decides where an entry goes.
        client
            .batch_execute(&format!(
                "CREATE INDEX ON orders (hashint8(id * 31 + {}), {column})",
                column.len()
            ))
            .await?;
    }
    if size("INDEXES", 1) == 0 {
        client.batch_execute("DROP INDEX orders_customer_id_idx").await?;
    }
    client.batch_execute("CHECKPOINT").await?;
    let heap_before = number(client, "SELECT pg_relation_size('orders')").await?;
    client.batch_execute("SELECT set_config('bench.lsn', pg_current_wal_insert_lsn()::text, false)").await?;
    let seconds = how.go(server, client).await?;
    let wal =
        number(client, "SELECT (pg_current_wal_insert_lsn() - current_setting('bench.lsn')::pg_lsn)::bigint")
            .await?;
    let heap = number(client, "SELECT pg_relation_size('orders')").await?;
    let hot_percent = match how {
        How::OneUpdate => None,
        _ => Some(
            number(client, "SELECT (100 * sum(rows_hot) / sum(rows_changed))::bigint FROM pgbackfill.range")
                .await?,
        ),
    };
    Ok(Seen { seconds, wal_bytes_per_row: wal / rows as f64, heap: heap / heap_before, hot_percent })
}

async fn number(client: &Client, sql: &str) -> Anything<f64> {
    Ok(client.query_one(sql, &[]).await?.get::<_, i64>(0) as f64)
}
