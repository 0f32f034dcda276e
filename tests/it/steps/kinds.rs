//! Types, foreign keys, and steps of the job's own.
//!
//! Must not know: how a lock is got.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::Client;

use super::{catalog, contract, ends, expand, orders, text, until_it_waits_for, verify};
use crate::support::{Database, JobFile, database};

const LABELS: &str =
    "SELECT string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = 'kind'::regtype";

#[tokio::test(flavor = "multi_thread")]
async fn a_type_is_made_before_the_column_and_gets_the_labels_that_it_lacks() {
    let (db, _) = orders(3, "").await;
    let of = |labels: &str| {
        JobFile::new(&format!(
            "table = 'orders'\nset.kind = '''status::kind'''\nwhere = 'kind IS NULL'\n\
             expand.column.kind = 'kind'\nexpand.type.kind = [{labels}]\ncontract.not_null = ['kind']\n"
        ))
    };
    let client = db.client().await;
    let job = of("'new', 'paid'");
    let said = expand(&db, &job).run().await.expect_code(0).stderr;
    assert!(said.contains("1/2 type kind: makes it"), "{said}");
    assert_eq!(text(&client, LABELS).await, "new paid");
    job.run(&db).run().await.expect_code(0);
    verify(&db, &job).run().await.expect_code(0);
    contract(&db, &job).run().await.expect_code(0);
    expand(&db, &of("'new', 'paid', \"it's gone\", 'x'")).run().await.expect_code(0);
    assert_eq!(text(&client, LABELS).await, "new paid it's gone x");
    let said = expand(&db, &of("'paid', 'new'")).run().await.expect_code(2).stderr;
    assert!(
        said.contains("type \"public\".\"kind\" is there already and is not the same: it is `new, paid, "),
        "{said}"
    );
}

/// Orders of users, and the job that makes a foreign key of one to the other.
async fn orders_of_users(tables: &str) -> (Database, JobFile, Client) {
    let db = database().await;
    let client = db.client().await;
    let users = "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users SELECT i, 'u' || i FROM generate_series(1, 50) AS i";
    client.batch_execute(&format!("{users}; {tables}")).await.unwrap();
    let job = JobFile::new(
        "table = 'orders'\nset.user_id = 'legacy'\nwhere = 'user_id IS NULL'\nexpand.column.user_id = 'int'\n\
         contract.foreign_key.user_id = 'users (id) ON DELETE CASCADE'\n",
    );
    expand(&db, &job).run().await.expect_code(0);
    job.run(&db).run().await.expect_code(0);
    verify(&db, &job).run().await.expect_code(0);
    (db, job, client)
}

const PLAIN: &str = "CREATE TABLE orders (id int PRIMARY KEY, legacy int);
                     INSERT INTO orders SELECT i, i % 50 + 1 FROM generate_series(1, 200) AS i";
const KEYS: &str =
    "SELECT string_agg(format('%s %s', pg_get_constraintdef(oid), convalidated), '; ') FROM pg_constraint
                    WHERE conrelid = 'orders'::regclass AND contype = 'f'";

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_key_holds_for_what_is_written_and_then_for_all_rows() {
    let (db, job, client) = orders_of_users(PLAIN).await;
    contract(&db, &job).run().await.expect_code(0);
    let wanted = "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE t";
    assert_eq!(text(&client, KEYS).await, wanted);
    let said = contract(&db, &job).run().await.expect_code(0).stderr;
    assert!(said.contains("is there already"), "{said}");
    client.batch_execute("ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey").await.unwrap();
    // One that others made has a name of its own.
    client.batch_execute("ALTER TABLE orders ADD CONSTRAINT mine FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE").await.unwrap();
    let said = contract(&db, &job).run().await.expect_code(0).stderr;
    assert!(said.contains("is there already"), "{said}");
    client.batch_execute("ALTER TABLE orders DROP CONSTRAINT mine").await.unwrap();
    // One that others made and did not finish is finished, another one is not touched.
    let theirs = "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id)";
    client.batch_execute(&format!("{theirs} ON DELETE CASCADE NOT VALID")).await.unwrap();
    contract(&db, &job).run().await.expect_code(0);
    assert_eq!(text(&client, KEYS).await, wanted);
    client
        .batch_execute(&format!("ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey; {theirs}"))
        .await
        .unwrap();
    let said = contract(&db, &job).run().await.expect_code(2).stderr;
    assert!(said.contains("it is `(id)`, this says `(id) ON DELETE CASCADE`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_point_nowhere_are_told_and_no_foreign_key_is_left() {
    let (db, job, client) = orders_of_users(PLAIN).await;
    client.batch_execute("UPDATE orders SET user_id = 77 WHERE id = 7").await.unwrap();
    let said = contract(&db, &job).run().await.expect_code(4).stderr;
    assert!(said.contains("Key (user_id)=(77) is not present in table \"users\""), "{said}");
    assert_eq!(text(&client, KEYS).await, "none");
    client.batch_execute("UPDATE orders SET user_id = 78 WHERE id = 8").await.unwrap();
    client.batch_execute("UPDATE orders SET user_id = 1 WHERE user_id > 50").await.unwrap();
    contract(&db, &job).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_key_of_a_partitioned_table_is_made_of_those_of_its_leaves() {
    let tables = "CREATE TABLE orders (id int PRIMARY KEY, legacy int) PARTITION BY RANGE (id);
                  CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
                  CREATE TABLE orders_1a PARTITION OF orders_1 FOR VALUES FROM (0) TO (50);
                  CREATE TABLE orders_1b PARTITION OF orders_1 FOR VALUES FROM (50) TO (100);
                  CREATE TABLE orders_2 PARTITION OF orders DEFAULT;
                  INSERT INTO orders SELECT i, i % 50 + 1 FROM generate_series(1, 200) AS i";
    let (db, job, client) = orders_of_users(tables).await;
    contract(&db, &job).run().await.expect_code(0);
    let all = "SELECT string_agg(format('%s %s', conrelid::regclass, convalidated), ', ' ORDER BY conrelid::regclass::text)
               FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text LIKE 'orders%'";
    assert_eq!(text(&client, all).await, "orders t, orders_1 t, orders_1a t, orders_1b t, orders_2 t");
    client
        .batch_execute("CREATE TABLE orders_3 PARTITION OF orders FOR VALUES FROM (1000) TO (2000)")
        .await
        .unwrap();
    assert!(client.batch_execute("INSERT INTO orders VALUES (1001, 1, 77)").await.is_err());
    let said = contract(&db, &job).run().await.expect_code(0).stderr;
    assert!(said.contains("is there already"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_writers_of_both_tables_none_is_the_victim_of_a_deadlock() {
    let (db, job, client) = orders_of_users(PLAIN).await;
    let mut writers = Vec::new();
    for number in 1..=4 {
        let writer = db.client().await;
        writers.push(tokio::spawn(async move {
            for _ in 0.. {
                let both = format!(
                    "BEGIN; UPDATE users SET name = name WHERE id = {number}; UPDATE orders SET legacy = legacy WHERE id = {number}; COMMIT"
                );
                writer.batch_execute(&both).await.unwrap();
            }
        }));
    }
    for _ in 0..3 {
        contract(&db, &job).run().await.expect_code(0);
        client.batch_execute("SET lock_timeout = '50ms'").await.unwrap();
        while client
            .batch_execute(
                "LOCK users IN ACCESS EXCLUSIVE MODE; ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey",
            )
            .await
            .is_err()
        {
            sleep(Duration::from_millis(20)).await;
        }
    }
    for writer in writers {
        assert!(!writer.is_finished(), "a writer has failed");
        writer.abort();
    }
}

/// A job with one step of its own before the run.
fn own(step: &str) -> JobFile {
    JobFile::new(&format!(
        "table = 'orders'\nset.status = 'upper(status)'\n[[expand.step]]\nname = 'own'\n{step}"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_job_s_own_is_done_once_in_one_transaction_with_its_record() {
    let (db, _) = orders(3, "").await;
    let client = db.client().await;
    client.batch_execute("CREATE TABLE log (n int)").await.unwrap();
    let job = own(
        "do = ['INSERT INTO log VALUES (1); -- once', 'COMMENT ON TABLE orders IS $$own$$ -- at last']\nundo = 'none'\n",
    );
    for _ in 0..3 {
        expand(&db, &job).run().await.expect_code(0);
    }
    assert_eq!(text(&client, "SELECT count(*) FROM log").await, "1");
    let job = own("do = ['INSERT INTO log VALUES (2)', 'SELECT 1 / 0']\n");
    let said = expand(&db, &job).run().await.expect_code(1).stderr;
    assert!(said.contains("division by zero"), "{said}");
    assert_eq!(text(&client, "SELECT count(*) FROM log").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_query_tells_whether_it_is_done_and_is_believed() {
    let (db, _) = orders(3, "").await;
    let client = db.client().await;
    let done = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = ''vacuumed'')";
    let job =
        own(&format!("do = 'CREATE TABLE vacuumed (id int)'\ndone = '''{}'''\n", done.replace("''", "'")));
    expand(&db, &job).run().await.expect_code(0);
    let said = expand(&db, &job).run().await.expect_code(0).stderr;
    assert!(said.contains("is there already"), "{said}");
    client.batch_execute("DROP TABLE vacuumed").await.unwrap();
    expand(&db, &job).run().await.expect_code(0);
    assert_eq!(text(&client, "SELECT count(*) FROM vacuumed").await, "0");
    let never = own("do = 'SELECT 1'\ndone = 'SELECT false'\n");
    let said = expand(&db, &never).run().await.expect_code(2).stderr;
    assert!(said.contains("step `own` was run, and its `done` does not say so"), "{said}");
    let wrong = own("do = 'SELECT 1'\ndone = 'SELECT 1'\n");
    let said = expand(&db, &wrong).run().await.expect_code(2).stderr;
    assert!(said.contains("`done` does not answer with one boolean"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_in_a_transaction_says_how_to_know_that_it_is_done() {
    let (db, _) = orders(3, "").await;
    let build = "do = 'CREATE INDEX CONCURRENTLY mine ON orders (status)'\nconcurrently = true\n";
    let said = expand(&db, &own(build)).run().await.expect_code(2).stderr;
    assert!(said.contains("step `own` is `concurrently`, and has no `done`"), "{said}");
    let done = "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('mine') AND indisvalid)";
    expand(&db, &own(&format!("{build}done = \"{done}\"\n"))).run().await.expect_code(0);
    assert!(catalog(&db.client().await, "orders").await.contains("index CREATE INDEX mine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_job_s_own_waits_for_its_turn_as_all_do() {
    let (db, _) = orders(3, "").await;
    let report = db.client().await;
    report.batch_execute("BEGIN; SELECT * FROM orders").await.unwrap();
    sleep(Duration::from_millis(250)).await;
    let job = own(
        "do = ['ALTER TABLE orders SET (fillfactor = 90)', 'ALTER TABLE orders ALTER status DROP DEFAULT']\n",
    );
    let running = expand(&db, &job).spawn();
    until_it_waits_for(&db, "FROM orders").await;
    report.batch_execute("COMMIT").await.unwrap();
    ends(running).await.expect_code(0);
    let found = catalog(&db.client().await, "orders").await;
    assert!(found.contains("column status"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_a_job_takes_the_commit_along_and_none_keeps_its_lock() {
    let (db, _) = orders(3, "").await;
    let client = db.client().await;
    let commented = JobFile::new(
        "table = 'orders'\nset.a = '1'\nexpand.column.a = 'int -- and more'\nexpand.column.b = 'text; -- and more'\n",
    );
    expand(&db, &commented).run().await.expect_code(0);
    for text in [
        "ALTER TABLE orders ADD COLUMN IF NOT EXISTS x int; -- x",
        "ALTER TABLE orders ADD COLUMN IF NOT EXISTS y int; -- y",
    ] {
        expand(&db, &own(&format!("do = '{text}'\n"))).run().await.expect_code(0);
    }
    let columns = "SELECT string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname IN ('a', 'b', 'x', 'y')";
    assert_eq!(text(&client, columns).await, "a b x y");
    let several = own("do = 'LOCK TABLE orders; SELECT pg_sleep(0.1); SELECT pg_sleep(0.1)'\n");
    let said = expand(&db, &several).run().await.expect_code(2).stderr;
    assert!(said.contains("`do` has several statements in one text"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_a_type_can_be_used_as_soon_as_the_job_adds_it() {
    let (db, _) = orders(3, "").await;
    db.client().await.batch_execute("CREATE TYPE kind AS ENUM ('new')").await.unwrap();
    let job = JobFile::new(
        "table = 'orders'\nset.kind = \"'paid'::kind\"\nwhere = 'kind IS NULL'\n\
         expand.type.kind = ['new', 'paid']\nexpand.column.kind = \"kind DEFAULT 'paid'\"\n",
    );
    expand(&db, &job).run().await.expect_code(0);
    expand(&db, &job).run().await.expect_code(0);
}
