//! Every bad input gets a message that a stranger can act on, the right exit code, and changes nothing.
//!
//! The messages are written out, because they are what a person sees at three in the morning. Must not know:
//! how a fault is found.

mod database;
mod job;
mod meanwhile;
mod table;

use std::fs;

use tempfile::TempDir;

use crate::support::{Database, Pgbackfill, database};

const ORDERS: &str = "
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    status int,
    total numeric,
    status_v2 text,
    total_cents bigint GENERATED ALWAYS AS (total * 100) STORED,
    number int GENERATED ALWAYS AS IDENTITY
);
INSERT INTO orders (id, status, total) VALUES (1, 0, 9.99), (2, 1, 5), (3, 2, 0)";

/// A job that fits [`ORDERS`].
const GOOD: &str = "table = 'orders'\nset.status_v2 = 'upper(status::text)'\n";

/// A database with these objects in it.
async fn database_with(sql: &str) -> Database {
    let db = database().await;
    db.client().await.batch_execute(sql).await.unwrap();
    db
}

/// A directory with the job in `job.toml`.
fn job_dir(toml: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("job.toml"), toml).unwrap();
    dir
}

/// Every object in the database that is not PostgreSQL's own, every row of every table, and where it lies.
pub(crate) async fn world(db: &Database) -> Vec<String> {
    let client = db.client().await;
    let objects = "
        SELECT c.oid::regclass::text, c.relkind = 'r', concat_ws(' ', c.oid::regclass, c.relkind, c.relfilenode)
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        ORDER BY c.oid";
    let mut world = Vec::new();
    for row in client.query(objects, &[]).await.unwrap() {
        world.push(row.get(2));
        if row.get(1) {
            let name: String = row.get(0);
            let rows = format!("SELECT ctid::text || t::text FROM ONLY {name} AS t ORDER BY ctid");
            world.extend(client.query(&rows, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)));
        }
    }
    world
}

/// What `pgbackfill run job.toml` says on stderr, after it has ended with this exit code and changed nothing.
async fn refused(db: &Database, toml: &str, code: i32) -> String {
    refused_as(db, "postgres", toml, code).await
}

/// The same as another role.
async fn refused_as(db: &Database, role: &str, toml: &str, code: i32) -> String {
    let (dir, before) = (job_dir(toml), world(db).await);
    let run = Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).env("DATABASE_URL", db.url_of(role));
    let said = run.run().await.expect_code(code);
    assert_eq!(said.stdout, "", "a refusal is no result");
    assert_eq!(world(db).await, before, "something was changed");
    anonymous(db, role, &said.stderr)
}

/// Without the names that are new in each run of the tests.
fn anonymous(db: &Database, role: &str, text: &str) -> String {
    let text = if role == "postgres" { text.to_owned() } else { text.replace(role, "app") };
    text.replace(&db.name, "shop").trim_end().to_owned()
}

/// A role of the test's own: roles belong to the server, which all tests share.
pub(crate) async fn role(db: &Database, rights: &str) -> String {
    let role = format!("app_of_{}", db.name);
    let sql = format!("CREATE ROLE {role} LOGIN; {}", rights.replace("$role", &role));
    db.client().await.batch_execute(&sql).await.unwrap();
    role
}
