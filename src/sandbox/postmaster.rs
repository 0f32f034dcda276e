//! One postmaster process: started, waited for, signalled, reaped.
//!
//! Must not know: ports that are taken, restarts, what the server is for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::SandboxError;
use super::account::Account;
use super::home::Home;
use super::wait;
use super::watchman::Watchman;

/// Of the server's log in an error.
const LOG_LINES: usize = 20;

/// Everything that stays the same when a server is started again, but for its home and its port.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) settings: Vec<(String, String)>,
    pub(super) account: Account,
}

impl Launch {
    /// Starts the server and waits until it takes connections. The watchman knows of it from its first
    /// moment.
    pub(super) fn start(
        &self,
        home: &Home,
        port: u16,
        watchman: &mut Watchman,
    ) -> Result<Postmaster, SandboxError> {
        let log_path = home.log();
        let log = OpenOptions::new().create(true).append(true).open(&log_path);
        let log = log.map_err(SandboxError::io("open", &log_path))?;
        let log_start = log.metadata().map_err(SandboxError::io("read", &log_path))?.len();
        let child = self.command(home, port, log).spawn();
        let mut postmaster = Postmaster { child: child.map_err(SandboxError::io("start", &self.program))? };
        watchman.watch(postmaster.pid());
        match postmaster.wait_until_ready(home) {
            Ok(()) => Ok(postmaster),
            Err(what) => {
                postmaster.abandon();
                watchman.rest();
                Err(SandboxError::NotReady { what, log: log_tail(&log_path, log_start) })
            }
        }
    }

    fn command(&self, home: &Home, port: u16, log: File) -> Command {
        let mut command = self.account.command(&self.program, home.dir());
        command.arg("-D").arg(home.data()).arg("-k").arg(home.sockets()).args(["-p", &port.to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1"]);
        for (name, value) in &self.settings {
            command.args(["-c", &format!("{name}={value}")]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(log));
        command
    }
}

/// A started server's first process.
#[derive(Debug)]
pub(super) struct Postmaster {
    child: Child,
}

impl Postmaster {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the signal and waits for the end.
    pub(super) fn end(&mut self, signal: Signal) -> Result<(), SandboxError> {
        self.signal(signal)?;
        let ended = wait::until(wait::LIMIT, || self.child.try_wait()).map_err(self.io("wait for"))?;
        match ended {
            Some(_) => Ok(()),
            None => Err(SandboxError::DidNotStop { pid: self.pid(), seconds: wait::LIMIT.as_secs() }),
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), SandboxError> {
        // A process id fits into an i32 wherever PostgreSQL runs; the child is ours and unreaped, so the id
        // is not anybody else's.
        let pid = Pid::from_raw(self.pid().cast_signed());
        match signal::kill(pid, signal) {
            // It ended on its own; the wait will see that.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(self.io("signal")(errno.into())),
        }
    }

    /// In words what went wrong.
    fn wait_until_ready(&mut self, home: &Home) -> Result<(), String> {
        let pid_file = home.data().join("postmaster.pid");
        let ready = wait::until(wait::LIMIT, || {
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                return Err(format!("ended with {status}"));
            }
            Ok(says_ready(&pid_file, self.pid()).then_some(()))
        })?;
        ready.ok_or_else(|| format!("was not ready after {:?}", wait::LIMIT))
    }

    fn abandon(mut self) {
        // It may have ended already, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn io(&self, act: &'static str) -> impl FnOnce(io::Error) -> SandboxError + use<> {
        SandboxError::io(act, Path::new(&format!("process {}", self.pid())))
    }
}

/// The eighth line of `postmaster.pid` is the postmaster's status. A file left by a killed predecessor names
/// another process on its first line and must not be believed.
fn says_ready(pid_file: &Path, pid: u32) -> bool {
    let text = fs::read_to_string(pid_file).unwrap_or_default();
    let mut lines = text.lines();
    lines.next() == Some(&pid.to_string()) && lines.nth(6).is_some_and(|status| status.trim() == "ready")
}

fn log_tail(path: &Path, start: u64) -> String {
    let text = read_from(path, start).unwrap_or_else(|error| format!("(the log cannot be read: {error})"));
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

fn read_from(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid_file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn only_this_postmasters_word_counts() {
        let file = pid_file("41\n/d\n1700000000\n5432\n/s\n127.0.0.1\n  1 2\nready   \n");
        assert!(says_ready(file.path(), 41));
        assert!(!says_ready(file.path(), 42));
    }

    #[test]
    fn a_starting_server_is_not_ready() {
        let file = pid_file("41\n/d\n1700000000\n5432\n/s\n127.0.0.1\n  1 2\nstarting\n");
        assert!(!says_ready(file.path(), 41));
        assert!(!says_ready(Path::new("/nonexistent"), 41));
    }

    #[test]
    fn an_errors_log_begins_with_this_start() {
        let file = pid_file("from the last start\nFATAL:  now\n");
        assert_eq!(log_tail(file.path(), 20), "FATAL:  now");
    }
}
