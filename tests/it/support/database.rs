//! A fresh database for each test.
//!
//! Must not know: what is put into it.

use std::env;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use pgbackfill::sandbox::Server;
use tokio::time;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, NoTls};

use super::{PgBouncer, Redirect, shared_server};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Each look costs a server that others use, too, about a millisecond.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Its value `pgbouncer` sends the binary through `PgBouncer` in every test.
const THROUGH: &str = "PGBACKFILL_TEST_THROUGH";

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// Drops databases beside the tests, so that none waits for the checkpoint that DROP DATABASE makes.
static DROPPER: LazyLock<Sender<Dropped>> = LazyLock::new(|| {
    let (sender, dropped) = mpsc::channel();
    thread::spawn(move || drop_all(&dropped));
    sender
});

struct Dropped {
    admin_url: String,
    name: String,
}

/// An empty database, dropped with everybody in it when this is dropped.
pub(crate) struct Database {
    pub(crate) name: String,
    url: String,
    direct_url: String,
    admin_url: String,
    bouncer: Option<PgBouncer>,
}

/// A new database on the shared server.
pub(crate) async fn database() -> Database {
    database_on(shared_server()).await
}

/// A new database on a server of one's own.
pub(crate) async fn database_on(server: &Server) -> Database {
    let db = create(server).await;
    if env::var_os(THROUGH).is_some_and(|through| through == "pgbouncer") {
        // Who asks for it has to have it.
        return db.behind(PgBouncer::before(server).expect("there is no pgbouncer"));
    }
    db
}

/// A new database on the shared server, and between the two and the binary a `PgBouncer`; none if this
/// machine has none.
pub(crate) async fn database_behind_pgbouncer() -> Option<Database> {
    database_behind_pgbouncer_on(shared_server()).await
}

/// The same on a server of one's own.
pub(crate) async fn database_behind_pgbouncer_on(server: &Server) -> Option<Database> {
    let bouncer = PgBouncer::before(server)?;
    Some(create(server).await.behind(bouncer))
}

async fn create(server: &Server) -> Database {
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let admin_url = server.connection_string("postgres");
    let create = format!("CREATE DATABASE {name}");
    connect(&admin_url).await.unwrap().batch_execute(&create).await.unwrap();
    let url = server.connection_string(&name);
    Database { name, direct_url: url.clone(), url, admin_url, bouncer: None }
}

impl Database {
    fn behind(mut self, bouncer: PgBouncer) -> Self {
        self.url = bouncer.url(&self.name);
        self.bouncer = Some(bouncer);
        self
    }

    /// Every connection goes through the redirect from now on.
    pub(crate) fn behind_redirect(mut self, redirect: &Redirect) -> Self {
        let (port, name) = (redirect.port, &self.name);
        self.direct_url = format!("postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=disable");
        self.url = self.direct_url.clone();
        self
    }

    pub(crate) fn is_behind_pgbouncer(&self) -> bool {
        self.bouncer.is_some()
    }

    /// Its `PgBouncer` goes with all its connections, and another one comes.
    pub(crate) fn replace_pgbouncer(&mut self) {
        self.bouncer.as_mut().expect("the database is behind PgBouncer").replace();
    }

    /// For `DATABASE_URL`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The server's own, whatever stands before it: for tests that quote what it says of itself.
    pub(crate) fn direct_url(&self) -> &str {
        &self.direct_url
    }

    /// The same as `url` for another role, which is to be made first.
    pub(crate) fn url_of(&self, role: &str) -> String {
        self.url.replacen("//postgres@", &format!("//{role}@"), 1)
    }

    /// A new connection, to the server itself.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.direct_url).await.unwrap()
    }

    /// Where new connections are made, for those who lose theirs.
    pub(crate) fn address(&self) -> Address {
        Address(self.direct_url.clone())
    }

    /// Waits until the condition, an SQL expression, is true; a table that does not exist yet makes it false.
    /// For what another process does, which can only be seen in the database.
    pub(crate) async fn until(&self, condition: &str) {
        until(&self.client().await, condition).await;
    }
}

/// The same over a connection that is there.
pub(crate) async fn until(client: &Client, condition: &str) {
    let question = format!("SELECT coalesce(({condition})::bool, false)");
    let answer = time::timeout(PATIENCE, async {
        let mut ticks = time::interval(LOOK_EVERY);
        while !holds(client, &question).await {
            ticks.tick().await;
        }
    });
    answer.await.unwrap_or_else(|_| panic!("after {PATIENCE:?} it is still not so that {condition}"));
}

/// Of a server that may be gone for a while.
#[derive(Clone)]
pub(crate) struct Address(String);

impl Address {
    /// To this database of a server, whatever stands before it.
    pub(crate) fn of(server: &Server, database: &str) -> Self {
        Self(server.connection_string(database))
    }

    pub(crate) async fn client(&self) -> Result<Client, Error> {
        connect(&self.0).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let dropped = Dropped { admin_url: self.admin_url.clone(), name: self.name.clone() };
        // That thread lives as long as the process.
        let _ = DROPPER.send(dropped);
    }
}

async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn holds(client: &Client, question: &str) -> bool {
    let not_yet = [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME, SqlState::UNDEFINED_COLUMN];
    match client.query_one(question, &[]).await {
        Ok(row) => row.get(0),
        Err(error) if error.code().is_some_and(|code| not_yet.contains(code)) => false,
        Err(error) => panic!("{question}: {error}"),
    }
}

fn drop_all(dropped: &mpsc::Receiver<Dropped>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for Dropped { admin_url, name } in dropped {
        runtime.block_on(async {
            // A server of one test's own may be gone already, and the database with it.
            if let Ok(client) = connect(&admin_url).await {
                let _ = client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
            }
        });
    }
}
