//! What others do to the table while the run is on: it is blocked, and the reason says by what.
//!
//! Must not know: how a batch finds out.

use tempfile::TempDir;

use super::{anonymous, database_with, job_dir, role};
use crate::support::{COUNT_UP, Database, Pgbackfill, Running};

/// A run that is so slow that it has not ended whatever the test does, and has changed its first rows.
async fn slow_run(db: &Database, role: &str, toml: &str) -> (Running, TempDir) {
    let dir = job_dir(toml);
    let run = Pgbackfill::new(["run", "job.toml", "--max-rows-per-second", "200", "--workers", "1"]);
    let running = run.in_dir(&dir).env("DATABASE_URL", db.url_of(role)).spawn();
    db.until_first_batch().await;
    (running, dir)
}

/// Why the run is blocked after `ddl` was done under it; its process says the same and exits with 1.
async fn blocked_by(db: &Database, role: &str, toml: &str, ddl: &str) -> String {
    let (running, _dir) = slow_run(db, role, toml).await;
    db.client().await.batch_execute(ddl).await.unwrap();
    let said = running.finish().await.expect_code(1);
    let row = db.client().await.query_one("SELECT state, reason FROM pgbackfill.run", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "blocked");
    let reason: String = row.get(1);
    let first = reason.lines().next().unwrap();
    assert!(said.stdout.contains(first), "{first}\nis not what the process says:\n{}", said.stdout);
    // Which range it was depends on the speed of the machine.
    match reason.split_once(", range ") {
        Some((table, rest)) => {
            format!("{table}, range N{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => reason,
    }
}

const COUNTED: &str = "
CREATE TABLE t (id int PRIMARY KEY, name text, n int NOT NULL DEFAULT 0);
INSERT INTO t SELECT i, 'x' FROM generate_series(1, 5000) AS i";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_dropped_during_the_run_blocks_it() {
    let db = database_with(COUNTED).await;
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, "DROP TABLE t").await, @r#"
    relation "public.t" does not exist [SQLSTATE 42P01]
    hint: it was there when the run began: put it back and resume, or cancel the run
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_table_under_the_same_name_blocks_the_run_and_is_not_touched() {
    let db = database_with(COUNTED).await;
    let swap =
        "BEGIN; ALTER TABLE t RENAME TO t_old; CREATE TABLE t AS SELECT id, name, 0 AS n FROM t_old; COMMIT";
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, swap).await, @r#"table "public"."t" changed under the run: another table bears its name now: it was renamed, or dropped and created again"#);
    let touched = "SELECT count(*) FROM t WHERE n <> 0";
    assert_eq!(db.client().await.query_one(touched, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_order_of_the_keys_blocks_the_run() {
    let db = database_with(COUNTED).await;
    let retype = "ALTER TABLE t ALTER COLUMN id TYPE bigint";
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, retype).await, @r#"table "public"."t" changed under the run: the type or the collation of a key column changed, and with it the order of the keys"#);
    let db = database_with(
        "CREATE TABLE t (id text PRIMARY KEY, n int NOT NULL DEFAULT 0);
         INSERT INTO t SELECT 'k' || i FROM generate_series(1, 5000) AS i",
    )
    .await;
    let recollate = "ALTER TABLE t ALTER COLUMN id TYPE text COLLATE \"POSIX\"";
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, recollate).await, @r#"table "public"."t" changed under the run: the type or the collation of a key column changed, and with it the order of the keys"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_column_of_another_type_blocks_the_run_with_the_servers_words() {
    let db = database_with(COUNTED).await;
    let retype = "ALTER TABLE t ALTER COLUMN n DROP DEFAULT, ALTER COLUMN n TYPE text";
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, retype).await, @r#"
    "public"."t", range N: operator does not exist: text + integer [SQLSTATE 42883]
    hint: No operator matches the given name and argument types. You might need to add explicit type casts.
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_during_the_run_blocks_it() {
    let db = database_with(COUNTED).await;
    let rights = format!("GRANT SELECT, UPDATE ON t TO $role; GRANT CREATE ON DATABASE {} TO $role", db.name);
    let role = role(&db, &rights).await;
    let revoke = format!("REVOKE UPDATE ON t FROM {role}");
    insta::assert_snapshot!(anonymous(&db, &role, &blocked_by(&db, &role, COUNT_UP, &revoke).await), @r#""public"."t", range N: permission denied for table t [SQLSTATE 42501]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_security_switched_on_during_the_run_blocks_it() {
    let db = database_with(COUNTED).await;
    let rights = format!("GRANT SELECT, UPDATE ON t TO $role; GRANT CREATE ON DATABASE {} TO $role", db.name);
    let role = role(&db, &rights).await;
    let hide = "ALTER TABLE t ENABLE ROW LEVEL SECURITY";
    insta::assert_snapshot!(anonymous(&db, &role, &blocked_by(&db, &role, COUNT_UP, hide).await), @r#"table "public"."t" changed under the run: row security was switched on and hides rows from this role"#);
}
