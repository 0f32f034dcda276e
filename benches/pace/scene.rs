//! The server with its standby, the table, and what runs on it.
//!
//! Must not know: what is measured.

use std::path::PathBuf;
use std::time::Duration;

use pgbackfill::sandbox::Server;

use crate::application::{Application, Bins, SCRIPT};
use crate::backfill::Backfill;
use crate::support::{Anything, connect, server};

pub(crate) struct Scene {
    server: Server,
    // A follower with all that it costs; dropped before its primary.
    _standby: Server,
    pgbench: PathBuf,
    url: String,
    rows: i64,
}

impl Scene {
    pub(crate) async fn build(rows: i64) -> Anything<Self> {
        let mut primary = server("1GB")?;
        let client = connect(&primary, "postgres").await?;
        // Vacuumed before each arm instead, so that autovacuum meets none of them by chance.
        let table = format!(
            "CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, total numeric(12, 2), note text,
                                  filled int NOT NULL DEFAULT 0, hits int NOT NULL DEFAULT 0) WITH (fillfactor = 80, autovacuum_enabled = off);
             INSERT INTO orders (id, customer_id, total, note)
             SELECT i, i * 7919 % 100000, i % 100000 / 100.0, repeat('x', 60) FROM generate_series(1, {rows}::bigint) AS i;
             CREATE INDEX ON orders (customer_id)"
        );
        client.batch_execute(&table).await?;
        client.batch_execute("VACUUM ANALYZE orders").await?;
        client.batch_execute("CHECKPOINT").await?;
        drop(client);
        let standby = primary.standby("follower")?;
        let pgbench = primary.program("pgbench");
        if !pgbench.exists() {
            return Err(
                format!("there is no pgbench beside the server's programs: {}", pgbench.display()).into()
            );
        }
        std::fs::write(primary.dir().join("script.sql"), SCRIPT)?;
        let url = primary.connection_string("postgres");
        Ok(Self { server: primary, _standby: standby, pgbench, url, rows })
    }

    fn pgbench(&self) -> Application<'_> {
        Application { program: &self.pgbench, url: &self.url, dir: self.server.dir(), rows: self.rows }
    }

    /// The application's own peak, in transactions a second.
    pub(crate) fn peak(&self) -> Anything<f64> {
        self.throughput(Duration::from_secs(5))?;
        self.throughput(Duration::from_secs(10))
    }

    pub(crate) fn throughput(&self, time: Duration) -> Anything<f64> {
        self.pgbench().throughput(time)
    }

    /// The application for a while; without transactions there is none.
    pub(crate) fn application(&self, tps: Option<f64>, time: Duration) -> Anything<Bins> {
        if let Some(tps) = tps {
            return self.pgbench().at(tps, time);
        }
        std::thread::sleep(time);
        Ok(Bins::default())
    }

    pub(crate) fn start(&self, job: &str) -> Anything<Backfill> {
        Backfill::start(self.server.dir(), &self.url, job)
    }

    /// Every arm begins with the same dead rows (none) and the same distance to the next checkpoint.
    pub(crate) fn settle(&self) -> Anything<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = connect(&self.server, "postgres").await?;
            client.batch_execute("VACUUM orders").await?;
            client.batch_execute("CHECKPOINT").await?;
            Ok(())
        })
    }
}
