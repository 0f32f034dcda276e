//! `PgBouncer` in transaction mode in front of a server, with fewer connections to it than a run has of its
//! own.
//!
//! Must not know: what is sent through it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use nix::unistd::Uid;
use pgbackfill::sandbox::Server;
use tempfile::TempDir;

/// Longer than it ever takes to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Two workers and a heartbeat in each of several processes have to share these.
const CONNECTIONS: u32 = 4;

/// Ends with us, whatever ends us: the shell reads from a pipe whose other end only we hold.
const UNTIL_WE_END: &str = "\"$@\" & read -r _; kill -9 $!; wait";

/// Where packages put it; `/usr/sbin` is not in everybody's `PATH`.
const DIRS: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

/// A running `PgBouncer`, gone when dropped.
pub(crate) struct PgBouncer {
    program: PathBuf,
    dir: TempDir,
    port: u16,
    shell: Option<Child>,
}

impl PgBouncer {
    /// In front of this server; none if this machine has no `PgBouncer`.
    pub(crate) fn before(server: &Server) -> Option<Self> {
        let program = find()?;
        let dir = tempfile::tempdir().unwrap();
        // As root it runs as somebody else, who has to get through.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        // A connection that nobody uses goes soon, so that a test can see that nothing is left.
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} auth_user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_user = postgres\npool_mode = transaction\n\
             default_pool_size = {CONNECTIONS}\nmax_client_conn = 500\nserver_idle_timeout = 1\n",
            server.port()
        );
        fs::write(dir.path().join("pgbouncer.ini"), settings).unwrap();
        let mut bouncer = Self { program, dir, port, shell: None };
        bouncer.start();
        Some(bouncer)
    }

    /// For a database behind it.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// It goes with all its connections, and another one comes.
    pub(crate) fn replace(&mut self) {
        self.stop();
        self.start();
    }

    fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", UNTIL_WE_END, "pgbouncer"]).arg(&self.program);
        if Uid::effective().is_root() {
            command.args(["-u", "nobody"]);
        }
        command.arg(self.dir.path().join("pgbouncer.ini"));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        self.shell = Some(command.spawn().unwrap());
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "PgBouncer does not start:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn stop(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            drop(shell.stdin.take());
            shell.wait().unwrap();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn find() -> Option<PathBuf> {
    if let Some(named) = env::var_os("PGBACKFILL_PGBOUNCER") {
        return Some(named.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(DIRS.map(PathBuf::from));
    dirs.map(|dir| dir.join("pgbouncer")).find(|program| program.is_file())
}
