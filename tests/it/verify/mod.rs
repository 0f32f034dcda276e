//! Verification: rows that differ are found and no others, and what was found is what contract and gates
//! build upon.
//!
//! Must not know: how rows are compared.

mod counts;
mod mismatch;
mod refuse;
mod writer;

use tokio_postgres::Client;

use crate::support::{Database, JobFile, Pgbackfill, database};

const JOB: &str = "table = 'orders'\nset.status_v2 = 'upper(status)'\nwhere = 'status_v2 IS NULL'\n";
const ORDERS: &str = "CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL, status_v2 text)";
const SYNC: &str = "[expand]\nsync.forward = true\n";
/// As it is from version 15 on: else nothing is kept in step.
const CLOSED: &str = "REVOKE CREATE ON SCHEMA public FROM PUBLIC";

/// The table with so many rows, filled by the job with these lines.
async fn filled(rows: i32, more: &str) -> (Database, JobFile, Client) {
    let db = database().await;
    let client = db.client().await;
    let fill = format!("INSERT INTO orders SELECT i, 'paid ' || i % 7 FROM generate_series(1, {rows}) AS i");
    client.batch_execute(&format!("{CLOSED}; {ORDERS}; {fill}; ANALYZE orders")).await.unwrap();
    let job = JobFile::new(&format!("{JOB}{more}"));
    if more.contains("[expand]") {
        Pgbackfill::new(["expand"]).arg(job.path()).on(&db).run().await.expect_code(0);
    }
    job.run(&db).run().await.expect_code(0);
    (db, job, client)
}

/// As fast as it can: what is looked at is what it finds.
fn verify(db: &Database, job: &JobFile) -> Pgbackfill {
    Pgbackfill::new(["verify", "--mode", "full"]).arg(job.path()).on(db)
}

fn repair(db: &Database, job: &JobFile) -> Pgbackfill {
    verify(db, job).args(["--repair", "--yes"])
}

/// Changes rows past every trigger.
async fn behind_its_back(client: &Client, sql: &str) {
    let sql = format!("BEGIN; SET LOCAL session_replication_role = replica; {sql}; COMMIT");
    client.batch_execute(&sql).await.unwrap();
}

/// One number of the latest verification.
async fn found(client: &Client, column: &str) -> i64 {
    let sql = format!("SELECT {column} FROM pgbackfill.verification ORDER BY run DESC LIMIT 1");
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

/// The keys of the rows that the latest verification has found, and in what they differ.
async fn wrong(client: &Client) -> Vec<(String, String)> {
    let sql = "SELECT array_to_string(key, ','), what FROM pgbackfill.suspect
               WHERE run = (SELECT max(run) FROM pgbackfill.verification) AND state = 'confirmed' ORDER BY leaf, key";
    client.query(sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}
