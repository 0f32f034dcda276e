//! The end of a contract: names swapped and swapped back, the old column dropped when it is time, and the way back.
//!
//! Must not know: how a lock is got.

use tokio_postgres::Client;

use super::{CLOSED, catalog, contract, expand, filled, text, verify};
use crate::support::{Database, JobFile, Pgbackfill, database};

const BOTH_WAYS: &str = "
table = 'orders'
where = 'status_v2 IS NULL'
[set]
status_v2 = \"CASE status WHEN 0 THEN 'new' WHEN 1 THEN 'paid' END\"
[expand]
column.status_v2 = 'text'
sync.forward = true
sync.back.status = \"CASE status_v2 WHEN 'new' THEN 0 WHEN 'paid' THEN 1 END\"
[contract]
not_null = ['status_v2']
check.known = \"status_v2 IN ('new', 'paid')\"
index.by_status = '(status_v2)'
replace.status = 'status_v2'
drop = ['status_old']
keep = '1h'
";

async fn orders() -> (Database, JobFile, Client) {
    let db = database().await;
    let client = db.client().await;
    let table = "CREATE TABLE orders (id int PRIMARY KEY, status int NOT NULL, note text);
                 INSERT INTO orders SELECT i, i % 2 FROM generate_series(1, 50) AS i";
    client.batch_execute(&format!("{CLOSED}; {table}")).await.unwrap();
    (db, JobFile::new(BOTH_WAYS), client)
}

fn undo(db: &Database, job: &JobFile) -> Pgbackfill {
    Pgbackfill::new(["undo", "--contract"]).arg(job.path()).on(db)
}

fn drop_old(db: &Database, job: &JobFile) -> Pgbackfill {
    Pgbackfill::new(["contract", "--drop", "--yes-drop", "status_old"]).arg(job.path()).on(db)
}

/// As if the contract had been done a day ago.
async fn a_day_later(client: &Client) {
    client.batch_execute("UPDATE pgbackfill.step SET done_at = done_at - interval '1 day'").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_are_swapped_and_what_is_written_is_in_both_columns() {
    let (db, job, client) = orders().await;
    filled(&db, &job).await;
    let before = catalog(&client, "orders").await;
    let said = contract(&db, &job).run().await.expect_code(0).stderr;
    assert!(
        said.contains("4/4 replace status by status_v2: swaps the names; the old column is \"status_old\""),
        "{said}"
    );
    // The release that reads words under the old name.
    client.batch_execute("INSERT INTO orders (id, status) VALUES (100, 'paid'); UPDATE orders SET status = 'new' WHERE id = 1").await.unwrap();
    let rows =
        "SELECT string_agg(id || status || status_old, ' ' ORDER BY id) FROM orders WHERE id IN (1, 2, 100)";
    assert_eq!(text(&client, rows).await, "1new0 2new0 100paid1");
    // One that still writes numbers, by the name that they have now.
    client.batch_execute("UPDATE orders SET status_old = 1 WHERE id = 2").await.unwrap();
    assert_eq!(text(&client, rows).await, "1new0 2paid1 100paid1");
    let after = catalog(&client, "orders").await;
    for command in [expand(&db, &job), contract(&db, &job)] {
        let said = command.run().await.expect_code(0).stderr;
        assert!(!said.contains("done") && said.contains("is there already"), "{said}");
    }
    assert_eq!(catalog(&client, "orders").await, after);
    // And back: nothing that was written in between is lost.
    undo(&db, &job).run().await.expect_code(0);
    let rows =
        "SELECT string_agg(id || status_v2 || status, ' ' ORDER BY id) FROM orders WHERE id IN (1, 2, 100)";
    assert_eq!(text(&client, rows).await, "1new0 2paid1 100paid1");
    assert_eq!(catalog(&client, "orders").await, before);
    client.batch_execute("UPDATE orders SET status = 0 WHERE id = 2").await.unwrap();
    assert_eq!(text(&client, rows).await, "1new0 2new0 100paid1");
    let again = undo(&db, &job).run().await.expect_code(0).stderr;
    assert_eq!(again.matches("was not made").count(), 4, "{again}");
    // The trigger is another one by now.
    let said = contract(&db, &job).run().await.expect_code(1).stderr;
    assert!(said.contains("its sync trigger was changed or disabled since"), "{said}");
    verify(&db, &job).run().await.expect_code(0);
    contract(&db, &job).run().await.expect_code(0);
    assert_eq!(catalog(&client, "orders").await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_column_goes_when_it_is_time_and_its_name_is_said() {
    let (db, job, client) = orders().await;
    filled(&db, &job).await;
    let said = drop_old(&db, &job).run().await.expect_code(1).stderr;
    assert!(said.contains("NOT NULL of status_v2 is not made yet, so nothing is dropped"), "{said}");
    contract(&db, &job).run().await.expect_code(0);
    let said = drop_old(&db, &job).run().await.expect_code(1).stderr;
    assert!(said.contains("the columns are kept for 1 h 00 min, so nothing is dropped"), "{said}");
    a_day_later(&client).await;
    let said =
        Pgbackfill::new(["contract", "--drop"]).arg(job.path()).on(&db).run().await.expect_code(2).stderr;
    assert!(said.contains("column status_old is not dropped without its name"), "{said}");
    client.batch_execute("CREATE VIEW v AS SELECT status_old FROM orders; CREATE INDEX theirs ON orders (note, status_old)").await.unwrap();
    let said = drop_old(&db, &job).run().await.expect_code(1).stderr;
    assert!(
        said.contains("column status_old is still used, and nothing was dropped: rule _RETURN on view v"),
        "{said}"
    );
    client.batch_execute("DROP VIEW v").await.unwrap();
    let said = drop_old(&db, &job).run().await.expect_code(0).stderr;
    assert!(said.contains("1/1 drop status_old: with it goes: index theirs"), "{said}");
    assert!(!catalog(&client, "orders").await.contains("status_old"));
    client.batch_execute("INSERT INTO orders (id, status) VALUES (200, 'paid')").await.unwrap();
    for _ in 0..2 {
        drop_old(&db, &job).run().await.expect_code(0);
        let said = undo(&db, &job).run().await.expect_code(1).stderr;
        assert!(said.contains("the old column was dropped, so there is no way back"), "{said}");
        contract(&db, &job).run().await.expect_code(0);
        expand(&db, &job).run().await.expect_code(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_way_back_the_trigger_goes_with_the_swap_and_the_old_column_may_be_null() {
    let (db, _, client) = orders().await;
    let one_way =
        BOTH_WAYS.lines().filter(|line| !line.starts_with("sync.back")).collect::<Vec<_>>().join("\n");
    let job = JobFile::new(&one_way);
    filled(&db, &job).await;
    contract(&db, &job).run().await.expect_code(0);
    client.batch_execute("INSERT INTO orders (id, status) VALUES (100, 'paid')").await.unwrap();
    assert_eq!(
        text(&client, "SELECT status || coalesce(status_old::text, '-') FROM orders WHERE id = 100").await,
        "paid-"
    );
    assert_eq!(
        text(&client, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_pgbackfill%'").await,
        "0"
    );
    for command in [expand(&db, &job), contract(&db, &job)] {
        let said = command.run().await.expect_code(0).stderr;
        assert!(!said.contains("done"), "{said}");
    }
    // The old column does not have what was written since.
    let before = catalog(&client, "orders").await;
    let said = undo(&db, &job).run().await.expect_code(1).stderr;
    assert!(said.contains("would be lost from sight: nothing was changed"), "{said}");
    assert_eq!(catalog(&client, "orders").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_go_on_showing_the_same_values_keeps_the_names_from_being_swapped() {
    let (db, job, client) = orders().await;
    filled(&db, &job).await;
    client.batch_execute("CREATE VIEW v AS SELECT id, status FROM orders").await.unwrap();
    let said = contract(&db, &job).run().await.expect_code(2).stderr;
    assert!(
        said.contains(
            "what depends on column `status` would go on showing the same values: rule _RETURN on view v"
        ),
        "{said}"
    );
    client.batch_execute("DROP VIEW v; ALTER TABLE orders ADD COLUMN status_old text").await.unwrap();
    let said = contract(&db, &job).run().await.expect_code(2).stderr;
    assert!(said.contains("column `status_old` is there already"), "{said}");
    client.batch_execute("ALTER TABLE orders DROP COLUMN status_old").await.unwrap();
    contract(&db, &job).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_takes_each_step_and_leaves_what_was_there_before() {
    let db = database().await;
    let client = db.client().await;
    let tables = "CREATE TABLE users (id int PRIMARY KEY);
                  CREATE TABLE orders (id int PRIMARY KEY, legacy int) PARTITION BY RANGE (id);
                  CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100);
                  CREATE TABLE orders_2 PARTITION OF orders DEFAULT;
                  INSERT INTO users SELECT generate_series(0, 9);
                  INSERT INTO orders SELECT i, i % 10 FROM generate_series(1, 200) AS i;
                  CREATE INDEX theirs ON orders (legacy)";
    client.batch_execute(tables).await.unwrap();
    let job = JobFile::new(
        "table = 'orders'\nset.user_id = 'legacy'\nwhere = 'user_id IS NULL'\nexpand.column.user_id = 'int'\n\
         [contract]\nnot_null = ['user_id']\ncheck.known = 'user_id >= 0'\nforeign_key.user_id = 'users'\n\
         index.theirs = '(legacy)'\nunique.ours = '(id, user_id)'\n\
         [[contract.step]]\nname = 'comment'\ndo = 'COMMENT ON TABLE orders IS $$ours$$'\nundo = 'COMMENT ON TABLE orders IS NULL'\n",
    );
    filled(&db, &job).await;
    let all = async || {
        let mut found = Vec::new();
        for table in ["orders", "orders_1", "orders_2"] {
            found.push(catalog(&client, table).await);
        }
        found.push(text(&client, "SELECT obj_description('orders'::regclass)").await);
        found.join("\n")
    };
    let before = all().await;
    contract(&db, &job).run().await.expect_code(0);
    assert_ne!(all().await, before);
    let said = undo(&db, &job).run().await.expect_code(0).stderr;
    assert!(said.contains("index theirs: was there before, and stays"), "{said}");
    assert_eq!(all().await, before, "{said}");
    contract(&db, &job).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_stay_with_the_old_column_keeps_the_names_from_being_swapped() {
    let (db, _, client) = orders().await;
    let one_way =
        BOTH_WAYS.lines().filter(|line| !line.starts_with("sync.back")).collect::<Vec<_>>().join("\n");
    let job = JobFile::new(&one_way);
    filled(&db, &job).await;
    for (before, told, after) in [
        (
            "ALTER TABLE orders ALTER status SET DEFAULT 0",
            "column `status` has a default, and `status_v2` has none",
            "ALTER TABLE orders ALTER status DROP DEFAULT",
        ),
        (
            "ALTER TABLE orders ADD CONSTRAINT one UNIQUE (id, status)",
            "a constraint would stay with the old column: one of orders",
            "ALTER TABLE orders DROP CONSTRAINT one",
        ),
        (
            "GRANT SELECT (status) ON orders TO PUBLIC",
            "the privileges on column `status` are not those on `status_v2`",
            "REVOKE SELECT (status) ON orders FROM PUBLIC; GRANT SELECT (status_v2) ON orders TO PUBLIC; REVOKE SELECT (status_v2) ON orders FROM PUBLIC",
        ),
    ] {
        client.batch_execute(before).await.unwrap();
        let said = contract(&db, &job).run().await.expect_code(2).stderr;
        assert!(said.contains(told), "{said}");
        client.batch_execute(after).await.unwrap();
    }
    contract(&db, &job).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_swap_partitions_and_columns_that_go_make_no_difference_to_what_is_in_step() {
    let db = database().await;
    let client = db.client().await;
    let tables = "CREATE TABLE orders (id int PRIMARY KEY, status int NOT NULL DEFAULT 0, note text) PARTITION BY RANGE (id);
                  CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100);
                  CREATE TABLE orders_2 PARTITION OF orders DEFAULT;
                  INSERT INTO orders SELECT i, i % 2 FROM generate_series(1, 50) AS i";
    client.batch_execute(&format!("{CLOSED}; {tables}")).await.unwrap();
    let job = JobFile::new(BOTH_WAYS);
    filled(&db, &job).await;
    client.batch_execute("INSERT INTO orders (id, status_v2) VALUES (200, 'paid')").await.unwrap();
    assert_eq!(text(&client, "SELECT status FROM orders WHERE id = 200").await, "1");
    contract(&db, &job).run().await.expect_code(0);
    client
        .batch_execute(
            "ALTER TABLE orders DROP COLUMN note; INSERT INTO orders (id, status) VALUES (201, 'paid')",
        )
        .await
        .unwrap();
    client.batch_execute("INSERT INTO orders (id, status_old) VALUES (202, 1)").await.unwrap();
    let rows = "SELECT string_agg(id || status || status_old, ' ' ORDER BY id) FROM orders WHERE id > 200";
    assert_eq!(text(&client, rows).await, "201paid1 202paid1");
    assert_eq!(text(&client, "SELECT is_called FROM pgbackfill.sync_failures_job").await, "false");
    undo(&db, &job).run().await.expect_code(0);
    client.batch_execute("INSERT INTO orders (id, status) VALUES (203, 1)").await.unwrap();
    assert_eq!(text(&client, "SELECT status_v2 FROM orders WHERE id = 203").await, "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_only_have_such_names_were_not_swapped() {
    let db = database().await;
    let client = db.client().await;
    let table = "CREATE TABLE users (id int PRIMARY KEY, email text, email_old text); INSERT INTO users VALUES (1, 'a')";
    client.batch_execute(&format!("{CLOSED}; {table}")).await.unwrap();
    let job = JobFile::new(
        "table = 'users'\nset.email_n = 'lower(email)'\nwhere = 'email_n IS NULL'\nexpand.column.email_n = 'text'\n\
         expand.sync.forward = true\ncontract.replace.email = 'email_n'\n",
    );
    filled(&db, &job).await;
    let said = contract(&db, &job).run().await.expect_code(2).stderr;
    assert!(said.contains("column `email_old` is there already"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_removes_what_was_left_of_steps_that_were_cut_off() {
    let (db, job, client) = orders().await;
    filled(&db, &job).await;
    let before = catalog(&client, "orders").await;
    contract(&db, &job).run().await.expect_code(0);
    // As they are left by a DROP INDEX CONCURRENTLY, and by a contract that was killed while it looked at the rows.
    let left = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_status'::regclass;
                ALTER TABLE orders ADD CONSTRAINT pgbackfill_status_v2_not_null CHECK (status IS NOT NULL) NOT VALID";
    client.batch_execute(left).await.unwrap();
    undo(&db, &job).run().await.expect_code(0);
    assert_eq!(catalog(&client, "orders").await, before);
}
