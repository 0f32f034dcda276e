//! A throwaway server: where it is, how to stop it, how to start it again after a crash.
//!
//! Must not know: how it was set up.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::account::Account;
use super::builder::on_a_free_port;
use super::home::Home;
use super::postmaster::{Launch, Postmaster};
use super::wait;
use super::watchman::Watchman;
use super::{Binaries, Builder, SandboxError};

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

/// A running or stopped throwaway server. Dropping it stops it at once and removes its directory; so does the end of
/// this process, whatever its cause.
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
    /// A server of these programs, with PostgreSQL's own settings until told otherwise.
    #[must_use]
    pub fn builder(binaries: Binaries) -> Builder {
        Builder::new(binaries)
    }

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

    /// Starts a server again on its data and its port, after stopping it (fast) if it is up. Returns when it has
    /// recovered and takes connections.
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

    /// A hot standby that follows this server under this `application_name`, on a copy of its data as it is now. This server is
    /// restarted for that; the standby has the same settings.
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

#[cfg(test)]
mod tests {
    use std::env;

    use tokio_postgres::{Client, NoTls};

    use super::super::{Fsync, Search};
    use super::*;

    fn binaries() -> Binaries {
        let named = env::var_os("PGBACKFILL_PG_BIN");
        let from_setup = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(".pg")];
        let search = Search { extra_dirs: from_setup, path: env::var_os("PATH"), ..Search::default() };
        Binaries::find(&named.map_or(search, Search::only)).unwrap()
    }

    fn server() -> Server {
        Server::builder(binaries()).within(env::temp_dir()).fsync(Fsync::Off).start().unwrap()
    }

    async fn connect(url: &str) -> Client {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn answer(url: &str, question: &str) -> String {
        connect(url).await.query_one(question, &[]).await.unwrap().get(0)
    }

    #[tokio::test]
    async fn a_started_server_answers_on_its_socket_and_on_tcp_with_its_settings() {
        let server = Server::builder(binaries()).setting("work_mem", "5MB").start().unwrap();
        for url in [server.connection_string("postgres"), server.tcp_connection_string("postgres")] {
            assert_eq!(answer(&url, "SELECT current_setting('work_mem')").await, "5MB");
        }
    }

    #[tokio::test]
    async fn a_killed_server_comes_back_with_what_was_committed() {
        let mut server = server();
        let url = server.connection_string("postgres");
        let client = connect(&url).await;
        client.batch_execute("CREATE TABLE t AS SELECT 'here' AS word").await.unwrap();
        server.stop(StopMode::Kill9).unwrap();
        assert_eq!(server.pid(), None);
        server.restart().unwrap();
        assert_eq!(answer(&url, "SELECT word FROM t").await, "here");
    }

    #[tokio::test]
    async fn a_restart_waits_for_the_busy_backends_of_the_killed_server() {
        let mut server = server();
        let url = server.connection_string("postgres");
        let client = connect(&url).await;
        // Pure computation: such a backend does not look whether its postmaster still lives.
        let busy = "SELECT 'busy', count(*) FROM generate_series(1, 5000000)";
        let lost = tokio::spawn(async move { client.batch_execute(busy).await });
        let seen = "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_activity \
                    WHERE state = 'active' AND query LIKE 'SELECT ''busy''%') \
                    LOOP PERFORM pg_stat_clear_snapshot(); END LOOP; END $$";
        connect(&url).await.batch_execute(seen).await.unwrap();
        server.stop(StopMode::Kill9).unwrap();
        server.restart().unwrap();
        assert_eq!(answer(&url, "SELECT 'up again'").await, "up again");
        drop(lost);
    }

    #[tokio::test]
    async fn a_standby_follows_its_primary_under_its_name() {
        let mut primary = server();
        let standby = primary.standby("r1").unwrap();
        let client = connect(&primary.connection_string("postgres")).await;
        client.batch_execute("CREATE TABLE t AS SELECT 'here' AS word").await.unwrap();
        let caught_up = "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_replication \
                         WHERE application_name = 'r1' AND replay_lsn >= pg_current_wal_lsn()) \
                         LOOP PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$";
        client.batch_execute(caught_up).await.unwrap();
        assert_eq!(answer(&standby.connection_string("postgres"), "SELECT word FROM t").await, "here");
    }

    #[test]
    fn a_dropped_server_leaves_neither_process_nor_directory() {
        let server = server();
        let (pid, dir) = (server.pid().unwrap(), server.dir().to_path_buf());
        drop(server);
        assert!(!dir.exists());
        assert!(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), None).is_err());
    }

    #[tokio::test]
    async fn a_kept_server_stays_up() {
        let server = server();
        let url = server.connection_string("postgres");
        let kept = server.keep();
        assert_eq!(answer(&url, "SELECT 'up'").await, "up");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(kept.pid.unwrap().cast_signed()), Signal::SIGQUIT)
            .unwrap();
        kept.dirs.iter().for_each(|dir| std::fs::remove_dir_all(dir).unwrap());
    }

    #[test]
    fn a_server_that_cannot_start_says_why_and_leaves_nothing() {
        let parent = tempfile::tempdir_in("/tmp").unwrap();
        // The server may be lent another user, who has to get through.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(parent.path(), open).unwrap();
        let refused = Server::builder(binaries()).within(parent.path()).setting("nonsense", "1").start();
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("unrecognized configuration parameter \"nonsense\""), "{message}");
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_stopped_server_cannot_be_stopped_again() {
        let mut server = server();
        server.stop(StopMode::Immediate).unwrap();
        assert!(matches!(server.stop(StopMode::Fast), Err(SandboxError::NotRunning)));
    }
}
