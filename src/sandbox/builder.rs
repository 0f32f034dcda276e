//! From programs and settings to a running server.
//!
//! Must not know: what the server is for.

use std::path::PathBuf;

use super::account::Account;
use super::home::Home;
use super::port::on_a_free_port;
use super::postmaster::Launch;
use super::watchman::Watchman;
use super::{Binaries, SandboxError, Server};

/// Whether the server makes its files safe against a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// As in production.
    On,
    /// Faster; a killed server still recovers, because the operating system keeps its files.
    Off,
}

/// What is to be started; see [`Server::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    binaries: Binaries,
    parent: PathBuf,
    settings: Vec<(String, String)>,
}

impl Server {
    /// A server of these programs, with PostgreSQL's own settings until told otherwise.
    #[must_use]
    pub fn builder(binaries: Binaries) -> Builder {
        Builder::new(binaries)
    }
}

impl Builder {
    pub(super) fn new(binaries: Binaries) -> Self {
        Self { binaries, parent: PathBuf::from("/tmp"), settings: Vec::new() }
    }

    /// The directory in which the server's own is made, `/tmp` if not called. Root lends the server another
    /// user, who must be able to reach it.
    #[must_use]
    pub fn within(mut self, parent: impl Into<PathBuf>) -> Self {
        self.parent = parent.into();
        self
    }

    /// A setting as in `postgresql.conf`; a later one of the same name wins.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Sets `fsync`, which PostgreSQL has on.
    #[must_use]
    pub fn fsync(self, fsync: Fsync) -> Self {
        self.setting("fsync", if fsync == Fsync::On { "on" } else { "off" })
    }

    /// Makes the directory and the cluster (encoding UTF-8, locale C, superuser `postgres`, no passwords),
    /// starts the server and waits until it takes connections, at most 30 s.
    pub fn start(self) -> Result<Server, SandboxError> {
        let account = Account::choose()?;
        let parent = std::path::absolute(&self.parent).map_err(SandboxError::io("resolve", &self.parent))?;
        let home = Home::create(&parent, account)?;
        let mut watchman = Watchman::post(&home)?;
        initdb(&self.binaries, &home, account)?;
        let launch = Launch { program: self.binaries.postgres(), settings: self.settings, account };
        let (postmaster, port) = on_a_free_port(|port| launch.start(&home, port, &mut watchman))?;
        Ok(Server::new(home, watchman, launch, port, postmaster))
    }
}

fn initdb(binaries: &Binaries, home: &Home, account: Account) -> Result<(), SandboxError> {
    let program = binaries.initdb();
    let mut command = account.command(&program, home.dir());
    command.arg("-D").arg(home.data()).args(["--no-sync", "-A", "trust", "-U", "postgres"]);
    command.args(["--encoding=UTF8", "--locale=C"]);
    let done = command.output().map_err(SandboxError::io("start", &program))?;
    if done.status.success() {
        return Ok(());
    }
    let output = [done.stdout, done.stderr].concat();
    Err(SandboxError::Initdb { status: done.status, output: String::from_utf8_lossy(&output).into_owned() })
}
