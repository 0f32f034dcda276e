//! The server with its standby, the table, and what runs on it.
//!
//! Must not know: what is measured.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pgbackfill::sandbox::Server;

use crate::application::{Application, Bins, TPCB_SCALE, Transactions};
use crate::arm::Arm;
use crate::backfill::{self, Backfill, Whole};
use crate::support::{Anything, connect, server};

pub(crate) struct Scene {
    server: Server,
    /// With all that it costs; dropped before its primary.
    standby: Server,
    pgbench: PathBuf,
    url: String,
    transactions: Transactions,
    rows: i64,
}

/// Another server on the same machine.
pub(crate) struct Neighbour {
    server: Server,
    pgbench: PathBuf,
}

impl Scene {
    pub(crate) async fn build(rows: i64) -> Anything<Self> {
        let mut primary = server("1GB", "8GB")?;
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
        let url = primary.connection_string("postgres");
        let transactions = Transactions::asked()?;
        match transactions.script() {
            Some(script) => std::fs::write(primary.dir().join("script.sql"), script)?,
            None => initialize(&pgbench, &url)?,
        }
        Ok(Self { server: primary, standby, pgbench, url, transactions, rows })
    }

    fn pgbench(&self) -> Application<'_> {
        Application {
            program: &self.pgbench,
            url: &self.url,
            dir: self.server.dir(),
            transactions: self.transactions,
            rows: self.rows,
        }
    }

    /// The application's own peak, in transactions a second.
    pub(crate) fn peak(&self) -> Anything<f64> {
        self.throughput(Duration::from_secs(5))?;
        self.throughput(Duration::from_secs(10))
    }

    pub(crate) fn throughput(&self, time: Duration) -> Anything<f64> {
        self.pgbench().throughput(time)
    }

    /// The application for a while.
    pub(crate) fn application(&self, tps: f64, time: Duration) -> Anything<Bins> {
        self.pgbench().at(tps, time)
    }

    pub(crate) fn start(&self, arm: Arm) -> Anything<Backfill> {
        self.start_job(&arm.job().ok_or("there is no backfill")?)
    }

    pub(crate) fn start_job(&self, job: &str) -> Anything<Backfill> {
        Backfill::start(self.server.dir(), &self.url, job)
    }

    /// One run to its end.
    pub(crate) fn run_once(&self, arm: Arm) -> Anything<Whole> {
        backfill::once(self.server.dir(), &self.url, &arm.job().ok_or("there is no backfill")?)
    }

    /// The next run is the first one of this database.
    pub(crate) fn forget_all_runs(&self) -> Anything<()> {
        self.execute(&["DROP SCHEMA IF EXISTS pgbackfill CASCADE"])
    }

    /// A server that another one shares the machine with.
    pub(crate) fn neighbour(&self) -> Anything<Neighbour> {
        let server = server("64MB", "8GB")?;
        initialize(&self.pgbench, &server.connection_string("postgres"))?;
        Ok(Neighbour { server, pgbench: self.pgbench.clone() })
    }

    /// Every arm begins with the same dead rows (none), the same distance to the next checkpoint, and a disk
    /// that has nothing left to write of the arm before: measured without, the application alone had a p99 of
    /// 148 ms after a fast arm.
    pub(crate) fn settle(&self) -> Anything<()> {
        self.execute(&["VACUUM orders", "CHECKPOINT"])?;
        execute(&self.standby, &["CHECKPOINT"])?;
        if !Command::new("sync").status()?.success() {
            return Err("sync failed".into());
        }
        Ok(())
    }

    fn execute(&self, statements: &[&str]) -> Anything<()> {
        execute(&self.server, statements)?;
        // The standby has all of it, too.
        let behind = "DO $$ BEGIN
             WHILE EXISTS (SELECT FROM pg_stat_replication WHERE replay_lsn < pg_current_wal_lsn()) LOOP
                 PERFORM pg_sleep(0.05), pg_stat_clear_snapshot();
             END LOOP;
         END $$";
        execute(&self.server, &[behind])
    }
}

fn execute(server: &Server, statements: &[&str]) -> Anything<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = connect(server, "postgres").await?;
        for statement in statements {
            client.batch_execute(statement).await?;
        }
        Ok(())
    })
}

impl Neighbour {
    /// Writes and syncs for so long, by four clients.
    pub(crate) fn disturb(&self, time: Duration) -> Anything<Child> {
        let mut command = Command::new(&self.pgbench);
        command.args(["-n", "-c", "4", "-b", "tpcb-like", "-T", &time.as_secs().to_string()]);
        command.arg(self.server.connection_string("postgres"));
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }
}

/// The tables of pgbench's own script.
fn initialize(pgbench: &Path, url: &str) -> Anything<()> {
    let output = Command::new(pgbench).args(["-i", "-q", "-s", &TPCB_SCALE.to_string(), url]).output()?;
    if !output.status.success() {
        return Err(format!("pgbench -i failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(())
}
