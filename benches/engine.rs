//! What the engine costs, each figure a ratio or a limit, measured on a throwaway server:
//!
//! - `overhead`: one worker against the same UPDATEs in the same order from a PL/pgSQL loop on the server;
//! - `first-batch`: from the call to the first committed batch, on 10 million sparse keys;
//! - `memory`: the peak of the process at 1 million and at 10 million rows.
//!
//! `cargo bench --bench engine -- overhead` runs one of them; `ROWS` and `PAIRS` in the environment change its size.

mod support;

use std::num::NonZeroU64;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pgbackfill::event::{self, Event};
use pgbackfill::sandbox::Server;
use support::{Anything, Part, backfill, connect, job, median, peak_mb, server, size, unheard};
use tokio_postgres::Client;

/// About what the default `batch_time` of 100 ms comes to on this table.
const BATCH: u32 = 10_000;

fn main() -> Anything<()> {
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|arg| arg == name);
    let server = server("2GB", "8GB")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if wanted("overhead") {
        runtime.block_on(overhead(&server, size("ROWS", 1_000_000), size("PAIRS", 5)))?;
    }
    if wanted("first-batch") {
        runtime.block_on(first_batch(&server, size("ROWS", 10_000_000)))?;
    }
    if wanted("memory") {
        for rows in [1_000_000, 10_000_000] {
            runtime.block_on(memory(&server, size("ROWS", rows)))?;
        }
    }
    Ok(())
}

const SET: &str = "set.status_v2 = \"CASE status WHEN 0 THEN 'new' WHEN 1 THEN 'paid' ELSE 'shipped' END\"\n";

/// The table of the design's measurements: full pages, one random secondary index.
async fn orders(client: &Client, rows: i64, spread: i64) -> Anything<()> {
    client
        .batch_execute(&format!(
            "DROP SCHEMA IF EXISTS pgbackfill CASCADE;
             DROP TABLE IF EXISTS orders;
             CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, status int, total numeric(12,2), note text,
                                  created_at timestamptz, status_v2 text);
             INSERT INTO orders SELECT i::bigint * {spread}, i::bigint * 7919 % 100000, i % 3, i % 100000 / 100.0, repeat('x', 60), now()
             FROM generate_series(1, {rows}) AS i;
             CREATE INDEX ON orders (customer_id)"
        ))
        .await?;
    client.batch_execute("VACUUM ANALYZE orders").await?;
    Ok(client.batch_execute("CHECKPOINT").await?)
}

/// The same UPDATEs in the same order, on the server, without a client in between.
const LOOP: &str = "
DO $$
DECLARE
    last bigint := (SELECT max(id) FROM orders);
    lo   bigint := 0;
BEGIN
    WHILE lo < last LOOP
        PERFORM set_config('synchronous_commit', 'off', true);
        UPDATE orders SET status_v2 = (CASE status WHEN 0 THEN 'new' WHEN 1 THEN 'paid' ELSE 'shipped' END)
        WHERE id > lo AND id <= lo + BATCH;
        COMMIT;
        lo := lo + BATCH;
    END LOOP;
END $$";

async fn overhead(server: &Server, rows: i64, pairs: i64) -> Anything<()> {
    let client = connect(server, "postgres").await?;
    let job = job(&format!(
        "{SET}[pace]\nmin_rows_per_batch = {BATCH}\nmax_rows_per_batch = {BATCH}\n[order]\nstripes = 1\nquiet = false\n"
    ))?;
    let mut ratios = Vec::new();
    println!(
        "overhead: {rows} rows, batches of {BATCH}, one worker; seconds of the loop, of the engine, ratio"
    );
    for pair in 0..pairs {
        // Which comes first changes from pair to pair, so that a drift of the machine favours neither.
        let (mut server_side, mut engine_side) = (0.0, 0.0);
        for turn in 0..2 {
            orders(&client, rows, 1).await?;
            if (pair + turn) % 2 == 0 {
                let began = Instant::now();
                client.batch_execute(&LOOP.replace("BATCH", &BATCH.to_string())).await?;
                server_side = began.elapsed().as_secs_f64();
            } else {
                engine_side =
                    backfill(server, "postgres", &job, Part::one_worker(), &unheard()).await?.as_secs_f64();
            }
        }
        println!("  {server_side:.2}  {engine_side:.2}  {:.3}", engine_side / server_side);
        ratios.push(engine_side / server_side);
    }
    println!("  median of {pairs}: {:.3} (at most 1.05)", median(&mut ratios));
    Ok(())
}

async fn first_batch(server: &Server, rows: i64) -> Anything<()> {
    let client = connect(server, "postgres").await?;
    orders(&client, rows, 1_000_003).await?;
    let mut all = Vec::new();
    for _ in 0..5 {
        client.batch_execute("DROP SCHEMA IF EXISTS pgbackfill CASCADE").await?;
        all.push(first_of(server).await?.as_secs_f64() * 1000.0);
    }
    println!(
        "first-batch: {rows} rows, ids multiplied by 1,000,003; milliseconds from the call, connecting and the control schema included"
    );
    println!("  {all:.1?}, median {:.1} (below 100)", median(&mut all.clone()));
    Ok(())
}

/// From the call to the first batch, and no more than that one.
async fn first_of(server: &Server) -> Anything<Duration> {
    let (sender, mut receiver) = event::channel("postgres");
    let (job, a_batch) = (job(SET)?, Part { max_rows: NonZeroU64::new(1), ..Part::default() });
    let began = Instant::now();
    let first = tokio::spawn(async move {
        while let Some(told) = receiver.recv().await {
            if matches!(told.event, Event::BatchCommitted { .. }) {
                return Some(began.elapsed());
            }
        }
        None
    });
    backfill(server, "postgres", &job, a_batch, &sender).await?;
    drop(sender);
    Ok(first.await?.ok_or("no batch was committed")?)
}

async fn memory(server: &Server, rows: i64) -> Anything<()> {
    let client = connect(server, "postgres").await?;
    orders(&client, rows, 1).await?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_pgbackfill"))
        .args(["run", "--table", "orders", "--set", "status_v2 = status::text", "--yes", "-q"])
        .env("DATABASE_URL", server.connection_string("postgres"))
        .stdout(Stdio::null())
        .spawn()?;
    let mut peak = 0.0;
    let ended = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        // It may have ended since.
        peak = peak_mb(child.id()).unwrap_or(peak);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    if !ended.success() {
        return Err(format!("pgbackfill run ended with {ended}").into());
    }
    println!("memory: {rows} rows, peak {peak:.1} MB (at most 40)");
    Ok(())
}
