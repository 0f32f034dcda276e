//! `pgbackfill gate`: what a migration says first passes where a backfill is complete or has nothing to do,
//! and raises everywhere else. Then the same with the tools that run migrations.
//!
//! Must not know: what the snippet is made of.

mod tools;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::support::{Database, JobFile, Pgbackfill, database};

const JOB: &str = "table = 'orders'\nset.status_v2 = 'upper(status)'\nwhere = 'status_v2 IS NULL'\n";
const TABLE: &str =
    "CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL DEFAULT 'new', status_v2 text)";

/// What is printed for a tool.
async fn printed(job: &JobFile, tool: &str) -> String {
    Pgbackfill::new(["gate", "--for", tool]).arg(job.path()).run().await.expect_code(0).stdout
}

async fn orders(rows: i32) -> Database {
    let db = database().await;
    let rows = format!("{TABLE}; INSERT INTO orders SELECT generate_series(1, {rows})");
    db.client().await.batch_execute(&rows).await.unwrap();
    db
}

/// What it raises, and with which hint.
async fn raised(client: &Client, gate: &str) -> (String, String) {
    let error = client.batch_execute(gate).await.expect_err("it was to raise");
    let error = error.as_db_error().expect("it is the server's");
    let known = [SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, SqlState::INSUFFICIENT_PRIVILEGE];
    assert!(known.contains(error.code()), "{error:?}");
    (error.message().to_owned(), error.hint().unwrap_or_default().to_owned())
}

async fn state(client: &Client) -> String {
    client.query_one("SELECT pgbackfill.state('job')", &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_where_there_is_nothing_to_fill_and_asks_for_the_run_where_there_is() {
    let (db, job) = (orders(0).await, JobFile::new(JOB));
    let (client, gate) = (db.client().await, printed(&job, "sql").await);
    // As in the database of a test, which never heard of us.
    client.batch_execute(&gate).await.unwrap();
    client.batch_execute("INSERT INTO orders (id, status_v2) VALUES (1, 'NEW')").await.unwrap();
    client.batch_execute(&gate).await.unwrap();
    // As `plan` says that it may be prepared for us.
    client.batch_execute("CREATE SCHEMA pgbackfill").await.unwrap();
    client.batch_execute(&gate).await.unwrap();
    client.batch_execute("INSERT INTO orders (id) VALUES (2)").await.unwrap();
    let (message, hint) = raised(&client, &gate).await;
    assert_eq!(message, "backfill \"job\" has never been run in this database, and there are rows to fill");
    assert_eq!(hint, format!("run it first: pgbackfill run {}", job.path().display()));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_raises_until_the_run_is_complete_without_bad_rows_and_the_state_says_why() {
    let (db, job) =
        (orders(30).await, JobFile::new("table = 'orders'\nset.status_v2 = '(1 / (id % 10))::text'\n"));
    let (client, gate) = (db.client().await, printed(&job, "sql").await);
    job.run_with(&db, ["--max-rows", "1", "--max-rows-per-batch", "1"]).run().await.expect_code(3);
    assert_eq!(state(&client).await, "running");
    assert_eq!(raised(&client, &gate).await.0, "backfill \"job\" is not complete: run 1 is running");
    job.run(&db).run().await.expect_code(1);
    assert_eq!(state(&client).await, "blocked");
    job.run_with(&db, ["--max-bad-rows", "3"]).run().await.expect_code(4);
    assert_eq!(state(&client).await, "complete with bad rows");
    assert_eq!(raised(&client, &gate).await.0, "backfill \"job\" left 3 rows in the quarantine");
    client.batch_execute("DELETE FROM orders WHERE id % 10 = 0").await.unwrap();
    Pgbackfill::new(["retry"]).arg(job.path()).on(&db).run().await.expect_code(0);
    assert_eq!(state(&client).await, "complete");
    client.batch_execute(&gate).await.unwrap();
    let never: String = client.query_one("SELECT pgbackfill.state('jab')", &[]).await.unwrap().get(0);
    assert_eq!(never, "never run");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_job_that_was_run_here_says_nothing_of_this_one() {
    let (db, job) = (orders(3).await, JobFile::new(JOB));
    let client = db.client().await;
    job.run(&db).run().await.expect_code(0);
    let gate = printed(&job, "sql").await.replace("'job'", "'jab'");
    client.batch_execute(&gate).await.unwrap();
    client.batch_execute("UPDATE orders SET status_v2 = NULL").await.unwrap();
    assert!(raised(&client, &gate).await.0.ends_with("and there are rows to fill"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_ask_is_told_what_it_lacks() {
    let (db, job) = (orders(3).await, JobFile::new(JOB));
    let (admin, gate) = (db.client().await, printed(&job, "sql").await);
    job.run(&db).run().await.expect_code(0);
    let role = format!("migrates_{}", db.name);
    let make = format!("CREATE ROLE {role}; GRANT SELECT ON orders TO {role}");
    admin.batch_execute(&make).await.unwrap();
    let migrating = db.client().await;
    migrating.batch_execute(&format!("SET ROLE {role}")).await.unwrap();
    let (message, hint) = raised(&migrating, &gate).await;
    assert_eq!(message, format!("role {role} may not ask whether backfill \"job\" is complete"));
    // What it says is what helps.
    admin.batch_execute(&hint).await.unwrap();
    migrating.batch_execute(&gate).await.unwrap();
    drop(migrating);
    admin.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_never_waits() {
    let (db, job) = (orders(3).await, JobFile::new(JOB));
    let (client, gate) = (db.client().await, printed(&job, "sql").await);
    job.run(&db).run().await.expect_code(0);
    let other = db.client().await;
    let locks = "BEGIN; SELECT * FROM pgbackfill.run FOR UPDATE; LOCK orders IN SHARE ROW EXCLUSIVE MODE";
    other.batch_execute(locks).await.unwrap();
    client.batch_execute(&format!("SET lock_timeout = '1ms'; {gate}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_file_at_fault_is_shown_as_everywhere() {
    let job = JobFile::new("table = 'orders'\nset.a = '1'\nwhen = 'b'\n");
    let said = Pgbackfill::new(["gate"]).arg(job.path()).run().await.expect_code(2).stderr;
    assert!(said.contains("job.toml:3:1"), "{said}");
    let said = Pgbackfill::new(["gate", "nowhere.toml"]).run().await.expect_code(2).stderr;
    assert!(said.contains("cannot read nowhere.toml"), "{said}");
    let said = Pgbackfill::new(["gate", "--for", "rake"]).arg(job.path()).run().await.expect_code(2).stderr;
    assert!(said.contains("alembic, django, rails, flyway, liquibase"), "{said}");
}
