//! The binary as a child process: with a clean environment, a deadline, and signals.
//!
//! Must not know: what its subcommands do.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time;

use super::Database;

/// A child that needs longer is stuck; it is killed and the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A call of the binary, to be completed like a [`Command`].
pub(crate) struct Pgbackfill {
    command: Command,
}

impl Pgbackfill {
    /// With these arguments, and of the environment nothing but `PATH` and `PGBACKFILL_PG_BIN`.
    pub(crate) fn new<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgbackfill"));
        command.args(args).env_clear().env("HOME", "/nonexistent");
        for name in ["PATH", "PGBACKFILL_PG_BIN"] {
            command.envs(env::var_os(name).map(|value| (name, value)));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { command }
    }

    /// On this database, named as most people do it.
    pub(crate) fn on(self, database: &Database) -> Self {
        self.env("DATABASE_URL", database.url())
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// With this working directory, so that messages show short paths.
    pub(crate) fn in_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs it to its end.
    pub(crate) async fn run(self) -> Finished {
        self.spawn().finish().await
    }

    /// Starts it and goes on. It is killed if the test does not wait for it.
    pub(crate) fn spawn(mut self) -> Running {
        let child = self.command.spawn().unwrap();
        // A child that has not been waited for has a process id.
        let pid = Pid::from_raw(child.id().unwrap().cast_signed());
        Running { pid, output: tokio::spawn(child.wait_with_output()) }
    }
}

/// A child that runs; its output is read all the time, so that it never waits for us.
pub(crate) struct Running {
    pid: Pid,
    output: JoinHandle<io::Result<Output>>,
}

impl Running {
    /// Sends it a signal: SIGKILL, SIGTERM, SIGINT, ….
    pub(crate) fn signal(&self, signal: Signal) {
        assert!(!self.output.is_finished(), "it ended before it could be sent {signal}");
        signal::kill(self.pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn finish(mut self) -> Finished {
        let output = time::timeout(PATIENCE, &mut self.output).await;
        let output = output.unwrap_or_else(|_| panic!("pgbackfill did not end within {PATIENCE:?}"));
        Finished::from(output.unwrap().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The task owns the child, and `kill_on_drop` does the rest.
        self.output.abort();
    }
}

/// How it ended and what it said.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit code; none after a signal.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Finished {
    /// Fails with all that it said if the exit code is another one.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}
