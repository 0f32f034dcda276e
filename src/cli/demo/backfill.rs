//! This program as a child process, on its own or killed half way.
//!
//! Must not know: what is proven with it.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// Between two looks at the child and its checkpoints: a few thousand rows.
const LOOK: Duration = Duration::from_millis(10);

/// How a part of the backfill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By our SIGKILL.
    Killed,
    /// By itself, with success.
    Done,
}

/// One process's part of the backfill.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) end: End,
    /// From the start of the process to its end.
    pub(super) seconds: f64,
}

/// The program, the job and the database.
pub(super) struct Backfill {
    program: PathBuf,
    job: PathBuf,
    url: String,
}

impl Backfill {
    pub(super) fn new(job: PathBuf, url: String) -> anyhow::Result<Self> {
        let program = env::current_exe().context("cannot find this program's own file")?;
        Ok(Self { program, job, url })
    }

    /// Starts the backfill and kills it as soon as its checkpoints say that so many rows are changed.
    pub(super) async fn run_and_kill(&self, client: &Client, rows: i64) -> anyhow::Result<Part> {
        let started = Instant::now();
        let mut running = self.start_run()?;
        let mut looks = looks();
        loop {
            if let Some(status) = running.ended()? {
                ensure!(status.success(), "pgbackfill run ended with {status} before it could be killed");
                return Ok(Part { end: End::Done, seconds: started.elapsed().as_secs_f64() });
            }
            if rows_changed(client).await? >= rows {
                running.kill()?;
                return Ok(Part { end: End::Killed, seconds: started.elapsed().as_secs_f64() });
            }
            looks.tick().await;
        }
    }

    /// Runs the backfill until it ends by itself.
    pub(super) async fn run_to_the_end(&self) -> anyhow::Result<Part> {
        let started = Instant::now();
        let status = self.start_run()?.end().await?;
        ensure!(status.success(), "pgbackfill run ended with {status}");
        Ok(Part { end: End::Done, seconds: started.elapsed().as_secs_f64() })
    }

    /// Shows the run's state as a user would ask for it.
    pub(super) async fn status(&self) -> anyhow::Result<()> {
        // Its exit code tells the state of the run, and an unfinished run is what we want to see.
        let name = self.job.file_stem().unwrap_or_default();
        self.start(&["status".as_ref(), name])?.end().await?;
        Ok(())
    }

    /// There is no application on a throwaway server.
    fn start_run(&self) -> anyhow::Result<Running> {
        self.start(&["run".as_ref(), self.job.as_os_str(), "--mode".as_ref(), "full".as_ref()])
    }

    fn start(&self, args: &[&OsStr]) -> anyhow::Result<Running> {
        let mut command = Command::new(&self.program);
        command.args(args).stdin(Stdio::null()).env("DATABASE_URL", &self.url);
        // Whatever else is set for another database does not concern this one.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        let child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        Ok(Running { child })
    }
}

/// A child that does not outlive us when we are interrupted.
struct Running {
    child: Child,
}

impl Running {
    fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    async fn end(&mut self) -> anyhow::Result<ExitStatus> {
        let mut looks = looks();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            looks.tick().await;
        }
    }

    /// SIGKILL: the process does not get to say a word.
    fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already on every way but an interrupted one, and then there is no one to tell.
        let _ = self.kill();
    }
}

fn looks() -> Interval {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// What the checkpoints say; 0 while the child has not made its schema yet.
async fn rows_changed(client: &Client) -> anyhow::Result<i64> {
    let question = "SELECT coalesce(sum(rows_changed), 0)::bigint FROM pgbackfill.range";
    match client.query_one(question, &[]).await {
        Ok(row) => Ok(row.get(0)),
        Err(error) if error.code().is_some_and(not_there_yet) => Ok(0),
        Err(error) => Err(error).context("cannot read how far the backfill is"),
    }
}

fn not_there_yet(code: &SqlState) -> bool {
    [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME].contains(code)
}
