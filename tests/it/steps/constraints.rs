//! NOT NULL and checks: not before the run is complete, proven by the rows beside the writers, and taken back
//! where the rows do not keep them.
//!
//! Must not know: how a constraint is made.

use tokio_postgres::Client;

use super::{
    catalog, contract, ends, expand, filled, job, orders, text, until_it_waits_for, verify, version,
};
use crate::support::{JobFile, Pgbackfill, database, skipped};

const STEPS: &str = "
[expand]
column.status_v2 = 'text'
[contract]
not_null = ['status_v2']
check.known = \"status_v2 IN ('NEW', 'PAID')\"
index.by_status_v2 = '(status_v2)'
";

/// What is left of helpers of ours.
async fn helpers(client: &Client) -> String {
    text(client, "SELECT count(*) FROM pg_constraint WHERE conname LIKE 'pgbackfill%'").await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_builds_upon_a_run_is_made_before_it_is_complete() {
    let (db, job) = orders(30, STEPS).await;
    let refused = async || contract(&db, &job).run().await.expect_code(1).stderr;
    let said = refused().await;
    assert!(said.contains("job \"job\" was never run in this database"), "{said}");
    assert!(said.contains("hint: run it first: pgbackfill run "), "{said}");
    expand(&db, &job).run().await.expect_code(0);
    job.run_with(&db, ["--max-rows", "1", "--max-rows-per-batch", "1"]).run().await.expect_code(3);
    let said = refused().await;
    assert!(said.contains("is running: nothing that builds upon it is made"), "{said}");
    Pgbackfill::new(["cancel", "job"]).on(&db).run().await.expect_code(0);
    let said = refused().await;
    assert!(said.contains("is cancelled") && said.contains("pgbackfill resume job"), "{said}");
    Pgbackfill::new(["resume", "job"]).on(&db).run().await.expect_code(0);
    job.run(&db).run().await.expect_code(0);
    let said = refused().await;
    assert!(said.contains("is complete, but not verified: it was not verified"), "{said}");
    verify(&db, &job).run().await.expect_code(0);
    contract(&db, &job).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_the_quarantine_keep_the_contract_from_being_made() {
    let (db, _) = orders(30, "").await;
    let job = JobFile::new(
        "table = 'orders'\nset.half = '10 / (id % 10)'\nwhere = 'half IS NULL'\n\
         expand.column.half = 'int'\ncontract.not_null = ['half']\n",
    );
    expand(&db, &job).run().await.expect_code(0);
    job.run_with(&db, ["--max-bad-rows", "3"]).run().await.expect_code(4);
    let said = contract(&db, &job).run().await.expect_code(1).stderr;
    assert!(said.contains("left rows in the quarantine") && said.contains("pgbackfill retry job"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_is_made_once_and_typed_again_it_is_there() {
    let (db, job) = orders(30, STEPS).await;
    filled(&db, &job).await;
    let client = db.client().await;
    let finished = contract(&db, &job).run().await.expect_code(0);
    assert!(
        finished.stderr.contains("1/3 not_null status_v2: looks at all rows, beside the writers"),
        "{}",
        finished.stderr
    );
    let first = catalog(&client, "orders").await;
    for line in ["column status_v2 text t", "(status_v2) t", "constraint known CHECK"] {
        assert!(first.contains(line), "{first}");
    }
    assert!(!first.contains("NOT VALID"), "{first}");
    assert_eq!(helpers(&client).await, "0");
    // By its name, too, which the run has left in the database.
    let again = Pgbackfill::new(["contract", "--yes", "job"]).on(&db).run().await.expect_code(0);
    assert_eq!(again.stderr.matches("is there already").count(), 3, "{}", again.stderr);
    assert_eq!(catalog(&client, "orders").await, first);
    let past = Pgbackfill::new(["history", "job"]).on(&db).run().await.expect_code(0).stdout;
    for line in ["expand: column status_v2, done", "contract: index by_status_v2, done"] {
        assert!(past.contains(line), "{past}");
    }
    let adopted = "SELECT count(*) FROM pgbackfill.step WHERE adopted OR state <> 'done'";
    assert_eq!(text(&client, adopted).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_keep_it_are_told_and_no_constraint_is_left_for_the_application() {
    let (db, job) = orders(30, STEPS).await;
    filled(&db, &job).await;
    let client = db.client().await;
    client.batch_execute("INSERT INTO orders (id) VALUES (100)").await.unwrap();
    let before = catalog(&client, "orders").await;
    let said = contract(&db, &job).run().await.expect_code(4).stderr;
    assert!(said.contains("NOT NULL of status_v2: "), "{said}");
    assert!(said.contains("no constraint is left behind; look for the rows that do not keep it"), "{said}");
    assert_eq!(catalog(&client, "orders").await, before);
    // The application goes on as before.
    client.batch_execute("INSERT INTO orders (id) VALUES (101)").await.unwrap();
    client.batch_execute("UPDATE orders SET status_v2 = 'LOST' WHERE id >= 100").await.unwrap();
    let said = contract(&db, &job).run().await.expect_code(4).stderr;
    assert!(said.contains("check known: ") && said.contains("is violated by some row"), "{said}");
    client.batch_execute("UPDATE orders SET status_v2 = 'PAID' WHERE id >= 100").await.unwrap();
    contract(&db, &job).run().await.expect_code(0);
    assert_eq!(helpers(&client).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_there_and_not_valid_is_validated_and_another_is_refused() {
    let (db, job) = orders(30, STEPS).await;
    filled(&db, &job).await;
    let client = db.client().await;
    client
        .batch_execute(
            "ALTER TABLE orders ADD CONSTRAINT known CHECK (status_v2 IN ('NEW', 'LOST')) NOT VALID",
        )
        .await
        .unwrap();
    let said = contract(&db, &job).run().await.expect_code(2).stderr;
    assert!(said.contains("constraint `known` is there already and is not the same"), "{said}");
    assert!(said.contains("'LOST'::text") && said.contains("'PAID'::text"), "{said}");
    let same = "ALTER TABLE orders DROP CONSTRAINT known;
                ALTER TABLE orders ADD CONSTRAINT known CHECK (status_v2 IN ('NEW', 'PAID')) NOT VALID";
    client.batch_execute(same).await.unwrap();
    // It is not ours to take back.
    client
        .batch_execute("ALTER TABLE orders DISABLE TRIGGER USER; ALTER TABLE orders DROP CONSTRAINT known")
        .await
        .unwrap();
    client.batch_execute("UPDATE orders SET status_v2 = 'LOST' WHERE id = 1").await.unwrap();
    client
        .batch_execute(
            "ALTER TABLE orders ADD CONSTRAINT known CHECK (status_v2 IN ('NEW', 'PAID')) NOT VALID",
        )
        .await
        .unwrap();
    let said = contract(&db, &job).run().await.expect_code(4).stderr;
    assert!(said.contains("the constraint was there before, and stays as it is"), "{said}");
    assert!(catalog(&client, "orders").await.contains("NOT VALID"));
    client.batch_execute("UPDATE orders SET status_v2 = 'PAID' WHERE id = 1").await.unwrap();
    contract(&db, &job).run().await.expect_code(0);
    assert!(!catalog(&client, "orders").await.contains("NOT VALID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_behind_of_not_null_is_finished() {
    let (db, job) = orders(30, STEPS).await;
    filled(&db, &job).await;
    let client = db.client().await;
    // As a process leaves it that is killed before the rows were looked at.
    let left = if version(&client).await >= 180_000 {
        "ALTER TABLE orders ADD CONSTRAINT theirs NOT NULL status_v2 NOT VALID"
    } else {
        "ALTER TABLE orders ADD CONSTRAINT pgbackfill_status_v2_not_null CHECK (status_v2 IS NOT NULL) NOT VALID"
    };
    client.batch_execute(left).await.unwrap();
    contract(&db, &job).run().await.expect_code(0);
    assert_eq!(helpers(&client).await, "0");
    assert!(catalog(&client, "orders").await.contains("column status_v2 text t"));
    assert!(client.batch_execute("INSERT INTO orders (id) VALUES (100)").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_keep_it_too() {
    let db = database().await;
    let client = db.client().await;
    let tables = "CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL DEFAULT 'new') PARTITION BY RANGE (id);
                  CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100);
                  CREATE TABLE orders_2 PARTITION OF orders DEFAULT;
                  INSERT INTO orders SELECT generate_series(1, 200)";
    client.batch_execute(tables).await.unwrap();
    let job = job(STEPS);
    filled(&db, &job).await;
    contract(&db, &job).run().await.expect_code(0);
    for table in ["orders", "orders_1", "orders_2"] {
        let found = catalog(&client, table).await;
        assert!(
            found.contains("column status_v2 text t") && found.contains("constraint known CHECK"),
            "{found}"
        );
        assert!(!found.contains("NOT VALID") && !found.contains("pgbackfill"), "{found}");
    }
    assert!(client.batch_execute("INSERT INTO orders_2 (id) VALUES (999)").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_do_it_once_and_the_other_is_told_who() {
    let (db, job) = orders(30, STEPS).await;
    filled(&db, &job).await;
    let report = db.client().await;
    report.batch_execute("BEGIN; SELECT * FROM orders").await.unwrap();
    let one = contract(&db, &job).spawn();
    until_it_waits_for(&db, "FROM orders").await;
    let said = contract(&db, &job).run().await.expect_code(5).stderr;
    assert!(said.contains("NOT NULL of status_v2 is being made by "), "{said}");
    report.batch_execute("COMMIT").await.unwrap();
    ends(one).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_whose_rows_may_be_null_is_no_key_also_where_it_is_marked_as_not_null() {
    let db = database().await;
    let client = db.client().await;
    if version(&client).await < 180_000 {
        return skipped("before PostgreSQL 18 NOT NULL cannot be NOT VALID");
    }
    let table = "CREATE TABLE t (k int UNIQUE, n int NOT NULL DEFAULT 0); INSERT INTO t VALUES (1), (NULL);
                 ALTER TABLE t ADD CONSTRAINT k_there NOT NULL k NOT VALID";
    client.batch_execute(table).await.unwrap();
    let job = JobFile::new("table = 't'\nkey = 'k'\nset.n = 'n + 1'\n");
    let said = job.run(&db).run().await.expect_code(2).stderr;
    assert!(said.contains("error[no-usable-index]: key column \"k\" may be NULL"), "{said}");
}
