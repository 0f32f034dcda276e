//! The guard on real servers: what it reads stops or slows a run, the reason is told, and when the cause is
//! gone the run goes on.
//!
//! Must not know: how a signal is read.

mod guarded_run;
mod presence;

use pgbackfill::sandbox::Fsync;
use serde_json::Value;

use crate::support::oracle::assert_once;
use crate::support::{JobFile, Pgbackfill, Running, counted_table, database, database_on, own_server};
use guarded_run::{GuardedRun, ROWS, archiving_server};

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_falls_behind_stops_the_run_until_it_has_caught_up() {
    let mut primary = own_server(Fsync::Off);
    let standby = primary.standby("r1").unwrap();
    let replica = guarded_run::connect(&standby.connection_string("postgres")).await;
    let run = GuardedRun::on(database_on(&primary).await, "").await;
    let process = run.at_work().await;
    replica.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
    run.until_held("paused", "replica r1 is % s behind, limit 1.0 s").await;
    replica.batch_execute("SELECT pg_wal_replay_resume()").await.unwrap();
    run.goes_on(process, "replica r1 is").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_vanishes_stops_the_run_until_a_person_says_that_it_is_gone() {
    let mut primary = own_server(Fsync::Off);
    let standby = primary.standby("r1").unwrap();
    let run = GuardedRun::on(database_on(&primary).await, "").await;
    let process = run.at_work().await;
    run.db.until("(SELECT readings::text LIKE '%\"subject\": \"r1\"%' FROM pgbackfill.guard)").await;
    drop(standby);
    run.until_held(
        "paused",
        "replica r1 has not been connected for % s; if it is gone for good, set standbys%",
    )
    .await;
    Pgbackfill::new(["set", "job", "standbys="]).on(&run.db).run().await.expect_code(0);
    run.goes_on(process, "replica r1 has not been connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_nobody_reads_stops_the_run_until_it_is_dropped() {
    let server = own_server(Fsync::Off);
    let run =
        GuardedRun::on(database_on(&server).await, "slot_wal_slow = '512KiB'\nslot_wal_stop = '1MiB'\n")
            .await;
    run.sql("SELECT pg_create_physical_replication_slot('left_behind', true)").await;
    // It retains what was written since the last checkpoint: too much before the first batch.
    let process = run.job.run(&run.db).spawn();
    run.until_held(
        "paused",
        "replication slot ''left_behind'', which nobody reads, retains % of WAL, limit 1.0 MiB",
    )
    .await;
    run.sql("SELECT pg_drop_replication_slot('left_behind')").await;
    run.goes_on(process, "replication slot").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_fails_stops_the_run_until_it_works_again() {
    let server = archiving_server();
    let run =
        GuardedRun::on(database_on(&server).await, "archive_backlog_slow = 1\narchive_backlog_stop = 2\n")
            .await;
    run.sql("ALTER SYSTEM SET archive_command = 'false'").await;
    run.sql("SELECT pg_reload_conf()").await;
    let process = run.job.run(&run.db).spawn();
    for _ in 0..4 {
        run.sql(SWITCH).await;
    }
    run.until_held("paused", "% segments of WAL wait for the archive (the archive command failed % times, for the last time on %), limit 2").await;
    run.sql("ALTER SYSTEM SET archive_command = 'true'").await;
    run.sql("SELECT pg_reload_conf()").await;
    run.goes_on(process, "segments of WAL wait for the archive").await;
}

/// What has the server archive another segment.
const SWITCH: &str = "SELECT pg_logical_emit_message(true, 'x', 'x'); SELECT pg_switch_wal()";

#[tokio::test(flavor = "multi_thread")]
async fn a_base_backup_is_no_backlog_of_the_archive_even_if_it_took_long_and_the_archive_once_failed() {
    let server = archiving_server();
    let run =
        GuardedRun::on(database_on(&server).await, "archive_backlog_slow = 4\narchive_backlog_stop = 5\n")
            .await;
    let archive_with = async |command: &str| {
        run.sql(&format!("ALTER SYSTEM SET archive_command = '{command}'")).await;
        run.sql("SELECT pg_reload_conf()").await;
        run.sql(SWITCH).await;
    };
    archive_with("false").await;
    run.db.until("(SELECT last_failed_wal IS NOT NULL FROM pg_stat_archiver)").await;
    archive_with("true").await;
    let client = run.db.client().await;
    let version: i32 =
        client.query_one("SELECT current_setting('server_version_num')::int", &[]).await.unwrap().get(0);
    let (start, stop) = match version {
        150_000.. => ("pg_backup_start('b', true)", "pg_backup_stop()"),
        _ => ("pg_start_backup('b', true, false)", "pg_stop_backup(false)"),
    };
    // Some versions archive the history of a backup before its last segment.
    for _ in 0..5 {
        client.batch_execute(&format!("SELECT {start}")).await.unwrap();
        for _ in 0..6 {
            run.sql(SWITCH).await;
        }
        client.batch_execute(&format!("SELECT {stop}")).await.unwrap();
        run.db.until("NOT EXISTS (SELECT FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')").await;
        let history = "SELECT coalesce(last_archived_wal LIKE '%.backup', false) FROM pg_stat_archiver";
        if client.query_one(history, &[]).await.unwrap().get(0) {
            break;
        }
    }
    let process = run.at_work().await;
    run.db.until("(SELECT readings::text LIKE '%archive_backlog%' FROM pgbackfill.guard)").await;
    let ran = run.finishes(process).await;
    assert_eq!(ran.events("held"), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alter_table_that_waits_stops_the_run_until_it_is_through() {
    let run = GuardedRun::on(database().await, "").await;
    let process = run.at_work().await;
    let reader = run.db.client().await;
    reader.batch_execute("BEGIN; SELECT FROM t LIMIT 1").await.unwrap();
    let altering = run.db.client().await;
    let altered =
        tokio::spawn(async move { altering.batch_execute("ALTER TABLE t ADD COLUMN more int").await });
    run.until_held("paused", "session % has been waiting for AccessExclusiveLock on %t% for %").await;
    reader.batch_execute("COMMIT").await.unwrap();
    altered.await.unwrap().unwrap();
    run.goes_on(process, "AccessExclusiveLock").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_snapshot_slows_the_run_and_then_stops_it_until_it_is_gone() {
    // On a server of its own: transactions of other databases count.
    let server = own_server(Fsync::Off);
    let run =
        GuardedRun::on(database_on(&server).await, "old_snapshot_slow = '2s'\nold_snapshot_stop = '4s'\n")
            .await;
    let process = run.at_work().await;
    let client = run.db.client().await;
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM t LIMIT 1").await.unwrap();
    run.until_held("paused", "session % has kept dead rows from being removed for % s, limit 4.0 s").await;
    client.batch_execute("COMMIT").await.unwrap();
    run.goes_on(process, "dead rows from being removed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_has_written_and_waits_for_its_next_statement_is_an_old_snapshot() {
    // On a server of its own, where nobody else's transaction is older.
    let server = own_server(Fsync::Off);
    let run =
        GuardedRun::on(database_on(&server).await, "old_snapshot_slow = '2s'\nold_snapshot_stop = '4s'\n")
            .await;
    // In another database: its id is in the snapshots of this one, too.
    let elsewhere = database_on(&server).await;
    let client = elsewhere.client().await;
    client.batch_execute("CREATE TABLE other ()").await.unwrap();
    let process = run.at_work().await;
    client.batch_execute("BEGIN; INSERT INTO other DEFAULT VALUES").await.unwrap();
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    run.until_held(
        "paused",
        &format!("session {pid} of % has kept dead rows from being removed for % s, limit 4.0 s"),
    )
    .await;
    client.batch_execute("COMMIT").await.unwrap();
    run.goes_on(process, "dead rows from being removed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn autovacuum_on_the_table_leaves_the_run_half_of_its_pace() {
    let server = guarded_run::vacuuming_server();
    let run = GuardedRun::in_auto(database_on(&server).await, "").await;
    run.sql("ALTER TABLE t SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)").await;
    let process = run.at_work().await;
    run.until_held("throttled", "%autovacuum has been at work on %t% for %").await;
    run.sql("ALTER TABLE t SET (autovacuum_enabled = off)").await;
    run.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'",
    )
    .await;
    run.goes_on(process, "autovacuum has been at work").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_of_the_jobs_own_stops_the_run_above_its_limit() {
    let signal =
        "[[guard.sql]]\nname = 'the queue'\nquery = 'SELECT count(*) FROM queue -- all of it'\nlimit = 5\n";
    let run = GuardedRun::on(database().await, signal).await;
    run.sql("CREATE TABLE queue AS SELECT FROM generate_series(1, 5)").await;
    let process = run.at_work().await;
    run.sql("INSERT INTO queue SELECT FROM generate_series(1, 5)").await;
    run.until_held("paused", "the queue is 10, limit 5").await;
    run.sql("TRUNCATE queue").await;
    run.goes_on(process, "the queue is").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_of_the_jobs_own_can_change_nothing() {
    let signal =
        "deadline = '6s'\n[[guard.sql]]\nname = 'the trap'\nquery = 'SELECT nextval($$trap$$)'\nlimit = 5\n";
    let run = GuardedRun::on(database().await, signal).await;
    run.sql("CREATE SEQUENCE trap").await;
    let process = run.at_work().await;
    run.until_held("paused", "the trap cannot be read: %").await;
    let caught: i64 = run
        .db
        .client()
        .await
        .query_one("SELECT count(*) FROM trap WHERE is_called", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(caught, 0);
    process.signal(nix::sys::signal::Signal::SIGKILL);
    process.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_is_not_a_number_is_not_below_its_limit() {
    let signal =
        "deadline = '6s'\n[[guard.sql]]\nname = 'the share'\nquery = \"SELECT 'NaN'::float8\"\nlimit = 5\n";
    let run = GuardedRun::on(database().await, signal).await;
    let process = run.at_work().await;
    run.until_held("paused", "the share cannot be read: its value is NaN%").await;
    process.signal(nix::sys::signal::Signal::SIGKILL);
    process.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_of_its_window_a_run_waits() {
    let run = GuardedRun::on(database().await, "").await;
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).time();
    let hours = |n: i64| now.wrapping_add(jiff::Span::new().hours(n)).strftime("%H:%M").to_string();
    let process = run.at_work().await;
    let window = format!("window={}-{} UTC", hours(2), hours(4));
    Pgbackfill::new(["set", "job", &window]).on(&run.db).run().await.expect_code(0);
    run.until_held("paused", "outside of its window % UTC, which opens in %").await;
    Pgbackfill::new(["set", "job", "window=none"]).on(&run.db).run().await.expect_code(0);
    run.goes_on(process, "outside of its window").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_that_nobody_can_read_stop_the_run_until_they_are_read_again() {
    let run = GuardedRun::on(database().await, "deadline = '6s'\n").await;
    let process = run.at_work().await;
    let client = run.db.client().await;
    client.batch_execute("BEGIN; SELECT FROM pgbackfill.guard FOR UPDATE").await.unwrap();
    run.until_held("paused", "the server''s signals have not been read for % s: %lock timeout%").await;
    client.batch_execute("COMMIT").await.unwrap();
    run.goes_on(process, "signals have not been read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_batch_of_ours_is_let_through() {
    let db = database().await;
    counted_table(&db, 2_000).await;
    let client = db.client().await;
    // Ten milliseconds for each row: without making way, somebody would wait for seconds.
    client
        .batch_execute(
            "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END';
             CREATE TRIGGER slowly BEFORE UPDATE OF n ON t FOR EACH ROW EXECUTE FUNCTION slowly();
             ALTER TABLE t ADD COLUMN other int",
        )
        .await
        .unwrap();
    let job = JobFile::new(
        "table = 't'\nset.n = 'n + 1'\norder.stripes = 1\n[pace]\nworkers = 1\nbatch_time = '5s'\nmin_rows_per_batch = 500\n",
    );
    let process = job.run(&db).spawn();
    db.until("EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE datname = current_database() AND mode = 'RowExclusiveLock' AND relation = 't'::regclass AND query ~ '^(UPDATE|WITH)' AND clock_timestamp() - query_start > interval '500 ms')").await;
    client.batch_execute("UPDATE t SET other = 1 WHERE id = 1").await.unwrap();
    Pgbackfill::new(["set", "job", "min-rows-per-batch=1", "batch-time=100ms"])
        .on(&db)
        .run()
        .await
        .expect_code(0);
    client.batch_execute("ALTER TABLE t DISABLE TRIGGER slowly").await.unwrap();
    let ran = process.finish().await.expect_code(0);
    assert_once(&client, "t", 2_000).await;
    let said = |event: &Value| {
        event["message"].as_str().is_some_and(|why| why.contains("has waited for our batch for"))
    };
    assert!(ran.events("retrying").iter().any(said), "{:?}", ran.events("retrying"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_privileges_is_told_what_it_cannot_see_and_guards_all_the_same() {
    let db = database().await;
    let role = format!("blind_{}", db.name);
    let run = GuardedRun::on(db, "").await;
    let name = &run.db.name;
    run.sql(&format!(
        "CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {name} TO {role}; ALTER TABLE t OWNER TO {role}"
    ))
    .await;
    let process = run.at_work_as(&role).await;
    run.db.until("(SELECT readings::text LIKE '%old_snapshot%' FROM pgbackfill.guard)").await;
    // The locks are for everybody to see.
    let reader = run.db.client().await;
    reader.batch_execute("BEGIN; SELECT FROM t LIMIT 1").await.unwrap();
    let altering = run.db.client().await;
    let altered =
        tokio::spawn(async move { altering.batch_execute("ALTER TABLE t ADD COLUMN more int").await });
    run.until_held("paused", "session % has been waiting for AccessExclusiveLock on %").await;
    reader.batch_execute("COMMIT").await.unwrap();
    altered.await.unwrap().unwrap();
    run.sql(&format!("GRANT pg_read_all_stats TO {role}")).await;
    run.db.until("(SELECT readings::text NOT LIKE '%\"value\": null%' FROM pgbackfill.guard)").await;
    let ran = run.goes_on(process, "AccessExclusiveLock").await;
    let said = |event: &Value| {
        event["message"].as_str().is_some_and(|text| text.starts_with("the guard is blind for "))
    };
    assert_eq!(
        ran.events("notice").iter().filter(|event| said(event)).count(),
        1,
        "{:?}",
        ran.events("notice")
    );
    run.sql(&format!("REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_nobody_can_watch_stops_the_run_until_a_process_that_sees_takes_the_lead() {
    let db = database().await;
    let role = format!("blind_too_{}", db.name);
    let run = GuardedRun::on(db, "active_sessions_stop = 10000\ndeadline = '6s'\n").await;
    let name = &run.db.name;
    run.sql(&format!(
        "CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {name} TO {role}; ALTER TABLE t OWNER TO {role}"
    ))
    .await;
    let blind = run.at_work_as(&role).await;
    run.until_held(
        "paused",
        "active_sessions is limited, but for % s it could not be read: GRANT pg_read_all_stats%",
    )
    .await;
    let sighted = run.job.run(&run.db).spawn();
    let leads = format!("(SELECT leader LIKE '%/{}/%' FROM pgbackfill.guard)", sighted.pid());
    run.db.until(&leads).await;
    run.goes_on(blind, "active_sessions is limited").await;
    sighted.finish().await.expect_code(0);
    run.sql(&format!("REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_is_followed_by_another_process() {
    let run = GuardedRun::in_auto(database().await, "").await;
    let first = run.at_work().await;
    let led_by =
        |process: &Running| format!("(SELECT leader LIKE '%/{}/%' FROM pgbackfill.guard)", process.pid());
    run.db.until(&led_by(&first)).await;
    let second = run.job.run(&run.db).spawn();
    run.db.until_processes(2).await;
    first.signal(nix::sys::signal::Signal::SIGKILL);
    first.finish().await;
    run.db.until(&led_by(&second)).await;
    run.db.until("(SELECT read_at > clock_timestamp() - interval '1 s' FROM pgbackfill.guard)").await;
    let share = "SELECT share FROM pgbackfill.guard";
    let share: f64 = run.db.client().await.query_one(share, &[]).await.unwrap().get(0);
    assert!(share > 0.0);
    run.finishes(second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_in_one_database_have_one_guard_and_each_its_own_reasons() {
    let run = GuardedRun::in_auto(database().await, "").await;
    run.sql(&format!("CREATE TABLE u (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO u SELECT generate_series(1, {ROWS})")).await;
    let first = run.at_work().await;
    let other = [
        "run",
        "--table",
        "u",
        "--set",
        "n = n + 1",
        "--name",
        "other",
        "--output",
        "json",
        "--max-rows-per-second",
        "300",
    ];
    let second = Pgbackfill::new(other).on(&run.db).spawn();
    run.db.until("(SELECT count(*) FROM pgbackfill.process WHERE auto_workers = 2) = 2").await;
    let reader = run.db.client().await;
    reader.batch_execute("BEGIN; SELECT FROM u LIMIT 1").await.unwrap();
    let altering = run.db.client().await;
    let altered =
        tokio::spawn(async move { altering.batch_execute("ALTER TABLE u ADD COLUMN more int").await });
    run.db
        .until(
            "EXISTS (SELECT FROM pgbackfill.process JOIN pgbackfill.run ON run.id = process.run
                     WHERE run.job = 'other' AND hold = 'paused' AND waiting LIKE '%AccessExclusiveLock%')
             AND NOT EXISTS (SELECT FROM pgbackfill.process JOIN pgbackfill.run ON run.id = process.run
                             WHERE run.job = 'job' AND waiting LIKE '%AccessExclusiveLock%')",
        )
        .await;
    reader.batch_execute("COMMIT").await.unwrap();
    altered.await.unwrap().unwrap();
    Pgbackfill::new(["set", "other", "max-rows-per-second=none", "mode=full"])
        .on(&run.db)
        .run()
        .await
        .expect_code(0);
    second.finish().await.expect_code(0);
    Pgbackfill::new(["set", "job", "max-rows-per-second=none", "mode=full"])
        .on(&run.db)
        .run()
        .await
        .expect_code(0);
    first.finish().await.expect_code(0);
    let wrong = "SELECT (SELECT count(*) FROM t WHERE n <> 1) + (SELECT count(*) FROM u WHERE n <> 1)";
    let wrong: i64 = run.db.client().await.query_one(wrong, &[]).await.unwrap().get(0);
    assert_eq!(wrong, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_the_workers_is_accounted_for() {
    let run = GuardedRun::on(database().await, "").await;
    let process = run.at_work().await;
    // Its ceiling lets it wait before long.
    run.db.until("(SELECT working_ms > 0 AND throttled_ms > 0 FROM pgbackfill.process)").await;
    Pgbackfill::new(["pause", "job"]).on(&run.db).run().await.expect_code(0);
    run.db.until("(SELECT paused_ms > 500 FROM pgbackfill.process)").await;
    Pgbackfill::new(["resume", "job"]).on(&run.db).run().await.expect_code(0);
    let ran = run.finishes(process).await;
    let times = &ran.summary()["progress"]["times"];
    for account in ["working_ms", "throttled_ms", "paused_ms"] {
        assert!(times[account].as_u64().unwrap() > 0, "{times}");
    }
    let shown = Pgbackfill::new(["status", "job"]).on(&run.db).run().await.expect_code(0).stdout;
    assert!(
        shown.contains(" working, ") && shown.contains(" throttled, ") && shown.contains(" paused, "),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_cannot_be_made_leaves_nobody_unguarded() {
    let run = GuardedRun::on(database().await, "deadline = '6s'\n").await;
    let process = run.at_work().await;
    // Neither heartbeat nor guard gets past this, while batches do.
    let other = run.db.client().await;
    other.batch_execute("BEGIN; LOCK TABLE pgbackfill.process").await.unwrap();
    let mut before = -1;
    let mut looks = 0;
    while run.db.rows_changed().await != before {
        before = run.db.rows_changed().await;
        looks += 1;
        assert!(looks < 20, "the run goes on with nobody to stop it");
        other.batch_execute("SELECT pg_sleep(1.5)").await.unwrap();
    }
    other.batch_execute("COMMIT").await.unwrap();
    run.finishes(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_that_wait_for_a_standby_that_is_gone_do_not_pile_up() {
    let server = own_server(Fsync::Off);
    let run = GuardedRun::in_auto(database_on(&server).await, "").await;
    let process = run.at_work().await;
    run.sql("ALTER SYSTEM SET synchronous_standby_names = 'gone'").await;
    run.sql("SELECT pg_reload_conf()").await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgbackfill%' AND wait_event = 'SyncRep'";
    run.db.until(&format!("({waiting}) > 0")).await;
    let client = run.db.client().await;
    for _ in 0..30 {
        client.batch_execute("SELECT pg_sleep(0.3)").await.unwrap();
        let waiting: i64 = client.query_one(waiting, &[]).await.unwrap().get(0);
        assert!(waiting <= 1, "{waiting} probes wait");
    }
    // Whoever has to wait for a standby is let go when it is not asked for any more.
    run.sql("ALTER SYSTEM RESET synchronous_standby_names").await;
    run.sql("SELECT pg_reload_conf()").await;
    run.finishes(process).await;
}
