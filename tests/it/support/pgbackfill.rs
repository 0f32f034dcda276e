//! The binary as a child process: with a clean environment, a deadline, and signals.
//!
//! Must not know: what its subcommands do.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::{time, try_join};

use super::Database;

/// A child that needs longer is stuck; it is killed and the test fails.
const PATIENCE: Duration = Duration::from_secs(180);

/// A call of the binary, to be completed like a [`Command`].
pub(crate) struct Pgbackfill {
    command: Command,
}

impl Pgbackfill {
    /// With these arguments, and of the environment nothing but `PATH` and `PGBACKFILL_PG_BIN`.
    pub(crate) fn new<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        Self::of(OsStr::new(env!("CARGO_BIN_EXE_pgbackfill")), args)
    }

    /// Another version of the binary.
    pub(crate) fn of<A: AsRef<OsStr>>(program: &OsStr, args: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("HOME", "/nonexistent");
        for name in ["PATH", "PGBACKFILL_PG_BIN"] {
            command.envs(env::var_os(name).map(|value| (name, value)));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { command }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
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

    /// Its stdout is a pipe that nobody reads any more.
    pub(crate) fn unread_stdout(mut self) -> Self {
        self.command.stdout(unread());
        self
    }

    /// Its stderr is a pipe that nobody reads any more.
    pub(crate) fn unread_stderr(mut self) -> Self {
        self.command.stderr(unread());
        self
    }

    /// Somebody sits before it: what it reads and what it says on stderr go through this terminal.
    pub(crate) fn on_terminal(mut self, terminal: &OwnedFd) -> Self {
        let end = || Stdio::from(terminal.try_clone().unwrap());
        self.command.stdin(end()).stderr(end());
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
        let said = watch::Sender::new(Vec::new());
        Running { pid, said: said.subscribe(), output: tokio::spawn(output_of(child, said)) }
    }
}

/// The end of a pipe whose other end is closed.
fn unread() -> io::PipeWriter {
    io::pipe().unwrap().1
}

/// Reads both outputs to their ends; what it says on stdout can be seen meanwhile.
async fn output_of(mut child: Child, said: watch::Sender<Vec<u8>>) -> io::Result<Output> {
    // Unless they lead elsewhere.
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let out = async {
        let Some(mut stdout) = stdout else { return Ok(()) };
        let mut part = [0; 4096];
        loop {
            match stdout.read(&mut part).await? {
                0 => return Ok::<_, io::Error>(()),
                read => said.send_modify(|said| said.extend_from_slice(&part[..read])),
            }
        }
    };
    let err = async {
        let mut all = Vec::new();
        if let Some(mut stderr) = stderr {
            stderr.read_to_end(&mut all).await?;
        }
        Ok::<_, io::Error>(all)
    };
    let ((), stderr) = try_join!(out, err)?;
    let status = child.wait().await?;
    Ok(Output { status, stdout: said.borrow().clone(), stderr })
}

/// A child that runs; its output is read all the time, so that it never waits for us.
pub(crate) struct Running {
    pid: Pid,
    said: watch::Receiver<Vec<u8>>,
    output: JoinHandle<io::Result<Output>>,
}

impl Running {
    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Waits until it has told so many events of this kind.
    pub(crate) async fn until_said(&self, kind: &str, times: usize) {
        let told = format!("\"event\":\"{kind}\"");
        let mut said = self.said.clone();
        let enough = said.wait_for(|said| String::from_utf8_lossy(said).matches(&told).count() >= times);
        let enough = time::timeout(PATIENCE, enough).await.map(|told| told.is_ok());
        assert_eq!(enough, Ok(true), "it has not told {kind} {times} times");
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.output.is_finished()
    }

    /// Sends it a signal: SIGKILL, SIGTERM, SIGINT, ….
    pub(crate) fn signal(&self, signal: Signal) {
        assert!(self.signal_if_there(signal), "it ended before it could be sent {signal}");
    }

    /// False if it has ended already.
    pub(crate) fn signal_if_there(&self, signal: Signal) -> bool {
        if self.has_ended() {
            return false;
        }
        match signal::kill(self.pid, signal) {
            Ok(()) => true,
            Err(Errno::ESRCH) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends SIGKILL and waits for its end, which may have come before the signal.
    pub(crate) async fn kill(self) -> Finished {
        match signal::kill(self.pid, Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => self.finish().await,
            Err(error) => panic!("{error}"),
        }
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

    /// Its JSON lines.
    pub(crate) fn json(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// The JSON lines of one kind of event.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        self.json().into_iter().filter(|event| event["event"] == kind).collect()
    }

    /// The summary, its last event.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        let last = self.json().pop().unwrap_or_else(|| panic!("no event\nstderr:\n{}", self.stderr));
        assert_eq!(last["event"], "left");
        last
    }
}
