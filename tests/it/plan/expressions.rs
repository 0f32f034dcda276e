//! The job's expressions, and the rows that they meet.

use super::{JOB, NONE, execute, facts, facts_of, partitioned, with_table};

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_that_is_volatile_is_told_wherever_the_volatile_part_stands() {
    let db = with_table().await;
    execute(&db, "CREATE SEQUENCE s; CREATE TABLE u (id int PRIMARY KEY, n int)").await;
    for stable in ["b + 1", "length(now()::text)", "(SELECT n FROM u WHERE u.id = t.b)"] {
        assert_eq!(facts_of(&db, &format!("table = 't'\nset.a = '{stable}'"), "volatile-set").await, NONE);
    }
    for volatile in ["(random() * 9)::int", "b + (SELECT nextval($$s$$))::int"] {
        let told = facts_of(&db, &format!("table = 't'\nset.a = '{volatile}'"), "volatile-set").await;
        assert_eq!(told, ["the expression for column \"a\" has another value each time it is asked"]);
    }
    let beside_a_lookup = "table = 't'\nset.a = 'u.n + (random() * 9)::int'\nset.c = 'u.n::text'\nfrom = 'u'\non = 'u.id = t.b'";
    assert_eq!(facts_of(&db, beside_a_lookup, "volatile-set").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volatile_expression_is_told_of_a_partitioned_table_too() {
    let db = super::database().await;
    let make = "
        CREATE TABLE t (id int PRIMARY KEY, a int, b int) PARTITION BY RANGE (id);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);
        INSERT INTO t SELECT i, i, i FROM generate_series(1, 9) AS i";
    execute(&db, make).await;
    assert_eq!(facts(&db, "volatile-set").await, NONE);
    assert_eq!(facts_of(&db, "table = 't'\nset.a = '(random() * 9)::int'", "volatile-set").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_from_another_table_are_told_with_its_name() {
    let db = with_table().await;
    execute(&db, "CREATE TABLE u (id int PRIMARY KEY, n int); INSERT INTO u SELECT i, i FROM generate_series(1, 9) AS i").await;
    assert_eq!(facts(&db, "stale-lookup").await, NONE);
    for toml in [
        "table = 't'\nset.a = 'u.n'\nfrom = 'u'\non = 'u.id = t.b'",
        "table = 't'\nset.a = '(SELECT n FROM u WHERE u.id = t.b)'",
    ] {
        assert_eq!(facts_of(&db, toml, "stale-lookup").await, ["the new values come from \"public\".\"u\""]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_violate_what_is_not_valid_are_counted() {
    let db = with_table().await;
    let harmless = "
        ALTER TABLE t ADD CONSTRAINT holds CHECK (b > 0) NOT VALID;
        ALTER TABLE t ADD CONSTRAINT of_a_set_column CHECK (a > 1) NOT VALID";
    execute(&db, harmless).await;
    assert_eq!(facts(&db, "unchecked-constraint").await, NONE);
    execute(&db, "ALTER TABLE t ADD CONSTRAINT most CHECK (b > 100) NOT VALID").await;
    let told = facts(&db, "unchecked-constraint").await;
    assert_eq!(
        told,
        [
            "100 of 1000 rows that would be changed violate constraint \"most\" ((b > 100)), which is NOT VALID"
        ]
    );
    // Rows that are left out do not matter.
    assert_eq!(facts_of(&db, &format!("{JOB}where = 'b > 100'"), "unchecked-constraint").await, NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_holds_for_the_partition_that_has_it() {
    let db = partitioned().await;
    let make = "
        ALTER TABLE t2 ADD CONSTRAINT of_t2 CHECK (b > 15) NOT VALID";
    execute(&db, make).await;
    let told = facts(&db, "unchecked-constraint").await;
    assert!(told.len() == 1 && told[0].starts_with("6 of 19 rows"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_where_that_no_row_matches_is_told() {
    let db = with_table().await;
    assert_eq!(facts_of(&db, &format!("{JOB}where = 'b = 7'"), "nothing-matches").await, NONE);
    let told = facts_of(&db, &format!("{JOB}where = 'b = 0'"), "nothing-matches").await;
    assert_eq!(told, ["none of all rows is one that the job would change"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_large_table_a_sample_is_looked_at_and_the_trial_begins_where_rows_match() {
    let db = with_table().await;
    let grow = "
        INSERT INTO t SELECT i, i, i, repeat('c', 100) FROM generate_series(1001, 50000) AS i;
        VACUUM ANALYZE t";
    for sql in grow.split(';') {
        execute(&db, sql).await;
    }
    let (told, _) = super::planned(db.url(), &format!("{JOB}where = 'id > 25000'")).await;
    let sample = &told["rows"]["sample"];
    assert_eq!(sample["whole"], false);
    let (rows, matching) = (sample["rows"].as_u64().unwrap(), sample["matching"].as_u64().unwrap());
    assert!(rows > 500 && rows < 20_000, "{sample}");
    assert!(matching > rows / 4 && matching < rows * 3 / 4, "{sample}");
    let to_change = told["rows"]["to_change"].as_u64().unwrap();
    assert!((12_000..38_000).contains(&to_change), "{to_change}");
    let trial = &told["trial"];
    assert_eq!(trial["rows_changed"], trial["rows_passed"], "the trial began before the rows that match");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_is_told_with_the_servers_words() {
    let db = with_table().await;
    assert_eq!(facts(&db, "failed-trial").await, NONE);
    let told = facts_of(&db, "table = 't'\nset.a = '1 / (b - 100)'", "failed-trial").await;
    assert_eq!(told, ["the batch that was tried failed: division by zero [SQLSTATE 22012]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_keeps_the_trial_waiting_no_longer_than_a_batch() {
    let db = with_table().await;
    let locker = db.client().await;
    locker.batch_execute("BEGIN; SELECT FROM t WHERE id = 5 FOR UPDATE").await.unwrap();
    let told = facts(&db, "failed-trial").await;
    assert_eq!(
        told,
        ["the batch that was tried failed: canceling statement due to lock timeout [SQLSTATE 55P03]"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_looked_at_is_told_and_the_rest_is_there() {
    let db = with_table().await;
    assert_eq!(facts(&db, "incomplete").await, NONE);
    // Slow for the review alone, so that nothing else has to wait.
    let slow =
        "CASE WHEN current_setting('statement_timeout') = '3s' THEN pg_sleep(60) IS NOT NULL ELSE true END";
    let (told, code) = super::planned(db.url(), &format!("{JOB}where = \"{slow}\"")).await;
    let facts: Vec<_> = told["findings"].as_array().unwrap().iter().map(|finding| &finding["fact"]).collect();
    assert_eq!(code, 0);
    let said = "the review is incomplete: a sample of the rows: canceling statement due to statement timeout [SQLSTATE 57014]";
    assert!(facts.iter().any(|fact| *fact == said), "{facts:?}");
    assert!(told["trial"]["rows_changed"].as_u64() > Some(0), "{told}");
}
