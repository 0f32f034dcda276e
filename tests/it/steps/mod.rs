//! The steps before a run and after it: what `expand` and `contract` make, beside whom, and what they leave
//! where they cannot.
//!
//! Must not know: how a step is made.

mod constraints;
mod door;
mod end;
mod index;
mod kill;
mod kinds;
mod sync;

use tokio_postgres::Client;

use crate::support::{Database, Finished, JobFile, Pgbackfill, Running, database};

/// The job that all of these are about, before its steps.
const JOB: &str = "table = 'orders'\nset.status_v2 = 'upper(status)'\nwhere = 'status_v2 IS NULL'\n";
/// As it is from version 15 on: else nothing is kept in step.
const CLOSED: &str = "REVOKE CREATE ON SCHEMA public FROM PUBLIC";
const ORDERS: &str = "CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL DEFAULT 'new')";

/// The table with so many rows, and the job with these steps.
async fn orders(rows: i32, steps: &str) -> (Database, JobFile) {
    let db = database().await;
    let rows =
        format!("{CLOSED}; {ORDERS}; INSERT INTO orders SELECT generate_series(1, {rows}); ANALYZE orders");
    db.client().await.batch_execute(&rows).await.unwrap();
    (db, job(steps))
}

fn job(steps: &str) -> JobFile {
    JobFile::new(&format!("{JOB}{steps}"))
}

fn expand(db: &Database, job: &JobFile) -> Pgbackfill {
    Pgbackfill::new(["expand"]).arg(job.path()).on(db)
}

fn contract(db: &Database, job: &JobFile) -> Pgbackfill {
    Pgbackfill::new(["contract"]).arg(job.path()).on(db)
}

/// A column that was added, filled, and compared.
async fn filled(db: &Database, job: &JobFile) {
    expand(db, job).run().await.expect_code(0);
    job.run(db).run().await.expect_code(0);
    verify(db, job).run().await.expect_code(0);
}

fn verify(db: &Database, job: &JobFile) -> Pgbackfill {
    Pgbackfill::new(["verify", "--mode", "full"]).arg(job.path()).on(db)
}

/// The first step waits for somebody, whose name is in this.
async fn until_it_waits_for(db: &Database, whom: &str) {
    db.until(&format!("(SELECT waits_for LIKE '%{whom}%' FROM pgbackfill.step ORDER BY id DESC LIMIT 1)"))
        .await;
}

async fn ends(running: Running) -> Finished {
    running.finish().await
}

async fn version(client: &Client) -> i32 {
    client.query_one("SELECT current_setting('server_version_num')::int", &[]).await.unwrap().get(0)
}

/// The one text that this asks for; `none` for NULL.
async fn text(client: &Client, sql: &str) -> String {
    let row = client.query_one(&format!("SELECT coalesce(({sql})::text, 'none')"), &[]).await.unwrap();
    row.get(0)
}

/// What the catalog has of a table: columns, indexes, constraints.
async fn catalog(client: &Client, table: &str) -> String {
    let sql = format!(
        "SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
             SELECT format('column %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull) AS line
             FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped
             UNION ALL
             SELECT format('index %s %s', pg_get_indexdef(indexrelid), indisvalid)
             FROM pg_index WHERE indrelid = '{table}'::regclass
             UNION ALL
             SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid))
             FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype <> 'n'
         ) AS lines"
    );
    text(client, &sql).await
}
