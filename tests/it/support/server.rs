//! The server that all tests share, and servers for tests that crash theirs.
//!
//! Must not know: databases.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::{env, fs};

use pgbackfill::sandbox::{Binaries, Builder, Fsync, Search, Server};
use tokio_postgres::Client;

/// Never dropped, as no static is: the server's watchman sees the end of this process and cleans up.
static SHARED: LazyLock<Server> = LazyLock::new(|| {
    let server = builder().fsync(Fsync::Off).setting("max_connections", "200");
    server.setting("shared_buffers", "256MB").start().unwrap()
});

/// The server for everybody who leaves it as it was. `synchronous_commit` is on and `wal_level` is `replica`,
/// both PostgreSQL's own settings.
pub(crate) fn shared_server() -> &'static Server {
    &SHARED
}

/// Like the shared one, never dropped.
static TROUBLED: LazyLock<Server> = LazyLock::new(|| {
    let server = builder().fsync(Fsync::Off).setting("autovacuum", "off").setting("wal_level", "logical");
    let server = server.setting("max_prepared_transactions", "10").setting("max_wal_size", "32MB");
    server.setting("autovacuum_freeze_max_age", "100000").start().unwrap()
});

/// The server for those who trouble a whole server: slots, standbys, old snapshots, old transaction ids.
pub(crate) fn troubled_server() -> &'static Server {
    &TROUBLED
}

/// A server of one's own, to be stopped, killed and restarted; gone when dropped.
pub(crate) fn own_server(fsync: Fsync) -> Server {
    builder().fsync(fsync).start().unwrap()
}

/// The same for that many connections, none of which has to outlive a crash, and nobody else at the tables:
/// autovacuum's locks would look like ours.
pub(crate) fn own_server_for(connections: u32) -> Server {
    let server = builder().fsync(Fsync::Off).setting("autovacuum", "off");
    server.setting("max_connections", connections.to_string()).start().unwrap()
}

/// The same with these settings, which no ALTER SYSTEM can change.
pub(crate) fn server_with(settings: &[(&str, &str)]) -> Server {
    let server = builder().fsync(Fsync::Off);
    settings.iter().fold(server, |server, (name, value)| server.setting(*name, *value)).start().unwrap()
}

/// From now on nobody follows this server.
pub(crate) async fn cut_off(primary: &Server, client: &Client) {
    let rules = primary.dir().join("data/pg_hba.conf");
    let reject = "host replication all 127.0.0.1/32 reject\n";
    fs::write(&rules, format!("{reject}{}", fs::read_to_string(&rules).unwrap())).unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_replication";
    // Who connects before the rules are read again is ended, too.
    while !client.query(end, &[]).await.unwrap().is_empty() {
        client.batch_execute("SELECT pg_sleep(0.1)").await.unwrap();
    }
}

/// Of a server of one's own, in the directory for what is temporary.
pub(crate) fn builder() -> Builder {
    Server::builder(binaries()).within(env::temp_dir())
}

fn binaries() -> Binaries {
    Binaries::find(&search()).unwrap_or_else(|error| panic!("{error}\nhint: make setup"))
}

/// `psql` and its major version: beside the server's programs, else in `PATH`; not every package has one.
pub(crate) fn psql() -> Option<(PathBuf, u32)> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(binaries().dir().to_path_buf()).chain(env::split_paths(&path));
    dirs.map(|dir| dir.join("psql")).find_map(|program| {
        let output = Command::new(&program).arg("--version").output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let major = said.split_whitespace().nth(2)?.split('.').next()?.parse().ok()?;
        Some((program, major))
    })
}

fn search() -> Search {
    if let Some(dir) = env::var_os("PGBACKFILL_PG_BIN") {
        return Search::only(dir);
    }
    let from_setup = Path::new(env!("CARGO_MANIFEST_DIR")).join(".pg");
    Search { extra_dirs: vec![from_setup], path: env::var_os("PATH"), ..Search::default() }
}
