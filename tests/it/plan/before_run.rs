//! What `run` shows before it begins, whom it asks, and what it does not stand in the way of.

use std::fs::File;
use std::io::{Read, Write};
use std::thread;

use nix::pty::openpty;

use super::{JOB, TABLE, execute, with_table};
use crate::support::{Database, JobFile, Pgbackfill, database};

/// A table with a warning: an index on the column that is set.
async fn with_warning() -> Database {
    let db = with_table().await;
    execute(&db, "CREATE INDEX by_a ON t (a)").await;
    db
}

const WARNING: &str = "warning[set-column-indexed]: index \"by_a\" uses a column that is set";

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_warnings_are_shown_and_the_run_goes_on() {
    let db = with_warning().await;
    let said = JobFile::new(JOB).run(&db).run().await.expect_code(0);
    assert!(said.stderr.starts_with(WARNING) && said.stderr.contains("\n  hint: "), "{}", said.stderr);
    assert!(!said.stderr.contains("note["), "{}", said.stderr);
    assert_eq!(said.summary()["outcome"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_shown_on_request() {
    let db = with_table().await;
    let job = JobFile::new(JOB);
    let quiet = job.run_with(&db, ["--max-rows", "1"]).run().await.expect_code(3);
    assert!(!quiet.stderr.contains("note["), "{}", quiet.stderr);
    let said = job.run_with(&db, ["--new-run", "-v"]).run().await.expect_code(0);
    assert!(said.stderr.contains("note[superuser]: "), "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_there_is_gone_on_with_unreviewed() {
    let db = with_warning().await;
    let job = JobFile::new(JOB);
    job.run_with(&db, ["--max-rows", "1"]).run().await.expect_code(3);
    let said = job.run(&db).run().await.expect_code(0);
    assert!(!said.stderr.contains("warning["), "{}", said.stderr);
    let again = job.run_with(&db, ["--new-run"]).run().await.expect_code(0);
    assert!(again.stderr.contains(WARNING), "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_keeps_the_run_from_beginning() {
    let db = database().await;
    let make = "
        CREATE TABLE t (id int PRIMARY KEY, a int, b int) PARTITION BY RANGE (id);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);
        INSERT INTO t SELECT i, i, i FROM generate_series(1, 9) AS i;
        CREATE PUBLICATION p FOR TABLE t;
        ALTER TABLE t1 REPLICA IDENTITY NOTHING";
    execute(&db, make).await;
    let said = JobFile::new(JOB).run_with(&db, ["--yes"]).run().await.expect_code(2);
    assert!(said.stderr.starts_with("error[no-replica-identity]: t1 is published (p)"), "{}", said.stderr);
    db.until("to_regnamespace('pgbackfill') IS NULL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_fails_is_a_warning() {
    let db = with_table().await;
    let slow =
        "CASE WHEN current_setting('statement_timeout') = '3s' THEN pg_sleep(60) IS NOT NULL ELSE true END";
    let said = JobFile::new(&format!("{JOB}where = \"{slow}\"")).run(&db).run().await.expect_code(0);
    assert!(
        said.stderr.starts_with("warning[incomplete]: the review is incomplete: a sample of the rows: "),
        "{}",
        said.stderr
    );
}

/// `run` on a terminal, where somebody has typed this: the exit code, and what the terminal shows.
async fn at_a_terminal(db: &Database, typed: &str, more: &[&str]) -> (Option<i32>, String) {
    let job = JobFile::new(JOB);
    let pty = openpty(None, None).unwrap();
    let mut master = File::from(pty.master);
    master.write_all(typed.as_bytes()).unwrap();
    // Read all the time, or whoever writes would have to wait; the end comes with the last who holds the
    // other side.
    let shown = thread::spawn(move || {
        let (mut all, mut part) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = master.read(&mut part) {
            all.extend(&part[..read]);
        }
        String::from_utf8_lossy(&all).into_owned()
    });
    let run = Pgbackfill::new(["run"]).arg(job.path()).args(more).on(db).on_terminal(&pty.slave);
    let finished = run.run().await;
    drop(pty.slave);
    (finished.code, shown.join().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sits_at_a_terminal_is_asked_after_warnings() {
    let db = with_warning().await;
    for no in ["n\n", "\n", "\u{4}"] {
        let (code, shown) = at_a_terminal(&db, no, &[]).await;
        assert!(
            code == Some(3) && shown.contains(WARNING) && shown.contains("Go on? [y/N] "),
            "{code:?} {shown}"
        );
    }
    db.until("to_regnamespace('pgbackfill') IS NULL").await;
    let (code, shown) = at_a_terminal(&db, "y\n", &[]).await;
    assert!(code == Some(0) && shown.contains("Go on? [y/N] "), "{code:?} {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_without_a_warning_or_with_yes() {
    let db = database().await;
    execute(&db, TABLE).await;
    let (code, shown) = at_a_terminal(&db, "", &[]).await;
    assert!(code == Some(0) && !shown.contains("Go on?"), "{code:?} {shown}");
    execute(&db, "CREATE INDEX by_a ON t (a)").await;
    let (code, shown) = at_a_terminal(&db, "", &["--yes", "--new-run"]).await;
    assert!(code == Some(0) && shown.contains(WARNING) && !shown.contains("Go on?"), "{code:?} {shown}");
}
