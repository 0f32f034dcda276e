//! `plan` as a person and a script meet it.

use nix::sys::signal::Signal;

use super::{JOB, execute, planned, with_table};
use crate::refuse::world;
use crate::support::oracle::assert_nothing_left;
use crate::support::{JobFile, Pgbackfill, database, skipped};

fn plan(job: &JobFile) -> Pgbackfill {
    Pgbackfill::new(["plan"]).arg(job.path())
}

/// Without figures that are others on another machine, and with a database of a known name.
fn redacted(text: &str, database: &str) -> String {
    let text = text.replace(database, "shop");
    let measured = |line: &str| {
        ["  A row: ", "  Time: ", "  WAL: ", "  Disk: ", "database "]
            .iter()
            .any(|start| line.starts_with(start))
            || ["µs a row", "dead row version"].iter().any(|part| line.contains(part))
    };
    let lines = text.lines().map(|line| if measured(line) { without_figures(line) } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n")
}

/// Each number becomes `N`, with its unit, without which it would tell how large it is.
fn without_figures(line: &str) -> String {
    const UNITS: [&str; 12] = ["ms", "s", "min", "h", "B", "KiB", "MiB", "GiB", "µs", "rows/s", "k", "M"];
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let (core, end) = word.split_at(word.trim_end_matches([',', ';']).len());
        let begin = if core.starts_with('(') { "(" } else { "" };
        let last = words.last_mut().filter(|last| last.ends_with('N') && UNITS.contains(&core));
        match last {
            Some(last) => last.push_str(end),
            None if core[begin.len()..].starts_with(|c: char| c.is_ascii_digit()) => {
                words.push(format!("{begin}N{end}"));
            }
            None => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_plan_reads_like_this() {
    let db = with_table().await;
    let version = "SELECT current_setting('server_version_num')::int";
    if db.client().await.query_one(version, &[]).await.unwrap().get::<_, i32>(0) < 140_000 {
        return skipped("PostgreSQL 14 or later: before, there is a note more");
    }
    let more = "
        CREATE INDEX by_c ON t (c);
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER on_a BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()";
    execute(&db, more).await;
    let job = JobFile::new("table = 't'\nset.a = 'b + 1'\nwhere = 'b > 100'\n");
    let said = plan(&job).env("DATABASE_URL", db.direct_url()).run().await.expect_code(0);
    assert_eq!(said.stderr, "");
    insta::assert_snapshot!(redacted(&said.stdout, &db.name), @r#"
    job "job" on "public"."t"
    database "shop", PostgreSQL N, as role "postgres"

    What will run
      In 8 stripes over the key (id): a page's rows are changed in turns, so that most updates are HOT.
      2 workers, each in batches of 100ms; each batch is a transaction, with its checkpoint:
          UPDATE ONLY "public"."t" AS "t"
          SET "a" = (
          b + 1
          ),
              "c" = "t"."c"
          FROM (SELECT greatest(lo, $2 + 1), least(lo + 15, $1)
                FROM generate_series($3::bigint, $4::bigint, 128) AS band (lo)
               ) AS pgbackfill_band (pgbackfill_first, pgbackfill_last)
          WHERE "t"."id" >= pgbackfill_first
          AND "t"."id" <= pgbackfill_last
          AND (
          b > 100
          )
      The parameters are keys: where the batch ends, and where the one before it did; then its bands of keys.
      Assigning c its own value spares the server a search (order.quiet = false: it is not done).
      What is replaced is kept (values are replaced), so that pgbackfill undo can put it back; undo.values = "off" spares that.

    How many rows
      900 of 1,000 will be changed (all were looked at).

    What it costs
      A row: N, N of WAL, N pages dirtied. Measured with N rows, rolled back;
      N dead row versions are left to autovacuum.
      Time: about N (N with N workers, never waiting).
      WAL: up to N, N a second; slots, standbys and the archive have to keep up with that.
      Disk: up to N more for table and indexes, in stripes usually far less, beside the WAL. The server does not tell what is free.

    Findings
      warning[row-trigger]: trigger "on_a" on t calls touch BEFORE each row is updated, at N a row
        hint: should it do that for a backfill? If not, let its function return early, for example where current_setting('application_name') begins with pgbackfill
      note[superuser]: role "postgres" is a superuser
        hint: a role that may do no more than this job is safer: pgbackfill plan shows how to make one

    A role that may do this and no more
      CREATE ROLE "backfill_job" LOGIN;
      GRANT CONNECT ON DATABASE "shop" TO "backfill_job";
      GRANT USAGE ON SCHEMA "public" TO "backfill_job";
      GRANT SELECT, UPDATE ("a", "c") ON "public"."t" TO "backfill_job";
      CREATE SCHEMA pgbackfill AUTHORIZATION "backfill_job";
      GRANT pg_read_all_stats TO "backfill_job";

    It can run; 1 warning.
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_can_count_on_these_keys() {
    let db = with_table().await;
    let (told, _) = planned(db.url(), JOB).await;
    let keys =
        |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    insta::assert_snapshot!(keys(&told), @"after before database estimate findings grants job keeps_old keeps_why key knobs not_tried order order_why partitions quiet role rows run schema server_version statement stripes table trial why");
    insta::assert_snapshot!(keys(&told["trial"]), @"full_pages growth_bytes made_way pages_dirtied rows_changed rows_dead rows_passed statements time_us triggers_us wal_bytes");
    insta::assert_snapshot!(keys(&told["estimate"]), @"duration_s elapsed_s growth_bytes held_by rows rows_per_s wal_bytes wal_bytes_per_s");
    insta::assert_snapshot!(keys(&told["findings"][0]), @"code fact remedy severity");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_nothing_that_can_be_seen() {
    let db = with_table().await;
    let before = world(&db).await;
    let (told, _) = planned(db.url(), JOB).await;
    assert_eq!((&told["schema"], &told["trial"]["rows_changed"]), (&1.into(), &1000.into()));
    assert_eq!(world(&db).await, before);
    assert_nothing_left(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_trial_no_new_value_is_computed() {
    let db = with_table().await;
    execute(&db, "CREATE SEQUENCE s").await;
    let job = JobFile::new("table = 't'\nset.a = 'nextval($$s$$)::int'\n");
    let said = plan(&job).arg("--no-trial").on(&db).run().await.expect_code(0).stdout;
    assert!(said.contains("Not known: no batch was tried, because of --no-trial."), "{said}");
    db.until("SELECT NOT is_called FROM s").await;
    let said = plan(&job).on(&db).run().await.expect_code(0).stdout;
    assert!(said.contains("warning[volatile-set]: "), "{said}");
    db.until("SELECT is_called FROM s").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_has_a_plan() {
    let db = with_table().await;
    execute(&db, "TRUNCATE t").await;
    let (told, code) = planned(db.url(), JOB).await;
    assert_eq!((code, &told["rows"]["to_change"], &told["trial"]), (0, &0.into(), &serde_json::Value::Null));
    let said = plan(&JobFile::new(JOB)).on(&db).run().await.expect_code(0).stdout;
    assert!(said.contains("none, because the table is empty"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_can_be_tried() {
    let db = database().await;
    let make = "
        SET datestyle = 'SQL, DMY';
        CREATE TABLE t (day timestamptz, code text COLLATE \"C\", id uuid DEFAULT gen_random_uuid(), a int, b int NOT NULL, PRIMARY KEY (day, code, id));
        INSERT INTO t SELECT '2024-05-06'::timestamptz + i * interval '1 hour', 'c' || i, gen_random_uuid(), i, i FROM generate_series(1, 30000) AS i";
    execute(&db, make).await;
    execute(&db, &format!("ALTER DATABASE {} SET datestyle = 'SQL, DMY'", db.name)).await;
    execute(&db, "VACUUM ANALYZE t").await;
    let (told, _) = planned(db.direct_url(), &format!("{JOB}where = 'b > 15000'")).await;
    assert_eq!(told["rows"]["sample"]["whole"], false);
    assert!(told["trial"]["rows_changed"].as_u64() >= Some(256), "{told}");
    let said =
        plan(&JobFile::new(JOB)).env("DATABASE_URL", db.direct_url()).run().await.expect_code(0).stdout;
    assert!(
        said.contains("(day, code, id): ") && said.contains(", and where the one before it did.\n"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pace_of_the_command_line_is_what_is_estimated() {
    let db = with_table().await;
    let job = JobFile::new(JOB);
    let said = plan(&job)
        .args(["--max-rows-per-second", "10", "--output", "json"])
        .on(&db)
        .run()
        .await
        .expect_code(0);
    let told = said.json().remove(0);
    assert_eq!(
        (&told["estimate"]["held_by"], &told["estimate"]["duration_s"]),
        (&"max_rows_per_second".into(), &100.0.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_the_run_longer_is_told_with_its_time() {
    let db = with_table().await;
    let time = async |pace: &str| {
        let job = JobFile::new(&format!("{JOB}[pace]\nmax_rows_per_second = 1\n{pace}"));
        let said = plan(&job).on(&db).run().await.expect_code(0).stdout;
        said.lines().find(|line| line.starts_with("  Time: ")).unwrap().to_owned()
    };
    let window = "mode = 'full'\nwindow = '22:00-06:00 Europe/Berlin'\n";
    insta::assert_snapshot!(time(window).await, @"  Time: about 16 min 40 s (1.0 rows/s with max_rows_per_second = 1); with the window 22:00-06:00 Europe/Berlin, 8 h 00 min a day, 16 min 40 s from when it opens.");
    insta::assert_snapshot!(time("mode = 'auto'\n").await, @"  Time: about 16 min 40 s (1.0 rows/s with max_rows_per_second = 1); mode auto makes way for the application, which may take longer.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_shown_at_its_line_and_in_json_as_a_finding() {
    let db = with_table().await;
    let job = JobFile::new("table = 't'\nset.z = '1'\n");
    let said = plan(&job).on(&db).run().await.expect_code(2);
    assert!(
        said.stderr.starts_with("error[unknown-column]: \"public\".\"t\" has no column \"z\"\n"),
        "{}",
        said.stderr
    );
    let (told, code) = planned(db.url(), "table = 't'\nset.z = '1'\n").await;
    assert_eq!((code, &told["findings"][0]["severity"]), (2, &"error".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_there_is_named() {
    let db = with_table().await;
    let job = JobFile::new(JOB);
    assert_eq!(planned(db.url(), JOB).await.0["run"], serde_json::Value::Null);
    job.run_with(&db, ["--max-rows", "1"]).run().await.expect_code(3);
    let said = plan(&job).on(&db).run().await.expect_code(0).stdout;
    assert!(
        said.contains("\nrun 1 of it is there (running); run goes on with that, without a review\n"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_holds_its_rows_for_a_few_batches_at_the_most() {
    let db = with_table().await;
    // Each of the eight stripes alone would be done in time.
    let slow = "
        CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END';
        CREATE TRIGGER on_a BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION nap()";
    execute(&db, slow).await;
    let told = super::facts(&db, "failed-trial").await;
    assert_eq!(
        told,
        ["the batch that was tried failed: canceling statement due to statement timeout [SQLSTATE 57014]"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_makes_way_for_whoever_waits_for_it() {
    let db = with_table().await;
    let slow = "
        CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END';
        CREATE TRIGGER on_a BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION nap()";
    execute(&db, slow).await;
    // Long batches, so that its time is not what ends the try: four seconds.
    let job = JobFile::new(&format!("{JOB}[pace]\nbatch_time = '2s'\n"));
    let running = plan(&job).env("DATABASE_URL", db.direct_url()).spawn();
    let holds = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'EXPLAIN (ANALYZE%' AND backend_xid IS NOT NULL)";
    db.until(holds).await;
    execute(&db, "BEGIN; LOCK TABLE t IN SHARE MODE; COMMIT").await;
    let said = running.finish().await.expect_code(0).stdout;
    let told = said.lines().find(|line| line.starts_with("  Not known: session ")).unwrap_or(&said);
    assert!(told.ends_with(", so the batch that was tried was given up."), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_the_trial_in_its_statement() {
    let db = with_table().await;
    let slow = "
        CREATE FUNCTION dream() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';
        CREATE TRIGGER on_a BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION dream()";
    execute(&db, slow).await;
    let job = JobFile::new(JOB);
    let running = plan(&job).on(&db).spawn();
    db.until("EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'EXPLAIN (ANALYZE%' AND wait_event = 'PgSleep')").await;
    running.signal(Signal::SIGINT);
    let said = running.finish().await.expect_code(3);
    assert_eq!((said.stdout.as_str(), said.stderr.trim_end()), ("", "stopped; nothing was changed"));
    assert_nothing_left(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_database_is_75() {
    let db = with_table().await;
    let nowhere = format!("{}/nowhere", db.direct_url().rsplit_once('/').unwrap().0);
    let said = plan(&JobFile::new(JOB)).env("DATABASE_URL", nowhere).run().await.expect_code(75);
    assert!(said.stderr.contains("database \"nowhere\" does not exist"), "{}", said.stderr);
}
