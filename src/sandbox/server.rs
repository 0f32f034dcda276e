//! A throwaway server: where it is, how to stop it, how to start it again after a crash.
//!
//! Must not know: how it was set up.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::SandboxError;
use super::account::Account;
use super::home::Home;
use super::port::on_a_free_port;
use super::postmaster::{Launch, Postmaster};
use super::wait;
use super::watchman::Watchman;

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Transactions are rolled back, a checkpoint is written.
    Fast,
    /// Everything ends at once; the next start recovers from the WAL.
    Immediate,
    /// SIGKILL to the postmaster: what the kernel does when memory runs out. Its backends notice and end by
    /// themselves, a busy one only after its statement.
    Kill9,
}

impl StopMode {
    fn signal(self) -> Signal {
        match self {
            Self::Fast => Signal::SIGINT,
            Self::Immediate => Signal::SIGQUIT,
            Self::Kill9 => Signal::SIGKILL,
        }
    }
}

/// A running or stopped throwaway server. Dropping it stops it at once and removes its directory; so does the
/// end of this process, whatever its cause.
#[derive(Debug)]
pub struct Server {
    // Dropped in this order: the watchman must be dismissed before the directories go.
    watchman: Watchman,
    home: Home,
    launch: Launch,
    port: u16,
    postmaster: Option<Postmaster>,
}

/// What a server that was left running needs from now on: somebody who stops and deletes it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The postmaster, unless the server was stopped.
    pub pid: Option<u32>,
    /// To be deleted in the end.
    pub dirs: Vec<PathBuf>,
}

impl Server {
    pub(super) fn new(
        home: Home,
        watchman: Watchman,
        launch: Launch,
        port: u16,
        postmaster: Postmaster,
    ) -> Self {
        Self { watchman, home, launch, port, postmaster: Some(postmaster) }
    }

    /// The server's own directory, free for the caller's files too; it is removed with the server.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.home.dir()
    }

    /// Where a program of this name lies if it came with the server's own.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.launch.program.with_file_name(name)
    }

    /// Where the server writes its log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.home.log()
    }

    /// The TCP port on 127.0.0.1, also part of the socket's name. A restart keeps it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster's process id; none while the server is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.postmaster.as_ref().map(Postmaster::pid)
    }

    /// A URI for the superuser over the unix socket, without a password.
    #[must_use]
    pub fn connection_string(&self, database: &str) -> String {
        let sockets = self.home.sockets().to_string_lossy();
        self.uri(&utf8_percent_encode(&sockets, NON_ALPHANUMERIC).to_string(), database)
    }

    /// The same over TCP.
    #[must_use]
    pub fn tcp_connection_string(&self, database: &str) -> String {
        self.uri("127.0.0.1", database)
    }

    fn uri(&self, host: &str, database: &str) -> String {
        let database = utf8_percent_encode(database, NON_ALPHANUMERIC);
        format!("postgresql://postgres@{host}:{}/{database}", self.port)
    }

    /// Stops the server and waits for its end, at most 30 s.
    pub fn stop(&mut self, mode: StopMode) -> Result<(), SandboxError> {
        let postmaster = self.postmaster.as_mut().ok_or(SandboxError::NotRunning)?;
        postmaster.end(mode.signal())?;
        self.postmaster = None;
        self.watchman.rest();
        Ok(())
    }

    /// Starts a server again on its data and its port, after stopping it (fast) if it is up. Returns when it
    /// has recovered and takes connections.
    pub fn restart(&mut self) -> Result<(), SandboxError> {
        if self.postmaster.is_some() {
            self.stop(StopMode::Fast)?;
        }
        let mut last = None;
        let started = wait::until(wait::LIMIT, || {
            match self.launch.start(&self.home, self.port, &mut self.watchman) {
                Err(error) if error.remains_of_the_last() || error.port_taken() => {
                    last = Some(error);
                    Ok(None)
                }
                other => other.map(Some),
            }
        })?;
        // Without a server in the end, the last look had a reason.
        self.postmaster = Some(started.ok_or_else(|| last.unwrap_or(SandboxError::NotRunning))?);
        Ok(())
    }

    /// A hot standby that follows this server under this `application_name`, on a copy of its data as it is
    /// now. This server is restarted for that; the standby has the same settings.
    pub fn standby(&mut self, name: &str) -> Result<Self, SandboxError> {
        if self.postmaster.is_some() {
            self.stop(StopMode::Fast)?;
        }
        let account = self.launch.account;
        // The home lies in a directory of somebody's choice.
        let parent = self.home.dir().parent().unwrap_or_else(|| Path::new("/tmp"));
        let home = Home::create(parent, account)?;
        let mut watchman = Watchman::post(&home)?;
        copy(&self.home.data(), &home.data(), account, home.dir())?;
        let signal = home.data().join("standby.signal");
        std::fs::write(&signal, "").map_err(SandboxError::io("write", &signal))?;
        account.own(&signal)?;
        self.restart()?;
        let primary = format!("host=127.0.0.1 port={} user=postgres application_name={name}", self.port);
        let mut settings = self.launch.settings.clone();
        settings.push(("primary_conninfo".into(), primary));
        let launch = Launch { program: self.launch.program.clone(), settings, account };
        let (postmaster, port) = on_a_free_port(|port| launch.start(&home, port, &mut watchman))?;
        Ok(Self::new(home, watchman, launch, port, postmaster))
    }

    /// Leaves the server as it is, running or stopped, for as long as it likes.
    #[must_use]
    pub fn keep(mut self) -> Kept {
        self.home.leave();
        let pid = self.postmaster.take().map(|postmaster| postmaster.pid());
        Kept { pid, dirs: self.home.all() }
    }
}

fn copy(from: &Path, to: &Path, account: Account, dir: &Path) -> Result<(), SandboxError> {
    let program = Path::new("cp");
    let done = account.command(program, dir).arg("-a").arg(from).arg(to).status();
    let status = done.map_err(SandboxError::io("start", program))?;
    let failed = || std::io::Error::other(format!("cp ended with {status}"));
    if status.success() { Ok(()) } else { Err(SandboxError::io("copy", from)(failed())) }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take()
            && postmaster.end(Signal::SIGQUIT).is_err()
        {
            // There is nobody to tell in a drop, but nothing survives this one.
            let _ = postmaster.end(Signal::SIGKILL);
        }
    }
}
