//! The command line as scripts and people meet it: exit codes, messages, and what a reader that goes away
//! changes.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Database, Pgbackfill, database, shared_server};

const ROWS: i64 = 20_000;

/// A job on the table `t`, without a file; its name is `t_n`.
const JOB: [&str; 7] = ["run", "--table", "t", "--set", "n = n + 1", "--mode", "full"];

async fn table() -> Database {
    let db = database().await;
    let make = format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
         INSERT INTO t SELECT generate_series(1, {ROWS}); ANALYZE t"
    );
    db.client().await.batch_execute(&make).await.unwrap();
    db
}

fn call<'a>(db: &Database, args: impl IntoIterator<Item = &'a str>) -> Pgbackfill {
    Pgbackfill::new(args).on(db)
}

fn job<'a>(db: &Database, more: impl IntoIterator<Item = &'a str>) -> Pgbackfill {
    call(db, JOB.into_iter().chain(more))
}

/// A run that has begun and is left alone.
async fn begun() -> Database {
    let db = table().await;
    job(&db, ["--max-rows", "1"]).run().await.expect_code(3);
    db
}

async fn status(db: &Database) -> Value {
    let status = call(db, ["status", "t_n", "--output", "json"]).run().await.expect_code(0);
    serde_json::from_str(&status.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_output_nobody_reads_is_complete_all_the_same() {
    let db = table().await;
    job(&db, ["-vv"]).unread_stderr().unread_stdout().run().await.expect_code(0);
    db.until(&format!("SELECT count(*) = {ROWS} FROM t WHERE n = 1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_nobody_reads_does_not_stop_the_run() {
    let db = table().await;
    job(&db, ["--output", "json"]).unread_stdout().run().await.expect_code(0);
    job(&db, []).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_does_not_make_a_cancelled_run_look_complete() {
    let db = begun().await;
    call(&db, ["cancel", "t_n"]).unread_stdout().run().await.expect_code(0);
    call(&db, ["wait", "t_n"]).unread_stdout().run().await.expect_code(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_outlives_its_connection() {
    let db = begun().await;
    let mine = "application_name = 'pgbackfill' AND datname = current_database()";
    // The server takes its time to see that the run's are gone.
    db.until(&format!("NOT EXISTS (SELECT FROM pg_stat_activity WHERE {mine})")).await;
    let waiting = call(&db, ["wait", "t_n"]).spawn();
    // It has had its first look: a database that was never there is not waited for.
    let looked = format!(
        "EXISTS (SELECT FROM pg_stat_activity WHERE {mine} AND state = 'idle' AND query LIKE '%bad_row%')"
    );
    db.until(&looked).await;
    let kill = format!("SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}");
    let killed = db.client().await.query_one(&kill, &[]).await.unwrap();
    let pid: i32 = killed.get(0);
    db.until(&format!("EXISTS (SELECT FROM pg_stat_activity WHERE {mine} AND pid <> {pid})")).await;
    call(&db, ["cancel", "t_n"]).run().await.expect_code(0);
    assert_eq!(waiting.finish().await.expect_code(3).stdout.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_the_batch_and_exits_with_3() {
    let db = table().await;
    let running = job(&db, ["--max-rows-per-second", "2000"]).spawn();
    db.until_first_batch().await;
    running.signal(Signal::SIGTERM);
    let stopped = running.finish().await.expect_code(3);
    assert!(stopped.stderr.contains("finishing the batch in hand"), "{}", stopped.stderr);
    assert!(stopped.stdout.starts_with("stopped"), "{}", stopped.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_database_is_75_whoever_asks() {
    let gone = shared_server().connection_string("no_such_database");
    for args in [&JOB[..], &["status"], &["list"], &["pause", "t_n"], &["wait", "t_n"]] {
        let refused = Pgbackfill::new(args).env("DATABASE_URL", &gone).run().await.expect_code(75);
        assert!(refused.stderr.contains("no_such_database"), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_a_run_says_so_and_stays_untouched() {
    let db = database().await;
    let said = call(&db, ["status"]).run().await.expect_code(1).stderr;
    assert!(said.starts_with("error: nothing has been run in this database yet"), "{said}");
    db.until("to_regnamespace('pgbackfill') IS NULL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_schema_of_a_later_program_is_refused_by_every_command() {
    let db = begun().await;
    let later = "INSERT INTO pgbackfill.version (number, installed_by) VALUES (999, 'later')";
    db.client().await.batch_execute(later).await.unwrap();
    for args in [&JOB[..], &["status"], &["list"], &["cancel", "t_n"]] {
        let said = call(&db, args.iter().copied()).run().await.expect_code(1).stderr;
        assert!(said.contains("has version 999"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_steered_from_elsewhere_and_history_tells_who() {
    let db = begun().await;
    call(&db, ["pause", "t_n", "--reason", "peak hours"]).run().await.expect_code(0);
    assert_eq!(status(&db).await["state"], "paused");
    let again = call(&db, ["pause", "t_n"]).run().await.expect_code(1).stderr;
    assert!(again.contains("a run that is paused cannot be paused\nhint: "), "{again}");
    call(&db, ["resume", "jobs/t_n.toml"]).run().await.expect_code(0);
    call(&db, ["set", "t_n", "workers=3", "max-rows-per-second=1000"]).run().await.expect_code(0);
    let told = call(&db, ["history", "t_n"]).run().await.expect_code(0).stdout;
    let kinds: Vec<_> = told.lines().skip(1).filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(kinds, ["started", "paused", "running", "set"], "{told}");
    assert!(told.contains(": peak hours"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_job_names_the_nearest() {
    let db = begun().await;
    let said = call(&db, ["pause", "t_m"]).run().await.expect_code(1).stderr;
    assert!(said.contains("\nhint: did you mean \"t_n\"?"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_workers_than_a_server_has_connections_are_a_usage_error() {
    let db = table().await;
    let said = job(&db, ["--workers", "100000"]).run().await.expect_code(2).stderr;
    assert!(said.contains("`100000` is not between 1 and 64"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_json_says_where_it_was_and_the_last_one_how_it_ended_on_an_error_too() {
    let db = table().await;
    let lines = job(&db, ["--output", "json"]).run().await.expect_code(0).json();
    for line in &lines {
        assert!(line["at"].is_string() && line["database"].is_string() && line["run"] == 1, "{line}");
    }
    assert_eq!(lines.last().unwrap()["event"], "left");
    // The run is complete; one of another definition is in the way of it.
    let other = call(&db, ["run", "--table", "t", "--set", "n = n + 2", "--output", "json"]);
    let ended = other.run().await.expect_code(5);
    let last = ended.json().pop().unwrap();
    assert_eq!(last["event"], "failed");
    assert!(
        last["message"].as_str().unwrap().contains("is not the one that run 1 was started with"),
        "{last}"
    );
    assert!(last["database"].is_string() && last["at"].is_string(), "{last}");
}
