//! What `plan` finds: each finding is provoked, and is not there where nothing provokes it. What `run` makes
//! of them.
//!
//! Must not know: how anything is found out.

mod before_run;
mod command;
mod expressions;
mod replication;
mod rights;
mod server;
mod table;
mod walsender;

use serde_json::Value;

use crate::support::{Database, JobFile, Pgbackfill, database, database_on, troubled_server};

/// A thousand rows; [`JOB`] changes all of them.
const TABLE: &str = "
CREATE TABLE t (id int PRIMARY KEY, a int, b int NOT NULL, c text);
INSERT INTO t SELECT i, i, i, 'c' FROM generate_series(1, 1000) AS i;
ANALYZE t";

/// Nineteen rows in two partitions, `t1` and `t2`.
const PARTITIONED: &str = "
CREATE TABLE t (id int PRIMARY KEY, a int, b int) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);
CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20);
INSERT INTO t SELECT i, i, i FROM generate_series(1, 19) AS i";

/// No facts.
const NONE: [&str; 0] = [];

const JOB: &str = "table = 't'\nset.a = 'b + 1'\n";

/// A database with [`TABLE`] in it.
async fn with_table() -> Database {
    let db = database().await;
    execute(&db, TABLE).await;
    db
}

/// [`TABLE`] on a server whose slots, standbys and prepared transactions disturb no other test.
async fn troubled() -> Database {
    let db = database_on(troubled_server()).await;
    execute(&db, TABLE).await;
    db
}

/// A database with [`PARTITIONED`] in it.
async fn partitioned() -> Database {
    let db = database().await;
    execute(&db, PARTITIONED).await;
    db
}

async fn execute(db: &Database, sql: &str) {
    db.client().await.batch_execute(sql).await.unwrap();
}

/// What `plan` says of a job, and its exit code.
async fn planned(url: &str, toml: &str) -> (Value, i32) {
    let job = JobFile::new(toml);
    let plan = Pgbackfill::new(["plan", "--output", "json"]).arg(job.path()).env("DATABASE_URL", url);
    let said = plan.run().await;
    let Some(code @ (0 | 2)) = said.code else { panic!("{said:?}") };
    let told = said.json().pop().unwrap_or_else(|| panic!("{said:?}"));
    (told, code)
}

/// The facts of the findings with this code, for [`JOB`].
async fn facts(db: &Database, code: &str) -> Vec<String> {
    facts_of(db, JOB, code).await
}

async fn facts_of(db: &Database, toml: &str, code: &str) -> Vec<String> {
    facts_as(db.url(), toml, code).await
}

async fn facts_as(url: &str, toml: &str, code: &str) -> Vec<String> {
    let (told, exit) = planned(url, toml).await;
    let all = told["findings"].as_array().unwrap();
    let has_error = all.iter().any(|finding| finding["severity"] == "error");
    assert_eq!(has_error, exit == 2, "{told}");
    let found = all.iter().filter(|finding| finding["code"] == code);
    found.map(|finding| finding["fact"].as_str().unwrap().to_owned()).collect()
}

/// Nothing of this code is found, then `sql` provokes it: the facts.
async fn provoked(db: &Database, sql: &str, code: &str) -> Vec<String> {
    assert_eq!(facts(db, code).await, [] as [String; 0], "unprovoked");
    execute(db, sql).await;
    facts(db, code).await
}
