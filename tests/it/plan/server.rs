//! Who else is there, and how the server is set.

use tokio_postgres::error::SqlState;

use super::{JOB, NONE, TABLE, execute, facts, facts_as, troubled, with_table};
use crate::support::{database_behind_pgbouncer, skipped};

#[tokio::test(flavor = "multi_thread")]
async fn old_snapshots_and_prepared_transactions_are_told_when_they_are_old() {
    let db = troubled().await;
    for code in ["old-snapshot", "prepared-transaction"] {
        assert_eq!(facts(&db, code).await, NONE);
    }
    let holder = db.client().await;
    holder
        .batch_execute(
            "SET application_name = 'holder'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM t",
        )
        .await
        .unwrap();
    let prepare =
        format!("BEGIN; UPDATE t SET c = 'd' WHERE id = 1000; PREPARE TRANSACTION 'of {}'", db.name);
    execute(&db, &prepare).await;
    db.until("EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database() AND now() - prepared > '5.2 s')").await;
    let told = facts(&db, "old-snapshot").await;
    assert!(
        told.len() == 1 && told[0].contains(" of postgres (holder) has held an old snapshot for "),
        "{told:?}"
    );
    let told = facts(&db, "prepared-transaction").await;
    let begins = format!("transaction 'of {}' has been prepared for ", db.name);
    assert!(told.len() == 1 && told[0].starts_with(&begins), "{told:?}");
    execute(&db, &format!("ROLLBACK PREPARED 'of {}'", db.name)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_ids_that_are_due_for_a_vacuum_are_told() {
    let db = troubled().await;
    // With it nothing can be frozen, whoever tries.
    let holder = db.client().await;
    holder.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM t").await.unwrap();
    let age = "(SELECT max(age(datfrozenxid)) FROM pg_database)";
    let burn = format!(
        "DO $$ BEGIN WHILE {age} <= 200000 LOOP
             FOR i IN 1..1000 LOOP PERFORM txid_current(); COMMIT; END LOOP;
         END LOOP; END $$"
    );
    assert_eq!(facts(&with_table().await, "wraparound").await, NONE);
    execute(&db, &burn).await;
    let told = facts(&db, "wraparound").await;
    assert!(
        told.len() == 1
            && told[0].ends_with("although vacuum should begin at 100000 (autovacuum_freeze_max_age)"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_autovacuum_is_told() {
    assert_eq!(facts(&with_table().await, "autovacuum-off").await, NONE);
    let told = facts(&troubled().await, "autovacuum-off").await;
    assert_eq!(told, ["autovacuum is off on this server: nobody removes the dead rows"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_of_the_database_are_told() {
    let db = with_table().await;
    assert_eq!(facts(&db, "forced-timeout").await, NONE);
    let force = format!(
        "ALTER DATABASE {0} SET statement_timeout = '10s'; ALTER DATABASE {0} SET idle_in_transaction_session_timeout = '1min'",
        db.name
    );
    execute(&db, &force).await;
    let told = facts_as(db.direct_url(), JOB, "forced-timeout").await;
    assert_eq!(
        told,
        [
            "statement_timeout is 10000 ms for this role",
            "idle_in_transaction_session_timeout is 60000 ms for this role"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_of_whole_transactions_is_told_where_there_is_one() {
    let db = with_table().await;
    let force = format!("ALTER DATABASE {} SET transaction_timeout = '9s'", db.name);
    if let Err(error) = db.client().await.batch_execute(&force).await {
        assert_eq!(error.code(), Some(&SqlState::UNDEFINED_OBJECT), "{error:?}");
        return skipped("PostgreSQL 17 or later");
    }
    let told = facts_as(db.direct_url(), JOB, "forced-timeout").await;
    assert_eq!(told, ["transaction_timeout is 9000 ms for this role"]);
    execute(&db, &format!("ALTER DATABASE {} RESET transaction_timeout", db.name)).await;
    assert_eq!(facts_as(db.direct_url(), JOB, "forced-timeout").await, NONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_is_told_from_a_server() {
    let Some(db) = database_behind_pgbouncer().await else { return skipped("pgbouncer") };
    execute(&db, TABLE).await;
    assert_eq!(facts_as(db.direct_url(), JOB, "pooler").await, NONE);
    let told = facts(&db, "pooler").await;
    assert_eq!(told, ["a pooler such as PgBouncer stands before the server"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_server_lacks_is_told() {
    let db = with_table().await;
    let version = "SELECT current_setting('server_version_num')::int < 140000";
    let is_older: bool = db.client().await.query_one(version, &[]).await.unwrap().get(0);
    let told = facts(&db, "older-server").await;
    let expected: &[&str] = if is_older {
        &[
            "PostgreSQL 13 has no client_connection_check_interval, and does not say since when a lock is waited for",
        ]
    } else {
        &NONE
    };
    assert_eq!(told, expected);
}
