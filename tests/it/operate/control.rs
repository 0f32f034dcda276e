//! What a person asks of a run through the command line, and what the exit codes say.

use std::net::TcpListener;

use nix::sys::signal::Signal;

use crate::support::oracle::assert_nothing_left;
use crate::support::{
    COUNT_UP, Database, Finished, JobFile, PACED, Pgbackfill, Running, counted_table, database, machine,
};

const ROWS: i64 = 60_000;

async fn scene(toml: &str) -> (Database, JobFile) {
    let db = database().await;
    counted_table(&db, ROWS).await;
    (db, JobFile::new(toml))
}

/// A process that has committed its first batches.
async fn at_work(job: &JobFile, db: &Database) -> Running {
    let process = job.run(db).spawn();
    db.until_first_batch().await;
    process
}

async fn ask<const N: usize>(db: &Database, args: [&str; N]) -> Finished {
    Pgbackfill::new(args).on(db).run().await
}

async fn lift_the_ceiling(db: &Database) {
    ask(db, ["set", "job", "max-rows-per-second=none"]).await.expect_code(0);
}

async fn assert_exact(db: &Database) {
    db.assert_exact(ROWS).await;
}

/// Waits until the process has been heard this long after the latest event of this kind.
async fn heard_after(db: &Database, kind: &str, interval: &str) {
    db.until(&format!(
        "(SELECT max(last_seen) FROM pgbackfill.process)
         > (SELECT max(at) FROM pgbackfill.event WHERE kind = '{kind}') + interval '{interval}'"
    ))
    .await;
}

/// The ceiling in force, from the database.
async fn ceiling(db: &Database) -> Option<String> {
    let sql = "SELECT knobs ->> 'max_rows_per_s' FROM pgbackfill.run";
    db.client().await.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_set_outlives_restarts_until_the_file_is_rewritten() {
    let (db, job) = scene(COUNT_UP).await;
    let small = ["--max-rows", "10"];
    job.run_with(&db, ["--max-rows", "10", "--max-rows-per-second", "3000"]).run().await.expect_code(3);
    assert_eq!(ceiling(&db).await.as_deref(), Some("3000"), "a flag beside the file is a knob turned");
    ask(&db, ["set", "job", "max-rows-per-second=4000"]).await.expect_code(0);
    let kept = job.run_with(&db, small).run().await.expect_code(3);
    assert_eq!(ceiling(&db).await.as_deref(), Some("4000"));
    assert!(kept.stdout.contains("stays in force"), "{}", kept.stdout);
    let rewritten = JobFile::new(&format!("{COUNT_UP}pace.max_rows_per_second = 5000\n"));
    rewritten.run_with(&db, small).run().await.expect_code(3);
    assert_eq!(ceiling(&db).await.as_deref(), Some("5000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_takes_effect_within_a_second_and_resume_goes_on() {
    // The second is promised on a machine that others do not load.
    let _machine = machine::shared().await;
    // Of a batch when it began: one that has begun may end.
    let (db, job) = scene(&format!("{PACED}set.changed_at = 'now()'\n")).await;
    let client = db.client().await;
    client.batch_execute("ALTER TABLE t ADD COLUMN changed_at timestamptz").await.unwrap();
    let process = at_work(&job, &db).await;
    ask(&db, ["pause", "job", "--reason", "the shop is on fire"]).await.expect_code(0);
    heard_after(&db, "paused", "2 s").await;
    let late =
        "SELECT count(*) FROM t WHERE changed_at > (SELECT max(at) + interval '1 s' FROM pgbackfill.event)";
    assert_eq!(client.query_one(late, &[]).await.unwrap().get::<_, i64>(0), 0);
    let status = ask(&db, ["status", "job"]).await.expect_code(0).stdout;
    assert!(status.contains("paused by") && status.contains("the shop is on fire"), "{status}");
    ask(&db, ["resume", "job"]).await.expect_code(0);
    lift_the_ceiling(&db).await;
    let finished = process.finish().await.expect_code(0);
    let told: Vec<_> = finished.events("state_changed").iter().map(|event| event["state"].clone()).collect();
    assert!(told.starts_with(&["paused".into(), "running".into()]), "{told:?}");
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_comes_to_a_paused_run_waits_for_resume() {
    let (db, job) = scene(PACED).await;
    at_work(&job, &db).await.kill().await;
    ask(&db, ["pause", "job"]).await.expect_code(0);
    let process = job.run(&db).spawn();
    heard_after(&db, "paused", "1 s").await;
    let paused_at = db.rows_changed().await;
    heard_after(&db, "paused", "2 s").await;
    assert_eq!(db.rows_changed().await, paused_at, "it went on");
    ask(&db, ["resume", "job"]).await.expect_code(0);
    lift_the_ceiling(&db).await;
    process.finish().await.expect_code(0);
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_its_processes_and_goes_on_only_after_resume() {
    let (db, job) = scene(PACED).await;
    let process = at_work(&job, &db).await;
    ask(&db, ["cancel", "job", "--reason", "wrong week"]).await.expect_code(0);
    assert_eq!(process.finish().await.expect_code(3).summary()["outcome"], "cancelled");
    let refused = job.run(&db).run().await.expect_code(5).stderr;
    for part in ["wrong week", "pgbackfill resume job", "--new-run"] {
        assert!(refused.contains(part), "{part} is missing in: {refused}");
    }
    let resumed = ask(&db, ["resume", "job"]).await.expect_code(0).stdout;
    assert!(resumed.contains("no process is at work on it"), "{resumed}");
    job.run_with(&db, ["--max-rows-per-second", "none"]).run().await.expect_code(0);
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn knobs_turned_on_a_live_run_are_obeyed_told_and_audited() {
    let (db, job) = scene(PACED).await;
    let process = at_work(&job, &db).await;
    ask(&db, ["set", "job", "workers=3", "max-rows-per-second=3000", "batch-time=50ms"]).await.expect_code(0);
    db.until("(SELECT workers = 3 FROM pgbackfill.process)").await;
    db.until("(SELECT bool_or(hint_worker LIKE '%/2') FROM pgbackfill.range WHERE rows_passed > 0)").await;
    ask(&db, ["set", "job", "workers=1"]).await.expect_code(0);
    db.until("(SELECT workers = 1 FROM pgbackfill.process)").await;
    lift_the_ceiling(&db).await;
    let finished = process.finish().await.expect_code(0);
    let changes = finished.events("knobs_changed");
    assert_eq!(changes.len(), 3, "{changes:?}");
    let first = &changes[0]["knobs"];
    assert_eq!(
        (&first["workers"], &first["max_rows_per_s"], &first["batch_time_ms"]),
        (&3.into(), &3000.into(), &50.into())
    );
    let history = ask(&db, ["history", "job", "--output", "json"]).await.expect_code(0).json().remove(0);
    let events = history["events"].as_array().unwrap();
    let set: Vec<_> = events.iter().filter(|event| event["kind"] == "set").collect();
    assert_eq!(set[0]["detail"], "workers 2 → 3, batch_time 100ms → 50ms, max_rows_per_second 2000 → 3000");
    assert!(set.iter().all(|event| event["by"].as_str().unwrap().contains('@')), "{set:?}");
    assert_eq!(set.len(), 3);
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_run_refuses_every_order_with_a_sentence() {
    let (db, job) = scene(COUNT_UP).await;
    job.run(&db).run().await.expect_code(0);
    for (order, sentence) in [
        ("pause", "a run that is complete cannot be paused"),
        ("resume", "a run that is complete cannot be resumed"),
        ("cancel", "a run that is complete cannot be cancelled"),
    ] {
        let refused = ask(&db, [order, "job"]).await.expect_code(1).stderr;
        assert!(refused.contains(sentence), "{refused}");
    }
    let refused = ask(&db, ["set", "job", "workers=3"]).await.expect_code(1).stderr;
    assert!(refused.contains("nothing left to pace"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_ends_with_the_run_or_with_its_own_patience() {
    let (db, job) = scene(PACED).await;
    let process = at_work(&job, &db).await;
    let impatient = ask(&db, ["wait", "job", "--timeout", "500ms"]).await.expect_code(3).stderr;
    assert!(impatient.contains("is still running"), "{impatient}");
    let waiting = Pgbackfill::new(["wait", "job"]).on(&db).spawn();
    lift_the_ceiling(&db).await;
    process.finish().await.expect_code(0);
    waiting.finish().await.expect_code(0);
    ask(&db, ["wait", "job", "--timeout", "1ms"]).await.expect_code(0);
    let unknown = ask(&db, ["wait", "jab"]).await.expect_code(1).stderr;
    assert!(unknown.contains("did you mean \"job\"?"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_says_how_a_run_ended_that_is_not_complete() {
    let (db, job) = scene("table = 't'\nset.n = '1 / (id - 20000)'\n").await;
    let blocked = job.run(&db).run().await.expect_code(1);
    assert_eq!(blocked.summary()["outcome"], "blocked");
    let waited = ask(&db, ["wait", "job"]).await.expect_code(1).stdout;
    assert!(waited.contains("blocked") && waited.contains("division by zero"), "{waited}");
    ask(&db, ["cancel", "job"]).await.expect_code(0);
    ask(&db, ["wait", "job"]).await.expect_code(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_the_process_and_the_next_one_goes_on() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (db, job) = scene(PACED).await;
        let process = at_work(&job, &db).await;
        process.signal(signal);
        assert_eq!(process.finish().await.expect_code(3).summary()["outcome"], "stopped");
        db.until("NOT EXISTS (SELECT FROM pgbackfill.process WHERE left_at IS NULL)").await;
        let next = job.run_with(&db, ["--max-rows-per-second", "none"]).run().await.expect_code(0);
        assert_eq!(next.events("entered")[0]["entry"], "resumed");
        assert_exact(&db).await;
        assert_nothing_left(&db).await;
    }
}

/// A process whose two batches wait for rows that somebody else has locked, for longer than any test lasts.
async fn stuck(job: &JobFile, db: &Database) -> (Running, tokio_postgres::Client) {
    let locker = db.client().await;
    locker.batch_execute("BEGIN; SELECT FROM t FOR UPDATE").await.unwrap();
    let process = job.run(db).spawn();
    db.until(
        "(SELECT count(*) = 2 FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'pgbackfill job'
          AND wait_event_type = 'Lock' AND query ~ '^(UPDATE|WITH)')",
    )
    .await;
    (process, locker)
}

const PATIENT: &str =
    "table = 't'\nset.n = 'n + 1'\nlimits.lock_timeout = '10min'\nlimits.statement_timeout = '10min'\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_cancels_a_batch_that_does_not_end_by_itself() {
    let (db, job) = scene(PATIENT).await;
    let (process, locker) = stuck(&job, &db).await;
    process.signal(Signal::SIGINT);
    assert_eq!(process.finish().await.expect_code(3).summary()["outcome"], "stopped");
    drop(locker);
    job.run(&db).run().await.expect_code(0);
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_at_once() {
    let (db, job) = scene(PATIENT).await;
    let (process, locker) = stuck(&job, &db).await;
    // Two signals of one kind could be delivered as one.
    process.signal(Signal::SIGINT);
    process.signal(Signal::SIGTERM);
    let finished = process.finish().await.expect_code(3);
    assert!(finished.events("left").is_empty(), "it took its time for a good-bye");
    drop(locker);
    job.run(&db).run().await.expect_code(0);
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_first_run_stops_early_and_a_complete_job_says_so() {
    let (db, job) = scene(COUNT_UP).await;
    let first = job.run_with(&db, ["--max-rows", "1000"]).run().await.expect_code(3);
    assert_eq!(first.summary()["outcome"], "max_rows");
    assert!((1000..3000).contains(&db.rows_changed().await), "{}", db.rows_changed().await);
    job.run(&db).run().await.expect_code(0);
    let again = Pgbackfill::new(["run"]).arg(job.path()).on(&db).run().await.expect_code(0);
    assert!(again.stdout.contains("complete before this process came"), "{}", again.stdout);
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_run_repeats_the_job_from_the_beginning() {
    let (db, job) = scene(COUNT_UP).await;
    job.run(&db).run().await.expect_code(0);
    job.run_with(&db, ["--new-run"]).run().await.expect_code(0);
    let twice = "SELECT count(*) FROM t WHERE n = 2";
    assert_eq!(db.client().await.query_one(twice, &[]).await.unwrap().get::<_, i64>(0), ROWS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_run_does_not_push_live_processes_aside() {
    let (db, job) = scene(PACED).await;
    let process = at_work(&job, &db).await;
    let refused = job.run_with(&db, ["--new-run"]).run().await.expect_code(5).stderr;
    assert!(refused.contains("pgbackfill cancel job"), "{refused}");
    lift_the_ceiling(&db).await;
    process.finish().await.expect_code(0);
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_job_under_the_same_name_is_refused_with_what_changed() {
    let (db, job) = scene(COUNT_UP).await;
    job.run_with(&db, ["--max-rows", "1000"]).run().await.expect_code(3);
    job.rewrite("table = 't'\nset.n = 'n + 2'\n");
    let refused = job.run(&db).run().await.expect_code(5).stderr;
    let lines: Vec<_> = refused.lines().filter(|line| line.starts_with(['-', '+'])).collect();
    assert!(lines.iter().any(|line| line.starts_with('-') && line.contains("n + 1")), "{refused}");
    assert!(lines.iter().any(|line| line.starts_with('+') && line.contains("n + 2")), "{refused}");
    job.rewrite(COUNT_UP);
    job.run(&db).run().await.expect_code(0);
    assert_exact(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_of_a_run_is_json_with_its_schema() {
    let (db, job) = scene(PACED).await;
    let process = at_work(&job, &db).await;
    for args in [["status", "job"], ["history", "job"]] {
        let answer =
            Pgbackfill::new(args).args(["--output", "json"]).on(&db).run().await.expect_code(0).json();
        assert_eq!((answer.len(), &answer[0]["schema"], &answer[0]["job"]), (1, &1.into(), &"job".into()));
    }
    let list = ask(&db, ["list", "--output", "json"]).await.expect_code(0).json();
    assert_eq!((&list[0]["schema"], &list[0]["runs"][0]["state"]), (&1.into(), &"running".into()));
    let status = ask(&db, ["status", "--output", "json"]).await.expect_code(0).json().remove(0);
    assert_eq!(status["processes"][0]["pid"], process.pid());
    assert_eq!(status["knobs"]["max_rows_per_s"], 2000);
    assert!(status["guard"]["readings"].is_array(), "{status}");
    lift_the_ceiling(&db).await;
    let events = process.finish().await.expect_code(0).json();
    assert!(events.iter().all(|event| event["schema"] == 1));
    let status = ask(&db, ["status", "--output", "json"]).await.expect_code(0).json().remove(0);
    assert_eq!((&status["percent"], &status["progress"]["rows_changed"]), (&100.into(), &ROWS.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_the_exit_code_is_75() {
    // Free again when the listener is dropped.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgresql://postgres@127.0.0.1:{port}/nowhere");
    let job = JobFile::new(COUNT_UP);
    let run = Pgbackfill::new(["run"]).arg(job.path()).env("DATABASE_URL", &url).run().await.expect_code(75);
    assert!(run.stderr.contains(&format!("127.0.0.1:{port}")), "{}", run.stderr);
    for args in [["status", "job"], ["pause", "job"], ["wait", "job"]] {
        Pgbackfill::new(args).env("DATABASE_URL", &url).run().await.expect_code(75);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_and_jobs_that_do_not_fit_exit_with_2() {
    let (db, job) = scene("table = 't'\nset.m = '1'\n").await;
    let unfit = job.run(&db).run().await.expect_code(2).stderr;
    assert!(unfit.contains("job.toml:2"), "{unfit}");
    job.rewrite("table = 't'\nsett.n = '1'\n");
    let misspelt = job.run(&db).run().await.expect_code(2).stderr;
    assert!(misspelt.contains("sett"), "{misspelt}");
    ask(&db, ["run", "/nonexistent/job.toml"]).await.expect_code(2);
    ask(&db, ["run"]).await.expect_code(2);
    ask(&db, ["stauts"]).await.expect_code(2);
    job.rewrite(COUNT_UP);
    job.run(&db).run().await.expect_code(0);
    job.run_with(&db, ["--new-run", "--max-rows", "10"]).run().await.expect_code(3);
    ask(&db, ["set", "job", "workers"]).await.expect_code(2);
    ask(&db, ["set", "job", "workers=many"]).await.expect_code(2);
}
