//! A run that goes on for as long as a test needs it, and what is asked of it.
//!
//! Must not know: what holds it back.

use pgbackfill::sandbox::Server;
use tokio_postgres::{Client, NoTls};

use crate::support::{Database, Finished, JobFile, Pgbackfill, Running, counted_table, server_with};

/// At the ceiling they last for 100 s.
pub(super) const ROWS: i64 = 30_000;

/// A job that counts up under a ceiling, with settings of `[guard]`.
pub(super) struct GuardedRun {
    pub(super) db: Database,
    pub(super) job: JobFile,
}

impl GuardedRun {
    /// In mode full: the stops hold there, too, and nothing else slows the run down.
    pub(super) async fn on(db: Database, guard: &str) -> Self {
        Self::new(db, "full", guard).await
    }

    pub(super) async fn in_auto(db: Database, guard: &str) -> Self {
        Self::new(db, "auto", guard).await
    }

    async fn new(db: Database, mode: &str, guard: &str) -> Self {
        counted_table(&db, ROWS).await;
        let pace = format!("[pace]\nmode = '{mode}'\nmax_rows_per_second = 300\n");
        let job = JobFile::new(&format!("table = 't'\nset.n = 'n + 1'\n{pace}[guard]\n{guard}"));
        Self { db, job }
    }

    pub(super) async fn sql(&self, sql: &str) {
        self.db.client().await.batch_execute(sql).await.unwrap();
    }

    /// A process that has committed its first batches.
    pub(super) async fn at_work(&self) -> Running {
        let process = self.job.run(&self.db).spawn();
        self.db.until_first_batch().await;
        process
    }

    /// The same for another role.
    pub(super) async fn at_work_as(&self, role: &str) -> Running {
        let process = self.job.run(&self.db).env("DATABASE_URL", self.db.url_of(role)).spawn();
        self.db.until_first_batch().await;
        process
    }

    /// Waits until the run is held back so, for a reason like this, and `status` says so, too.
    pub(super) async fn until_held(&self, hold: &str, like: &str) {
        let condition = format!(
            "EXISTS (SELECT FROM pgbackfill.process WHERE hold = '{hold}' AND waiting LIKE '{like}' AND waiting_since < clock_timestamp() - interval '1.5 s')"
        );
        self.db.until(&condition).await;
        let shown = Pgbackfill::new(["status", "job"]).on(&self.db).run().await.expect_code(0).stdout;
        assert!(shown.contains(hold), "{shown}");
    }

    /// The cause is gone: the run is no longer held back for it, and ends as it should; its events tell of
    /// both.
    pub(super) async fn goes_on(&self, process: Running, reason: &str) -> Finished {
        let free = format!(
            "NOT EXISTS (SELECT FROM pgbackfill.process WHERE waiting LIKE '%{reason}%' AND left_at IS NULL)"
        );
        self.db.until(&free).await;
        let ran = self.finishes(process).await;
        let held = ran.events("held");
        let told =
            |event: &serde_json::Value| event["reason"].as_str().is_some_and(|why| why.contains(reason));
        assert!(held.iter().any(told), "{held:?}");
        assert!(!ran.events("released").is_empty(), "nobody said that it goes on");
        ran
    }

    /// Without its ceiling the run ends at once, every row changed once.
    pub(super) async fn finishes(&self, process: Running) -> Finished {
        let set = ["set", "job", "max-rows-per-second=none", "mode=full"];
        Pgbackfill::new(set).on(&self.db).run().await.expect_code(0);
        let ran = process.finish().await.expect_code(0);
        self.db.assert_exact(ROWS).await;
        ran
    }
}

/// A server whose archiver has a command that a test sets.
pub(super) fn archiving_server() -> Server {
    server_with(&[("archive_mode", "on")])
}

/// A server that vacuums at once whatever asks for it.
pub(super) fn vacuuming_server() -> Server {
    server_with(&[("autovacuum_naptime", "1s")])
}

pub(super) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
