//! What the benches stand on: a throwaway server with real settings, the table of the measurements, one run of a job.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pgbackfill::db::{ConnectParams, Pool};
use pgbackfill::engine::{self, Options, Stop, Which};
use pgbackfill::event::Event;
use pgbackfill::job::{Job, JobName};
use pgbackfill::sandbox::{Binaries, Fsync, Search, Server, SystemDirs};
use tokio::sync::{mpsc, watch};
use tokio_postgres::{Client, NoTls};

pub(crate) type Anything<T> = Result<T, Box<dyn std::error::Error>>;

pub(crate) fn size(variable: &str, default: i64) -> i64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub(crate) fn server() -> Anything<Server> {
    let search = match std::env::var_os("PGBACKFILL_PG_BIN") {
        Some(dir) => Search::only(PathBuf::from(dir)),
        None => Search { extra_dirs: vec![], system: SystemDirs::Look, path: std::env::var_os("PATH") },
    };
    let builder = Server::builder(Binaries::find(&search)?).fsync(Fsync::On);
    Ok(builder.setting("shared_buffers", "2GB").setting("max_wal_size", "8GB").start()?)
}

pub(crate) async fn connect(server: &Server) -> Anything<Client> {
    let (client, connection) = tokio_postgres::connect(&server.connection_string("postgres"), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The table of the design's measurements: full pages, one random secondary index.
pub(crate) async fn orders(client: &Client, rows: i64, spread: i64) -> Anything<()> {
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

pub(crate) fn job(pace: &str) -> Anything<Job> {
    let toml = format!(
        "table = 'orders'\nset.status_v2 = \"CASE status WHEN 0 THEN 'new' WHEN 1 THEN 'paid' ELSE 'shipped' END\"\n[pace]\n{pace}"
    );
    Ok(Job::from_toml(JobName::new("bench")?, "bench", &toml)?)
}

/// Runs the job; gives the time to the first committed batch and to the end.
pub(crate) async fn run(server: &Server, job: &Job, workers: u32) -> Anything<(Duration, Duration)> {
    let params = ConnectParams::resolve(&server.connection_string("postgres"), &|_| None)?;
    let pool = Pool::new(&params, 3)?;
    let options = Options {
        which: Which::Current,
        workers: NonZeroU32::new(workers),
        max_rows: None,
        turns: vec![],
        host: "bench".into(),
        by: "bench".into(),
    };
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (_keep, stop) = watch::channel(Stop::NotYet);
    drop(pool.session().await?);
    let began = Instant::now();
    let first = tokio::spawn(async move {
        let mut first = None;
        while let Some(event) = receiver.recv().await {
            if matches!(event, Event::BatchCommitted { .. }) {
                first.get_or_insert_with(|| began.elapsed());
            }
        }
        first
    });
    engine::run(&pool, job, &options, &sender, stop).await?;
    let whole = began.elapsed();
    drop(sender);
    Ok((first.await?.ok_or("no batch was committed")?, whole))
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
