//! What hangs on the table.

use super::{JOB, NONE, execute, facts, facts_of, partitioned, provoked, with_table};

#[tokio::test(flavor = "multi_thread")]
async fn an_index_on_a_set_column_is_told_and_one_on_another_is_not() {
    let db = with_table().await;
    execute(&db, "CREATE INDEX ON t (b)").await;
    let told = provoked(&db, "CREATE INDEX by_a ON t (c) WHERE a > 0", "set-column-indexed").await;
    assert_eq!(
        told,
        ["index \"by_a\" uses a column that is set, so each changed row costs every index an entry"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_fires_is_told_with_its_cost() {
    let db = with_table().await;
    let silent = "
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER on_insert BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();
        CREATE TRIGGER on_c BEFORE UPDATE OF c ON t FOR EACH ROW EXECUTE FUNCTION touch();
        CREATE TRIGGER off BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
        ALTER TABLE t DISABLE TRIGGER off";
    execute(&db, silent).await;
    assert_eq!(facts(&db, "statement-trigger").await, NONE);
    let loud = "
        CREATE TRIGGER on_a BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION touch();
        CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touch();
        CREATE TRIGGER whole AFTER UPDATE ON t EXECUTE FUNCTION touch()";
    let told = provoked(&db, loud, "row-trigger").await;
    assert_eq!(told.len(), 2, "{told:?}");
    for (fact, begins) in told.iter().zip([
        "trigger \"late\" on t calls touch AFTER each row is updated, at ",
        "trigger \"on_a\" on t calls touch BEFORE each row is updated, at ",
    ]) {
        assert!(fact.starts_with(begins) && fact.ends_with(" µs a row"), "{fact}");
    }
    assert_eq!(facts(&db, "statement-trigger").await, ["trigger \"whole\" on t calls touch for each batch"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trigger_of_a_partitioned_table_is_told_once() {
    let db = partitioned().await;
    let make = "
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'";
    execute(&db, make).await;
    let trigger = "CREATE TRIGGER on_a BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()";
    let told = provoked(&db, trigger, "row-trigger").await;
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_are_told_in_both_directions() {
    let db = with_table().await;
    execute(&db, "CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u SELECT generate_series(0, 1001)").await;
    execute(&db, "ALTER TABLE t ADD CONSTRAINT by_b FOREIGN KEY (b) REFERENCES u").await;
    let told =
        provoked(&db, "ALTER TABLE t ADD CONSTRAINT by_a FOREIGN KEY (a) REFERENCES u", "foreign-key-in-set")
            .await;
    let begins =
        "foreign key \"by_a\" uses a column that is set: each row is looked up in u, and locked there (at ";
    assert!(told.len() == 1 && told[0].starts_with(begins), "{told:?}");
    let referenced = "
        ALTER TABLE t DROP CONSTRAINT by_a, ADD UNIQUE (a);
        CREATE TABLE child (a int CONSTRAINT to_a REFERENCES t (a))";
    execute(&db, referenced).await;
    let told = facts(&db, "foreign-key-in-set").await;
    let begins = "foreign key \"to_a\" of child points to a column that is set";
    assert!(told.len() == 1 && told[0].starts_with(begins), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_index_on_a_set_column_is_told() {
    let db = with_table().await;
    execute(&db, "CREATE UNIQUE INDEX ON t (b) INCLUDE (a)").await;
    let told = provoked(&db, "CREATE UNIQUE INDEX one_a ON t (a, c)", "unique-column-in-set").await;
    assert_eq!(told, ["unique index \"one_a\" uses a column that is set"]);
    execute(&db, "CREATE UNIQUE INDEX of_a ON t (abs(a), c)").await;
    assert_eq!(facts(&db, "unique-column-in-set").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_column_that_is_computed_from_a_set_one_is_told() {
    let db = with_table().await;
    execute(&db, "ALTER TABLE t ADD of_b int GENERATED ALWAYS AS (b * 2) STORED").await;
    let add = "ALTER TABLE t ADD of_a int GENERATED ALWAYS AS (a * 2) STORED";
    let told = provoked(&db, add, "generated-column").await;
    assert_eq!(told, ["generated column \"of_a\" is computed again for each row"]);
    execute(&db, "CREATE INDEX by_of_a ON t (of_a)").await;
    let told = facts(&db, "generated-column").await;
    assert!(told[0].ends_with(", and index \"by_of_a\" uses it, so no update can be HOT"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_security_that_does_not_hold_for_the_role_is_told() {
    let db = with_table().await;
    let told = provoked(&db, "ALTER TABLE t ENABLE ROW LEVEL SECURITY", "row-security-bypassed").await;
    assert_eq!(told, ["\"public\".\"t\" has row security, which does not hold for role \"postgres\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_autovacuum_is_told() {
    let db = with_table().await;
    let told = provoked(&db, "ALTER TABLE t SET (autovacuum_enabled = off)", "autovacuum-off").await;
    assert_eq!(told, ["autovacuum is off for t: nobody removes the dead rows"]);
    execute(&db, "ALTER TABLE t SET (autovacuum_enabled = on)").await;
    assert_eq!(facts(&db, "autovacuum-off").await, NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_rows_that_nobody_removed_are_told() {
    let db = with_table().await;
    let die = "
        ALTER TABLE t SET (autovacuum_enabled = off);
        INSERT INTO t SELECT i, i, i FROM generate_series(1001, 12000) AS i";
    execute(&db, die).await;
    assert_eq!(facts(&db, "autovacuum-behind").await, NONE);
    execute(&db, "UPDATE t SET c = 'd'").await;
    db.until("pg_stat_get_dead_tuples('t'::regclass) >= 12000").await;
    let told = facts(&db, "autovacuum-behind").await;
    assert!(
        told.len() == 1 && told[0].contains(" row versions are dead, and autovacuum should have come at "),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_refused_under_its_name() {
    let db = with_table().await;
    let more = "
        CREATE TABLE keyless (id int, a int);
        CREATE TABLE parts (id int, day date) PARTITION BY RANGE (day);
        ALTER TABLE t ADD g int GENERATED ALWAYS AS (b) STORED;
        CREATE VIEW v AS SELECT * FROM t";
    execute(&db, more).await;
    for (toml, code) in [
        ("table = 'tt'\nset.a = '1'", "unknown-table"),
        ("table = 'v'\nset.a = '1'", "unusable-table"),
        ("table = 'keyless'\nset.a = 'a + 1'", "no-usable-index"),
        ("table = 'keyless'\nset.a = 'a + 1'\nscan.order = 'heap'", "not-repeatable"),
        ("table = 't'\nset.z = '1'", "unknown-column"),
        ("table = 't'\nset.id = '1'", "key-in-set"),
        // It has no key either: a key of it would have the partition key's columns.
        ("table = 'parts'\nset.day = 'day + 1'", "partition-key-in-set"),
        ("table = 't'\nset.g = '1'", "generated-in-set"),
        ("table = 't'\nset.a = 'b +'", "bad-expression"),
    ] {
        assert_eq!(facts_of(&db, toml, code).await.len(), 1, "{toml}");
        assert_eq!(facts_of(&db, JOB, code).await, NONE, "{code}");
    }
}
