//! One way watched: time, WAL, HOT updates, growth, and what the client used.
//!
//! Must not know: how figures are shown.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use pgbackfill::sandbox::Server;
use serde::Serialize;
use tokio_postgres::Client;

use crate::case::Case;
use crate::support::{Anything, connect, peak_mb};
use crate::table::Table;
use crate::way::Way;

/// The server tells its counters of updates with a delay; it is under a second.
const COUNTERS_WITHIN: Duration = Duration::from_secs(10);

/// What one repeat showed.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Seen {
    pub(crate) seconds: f64,
    pub(crate) wal_bytes_per_row: f64,
    pub(crate) hot_percent: Option<f64>,
    /// After, as a multiple of before.
    pub(crate) heap: f64,
    pub(crate) indexes: f64,
    /// CPU of this process, as a part of the wall time of one core.
    pub(crate) client_cpu_percent: f64,
    /// Peak of this process so far.
    pub(crate) client_memory_mb: f64,
}

/// A database with the table of one case, copied for each watch.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    template: String,
    case: Case,
    rows: i64,
}

const COPY: &str = "bench";

impl Scene {
    pub(crate) async fn build(server: &Server, case: Case, table: Table, rows: i64) -> Anything<Self> {
        let admin = connect(server, "postgres").await?;
        let template = format!("bench_of_{rows}_{}", table.key.name());
        admin.batch_execute(&format!("CREATE DATABASE {template}")).await?;
        let client = connect(server, &template).await?;
        client
            .batch_execute(&format!(
                "CREATE TABLE orders ({}, customer_id bigint, status int, total numeric(12,2), note text,
                                      created_at timestamptz, status_v2 text) {};
                 INSERT INTO orders
                 SELECT {}, i * 7919 % 100000, i % 3, i % 100000 / 100.0, repeat('x', 60), now()
                 FROM generate_series(1::bigint, {rows}) AS i",
                table.key.column(),
                case.storage(),
                table.key.value()
            ))
            .await?;
        for index in case.indexes() {
            client.batch_execute(&format!("CREATE INDEX ON orders {index}")).await?;
        }
        client.batch_execute("VACUUM ANALYZE orders").await?;
        drop(client);
        Ok(Self { template, case, rows })
    }

    pub(crate) fn rows(&self) -> i64 {
        self.rows
    }

    /// Runs `way` on a fresh copy of the table.
    pub(crate) async fn watch(&self, server: &Server, way: Way) -> Anything<Seen> {
        let client = self.copy(server).await?;
        let holder = if self.case == Case::OldSnapshot { Some(hold(server).await?) } else { None };
        let (heap, indexes) = sizes(&client).await?;
        let (wal, cpu, began) = (wal(&client).await?, cpu()?, Instant::now());
        way.go(server, &client, COPY, self.case).await?;
        let seconds = began.elapsed().as_secs_f64();
        let (wal_after, cpu_after) = (self::wal(&client).await?, self::cpu()?);
        let (heap_after, indexes_after) = sizes(&client).await?;
        drop(holder);
        self.prove(&client, way).await?;
        Ok(Seen {
            seconds,
            wal_bytes_per_row: (wal_after - wal) / self.rows as f64,
            hot_percent: if way.updates() { Some(hot(&client, self.rows).await?) } else { None },
            heap: heap_after / heap,
            indexes: indexes_after / indexes.max(1.0),
            client_cpu_percent: (cpu_after - cpu) / seconds * 100.0,
            client_memory_mb: peak_mb(std::process::id())?,
        })
    }

    /// In memory as it would be in production, and the log at the start of a checkpoint.
    async fn copy(&self, server: &Server) -> Anything<Client> {
        let admin = connect(server, "postgres").await?;
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {COPY} WITH (FORCE)")).await?;
        admin.batch_execute(&format!("CREATE DATABASE {COPY} TEMPLATE {}", self.template)).await?;
        let client = connect(server, COPY).await?;
        client.batch_execute("SET enable_indexonlyscan = off; SELECT count(note) FROM orders").await?;
        client
            .batch_execute("SET enable_seqscan = off; SELECT count(id) FROM orders WHERE id IS NOT NULL")
            .await?;
        client.batch_execute("RESET ALL").await?;
        client.batch_execute("CHECKPOINT").await?;
        Ok(client)
    }

    /// No figure of a way that did not do the work.
    async fn prove(&self, client: &Client, way: Way) -> Anything<()> {
        let sql = format!("SELECT count(*) FROM orders WHERE NOT ({})", self.case.done());
        let wrong: i64 = client.query_one(&sql, &[]).await?.get(0);
        if wrong > 0 {
            return Err(
                format!("{}: {wrong} of {} rows were not changed rightly", way.name(), self.rows).into()
            );
        }
        Ok(())
    }
}

/// A connection that keeps every dead row from being removed, as a forgotten transaction does.
async fn hold(server: &Server) -> Anything<Client> {
    let holder = connect(server, COPY).await?;
    holder
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM orders WHERE id = 1")
        .await?;
    Ok(holder)
}

async fn sizes(client: &Client) -> Anything<(f64, f64)> {
    let row = client.query_one("SELECT pg_relation_size('orders'), pg_indexes_size('orders')", &[]).await?;
    Ok((row.get::<_, i64>(0) as f64, row.get::<_, i64>(1) as f64))
}

async fn wal(client: &Client) -> Anything<f64> {
    let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

/// The share of HOT updates, once the server's counters have heard of all of them.
async fn hot(client: &Client, rows: i64) -> Anything<f64> {
    let began = Instant::now();
    loop {
        // A plain statement of its own: inside a transaction the counters would stand still.
        let sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'orders'";
        let row = client.query_one(sql, &[]).await?;
        let (updated, hot): (i64, i64) = (row.get(0), row.get(1));
        if updated >= rows {
            return Ok(100.0 * hot as f64 / updated as f64);
        }
        if began.elapsed() > COUNTERS_WITHIN {
            return Err(format!("the server counted {updated} of {rows} updates").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// CPU seconds of this process.
fn cpu() -> Anything<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
