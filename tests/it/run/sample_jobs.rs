//! The sample jobs on real rows: from the table by way of `expand`, the run and `contract` to the day when the
//! old column goes, with the SQL of their own comments.

use std::fs;
use std::path::{Path, PathBuf};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::support::{Database, JobFile, Pgbackfill, counted_table, database};

/// What the comments of a job leave open: the rows, and how to tell that a row is wrong.
struct Sample {
    job: &'static str,
    /// Rows of the table as it was written for.
    fill: &'static str,
    /// What the application does after the expand and before the run.
    meanwhile: &'static str,
    /// Selects the rows that are not as they should be after the run.
    wrong: &'static str,
}

const SAMPLES: [Sample; 10] = [
    Sample {
        job: "orders_status_v2",
        fill: "INSERT INTO orders SELECT i, i % 3 FROM generate_series(1, 5000) AS i",
        meanwhile: "DELETE FROM orders WHERE id % 100 = 0",
        wrong: "SELECT FROM orders
                WHERE status_v2 IS DISTINCT FROM ('{new,paid,shipped}'::text[])[status + 1] OR backfilled <> 1",
    },
    Sample {
        job: "orders_total_cents",
        fill: "INSERT INTO orders SELECT i, i * 7919 % 1000000 / 100.0 - 1000 FROM generate_series(1, 5000) AS i",
        meanwhile: "UPDATE orders SET total = 12.50 WHERE id % 10 = 0",
        wrong: "SELECT FROM orders WHERE total_cents IS DISTINCT FROM total * 100",
    },
    Sample {
        job: "orders_user_id",
        fill: "WITH people AS (INSERT INTO users SELECT i + 1000000, 'u-' || i FROM generate_series(1, 1000) AS i)
               INSERT INTO orders SELECT i, 'u-' || i * 7919 % 1000 + 1 FROM generate_series(1, 5000) AS i",
        meanwhile: "INSERT INTO orders (id, legacy_user_id) VALUES (5001, 'u-7')",
        wrong: "SELECT FROM orders AS o
                WHERE user_id IS DISTINCT FROM (SELECT u.id FROM users AS u WHERE u.legacy_id = o.legacy_user_id)",
    },
    Sample {
        job: "users_email_new",
        fill: "INSERT INTO users
               SELECT i, CASE WHEN i % 7 > 0 THEN 'user' || i || '@example.org' END FROM generate_series(1, 5000) AS i",
        meanwhile: "UPDATE users SET email = 'ada@example.org' WHERE id % 10 = 0;
                    UPDATE users SET email_new = 'left@behind.example.org' WHERE id % 11 = 0",
        wrong: "SELECT FROM users WHERE email_new IS DISTINCT FROM email",
    },
    Sample {
        job: "users_split_name",
        fill: "INSERT INTO users
               SELECT i, ('{Ada Lovelace,Plato,\"  Ludwig  van Beethoven \",Grace Brewster Hopper}'::text[])[i % 4 + 1]
               FROM generate_series(1, 5000) AS i",
        meanwhile: "UPDATE users SET first_name = 'By', last_name = 'Hand' WHERE id % 100 = 0",
        wrong: "SELECT FROM users
                WHERE CASE WHEN id % 100 = 0 THEN (first_name, last_name) IS DISTINCT FROM ('By', 'Hand')
                      ELSE first_name IS DISTINCT FROM ('{Ada,Plato,Ludwig,Grace}'::text[])[id % 4 + 1]
                      OR last_name IS DISTINCT FROM ('{Lovelace,NULL,van Beethoven,Brewster Hopper}'::text[])[id % 4 + 1] END",
    },
    Sample {
        job: "users_verified",
        fill: "INSERT INTO users SELECT i FROM generate_series(1, 5000) AS i",
        meanwhile: "UPDATE users SET verified = true WHERE id % 10 = 0",
        wrong: "SELECT FROM users WHERE verified IS DISTINCT FROM (id % 10 = 0)",
    },
    Sample {
        job: "users_username_to_email",
        fill: "INSERT INTO users SELECT i, 'user' || i || '@example.org' FROM generate_series(1, 5000) AS i",
        meanwhile: "UPDATE users SET username = 'old' || id WHERE id % 10 = 0; UPDATE users SET email = 'new' || id WHERE id % 11 = 0;
                    INSERT INTO users (id, email) VALUES (5001, 'only@new.example.org')",
        wrong: "SELECT FROM users WHERE email IS DISTINCT FROM username",
    },
    Sample {
        job: "orders_kind",
        fill: "INSERT INTO orders SELECT i, ('{web,phone,shop}'::text[])[i % 3 + 1] FROM generate_series(1, 5000) AS i",
        meanwhile: "UPDATE orders SET kind = 'shop' WHERE id % 10 = 0",
        wrong: "SELECT FROM orders WHERE kind_v2::text IS DISTINCT FROM kind",
    },
    Sample {
        job: "orders_state_text",
        fill: "INSERT INTO orders SELECT i, i % 3 FROM generate_series(1, 5000) AS i",
        meanwhile: "UPDATE orders SET state = 2 WHERE id % 10 = 0; UPDATE orders SET state_text = 'paid' WHERE id % 11 = 0",
        wrong: "SELECT FROM orders WHERE state_text IS DISTINCT FROM ('{open,paid,sent}'::text[])[state + 1]",
    },
    Sample {
        job: "events_day",
        fill: "INSERT INTO events SELECT i, '2026-01-01Z'::timestamptz + i * interval '1 hour' FROM generate_series(1, 49999) AS i",
        meanwhile: "UPDATE events SET at = '2026-12-24 23:00Z' WHERE id % 10 = 0",
        wrong: "SELECT FROM events WHERE day IS DISTINCT FROM (at AT TIME ZONE 'UTC')::date",
    },
];

fn jobs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs")
}

/// The statements of the comment under this heading, one a line, up to the next empty line.
fn statements(job: &str, heading: &str) -> Vec<String> {
    let text = fs::read_to_string(jobs().join(format!("{job}.toml"))).unwrap();
    let below = text.lines().skip_while(|line| !line.starts_with(&format!("# {heading}")));
    below
        .take_while(|line| *line != "#")
        .filter_map(|line| line.strip_prefix("#   ").map(str::to_owned))
        .collect()
}

/// One after the other: some of them must not be in a transaction.
async fn execute(client: &Client, statements: &[String]) {
    for sql in statements {
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

async fn refusal(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE), "{error}");
    error.as_db_error().unwrap().message().to_owned()
}

fn run<const N: usize>(db: &Database, sample: &Sample, args: [&str; N]) -> Pgbackfill {
    Pgbackfill::new(["run"]).arg(jobs().join(format!("{}.toml", sample.job))).args(args).on(db)
}

fn step(db: &Database, sample: &Sample, command: &str) -> Pgbackfill {
    Pgbackfill::new([command]).arg(jobs().join(format!("{}.toml", sample.job))).on(db)
}

async fn from_the_table_to_the_contract(sample: &Sample) {
    let db = database().await;
    let client = db.client().await;
    // As it is from version 15 on.
    client.batch_execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await.unwrap();
    execute(&client, &statements(sample.job, "Written for")).await;
    client.batch_execute(sample.fill).await.unwrap();
    step(&db, sample, "expand").run().await.expect_code(0);
    client.batch_execute(sample.meanwhile).await.unwrap();
    run(&db, sample, ["--max-rows", "100"]).run().await.expect_code(3);
    let early = step(&db, sample, "contract").run().await.expect_code(1).stderr;
    assert!(early.contains("nothing that builds upon it is made"), "{early}");
    run(&db, sample, []).run().await.expect_code(0);
    let wrong = client.query(sample.wrong, &[]).await.unwrap().len();
    assert_eq!(wrong, 0, "{}: rows are not as they should be", sample.job);
    let early = step(&db, sample, "contract").run().await.expect_code(1).stderr;
    assert!(early.contains("complete, but not verified"), "{early}");
    step(&db, sample, "verify").run().await.expect_code(0);
    step(&db, sample, "contract").run().await.expect_code(0);
    execute(&client, &statements(sample.job, "After the contract")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_job_leads_from_its_table_to_its_contract() {
    for sample in &SAMPLES {
        from_the_table_to_the_contract(sample).await;
    }
}

#[test]
fn every_sample_job_is_tested() {
    let mut found: Vec<_> = fs::read_dir(jobs())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    let mut tried = SAMPLES.map(|sample| sample.job);
    tried.sort_unstable();
    assert_eq!(found, tried);
}

#[tokio::test(flavor = "multi_thread")]
async fn assert_complete_raises_until_the_job_is_complete_without_bad_rows() {
    let (db, job) = (database().await, JobFile::new("table = 't'\nset.n = 'n + 1 + 0 / (id % 1000)'\n"));
    counted_table(&db, 3000).await;
    let client = db.client().await;
    let assert_complete = "SELECT pgbackfill.assert_complete('job')";
    job.run_with(&db, ["--max-rows", "100"]).run().await.expect_code(3);
    let running = refusal(&client, assert_complete).await;
    assert_eq!(running, "backfill \"job\" is not complete: run 1 is running");
    job.run(&db).run().await.expect_code(1);
    assert!(refusal(&client, assert_complete).await.ends_with("run 1 is blocked"));
    job.run_with(&db, ["--max-bad-rows", "3"]).run().await.expect_code(4);
    assert_eq!(refusal(&client, assert_complete).await, "backfill \"job\" left 3 rows in the quarantine");
    let unknown = refusal(&client, "SELECT pgbackfill.assert_complete('jab')").await;
    assert_eq!(unknown, "backfill \"jab\" has never been run in this database");
    job.rewrite("table = 't'\nset.n = '7'\n");
    job.run_with(&db, ["--new-run"]).run().await.expect_code(0);
    client.batch_execute(assert_complete).await.unwrap();
}
