//! The server that all tests share, and servers for tests that crash theirs.
//!
//! Must not know: databases.

use std::env;
use std::path::Path;
use std::sync::LazyLock;

use pgbackfill::sandbox::{Binaries, Builder, Fsync, Search, Server};

/// Never dropped, as no static is: the server's watchman sees the end of this process and cleans up.
static SHARED: LazyLock<Server> = LazyLock::new(|| {
    let server = builder().fsync(Fsync::Off).setting("max_connections", "200");
    server.setting("shared_buffers", "256MB").start().unwrap()
});

/// The server for everybody who leaves it as it was. `synchronous_commit` is on and `wal_level` is `replica`, both
/// PostgreSQL's own settings.
pub(crate) fn shared_server() -> &'static Server {
    &SHARED
}

/// A server of one's own, to be stopped, killed and restarted; gone when dropped.
pub(crate) fn own_server(fsync: Fsync) -> Server {
    builder().fsync(fsync).start().unwrap()
}

fn builder() -> Builder {
    let binaries = Binaries::find(&search()).unwrap_or_else(|error| panic!("{error}\nhint: make setup"));
    Server::builder(binaries).within(env::temp_dir())
}

fn search() -> Search {
    if let Some(dir) = env::var_os("PGBACKFILL_PG_BIN") {
        return Search::only(dir);
    }
    let from_setup = Path::new(env!("CARGO_MANIFEST_DIR")).join(".pg");
    Search { extra_dirs: vec![from_setup], path: env::var_os("PATH"), ..Search::default() }
}
