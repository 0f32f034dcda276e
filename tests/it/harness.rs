//! The harness itself: if these fail, believe no other test.

use pgbackfill::sandbox::{Fsync, StopMode};

use crate::support::{Pgbackfill, database, database_on, own_server, shared_server};

#[tokio::test(flavor = "multi_thread")]
async fn each_test_has_a_database_of_its_own() {
    let (first, second) = (database().await, database().await);
    first.client().await.batch_execute("CREATE TABLE t (n int)").await.unwrap();
    second.client().await.batch_execute("CREATE TABLE t (n int)").await.unwrap();
    assert_ne!(first.name, second.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_database_goes_even_with_somebody_in_it() {
    let (kept, gone) = (database().await, database().await);
    let name = gone.name.clone();
    let _inside = gone.client().await;
    drop(gone);
    kept.until(&format!("NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}')")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shared_server_has_the_settings_that_the_tests_count_on() {
    let database = database().await;
    let client = database.client().await;
    for (name, expected) in [
        ("fsync", "off"),
        ("synchronous_commit", "on"),
        ("max_connections", "200"),
        ("shared_buffers", "256MB"),
        ("wal_level", "replica"),
    ] {
        let found: String = client.query_one(&format!("SHOW {name}"), &[]).await.unwrap().get(0);
        assert_eq!(found, expected, "{name}");
    }
    assert!(shared_server().pid().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_ones_own_survives_its_crash() {
    let mut server = own_server(Fsync::On);
    let database = database_on(&server).await;
    database.client().await.batch_execute("CREATE TABLE t AS SELECT 1 AS n").await.unwrap();
    server.stop(StopMode::Kill9).unwrap();
    server.restart().unwrap();
    database.until("SELECT n = 1 FROM t").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_what_does_not_exist_yet_ends_when_it_does() {
    let database = database().await;
    let client = database.client().await;
    let seen = database.until("SELECT n = 1 FROM late");
    let made = client.batch_execute("CREATE TABLE late AS SELECT 1 AS n");
    tokio::join!(seen, made).1.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_runs_to_its_end_with_its_output_caught() {
    let database = database().await;
    let finished = Pgbackfill::new(["--version"]).on(&database).run().await.expect_code(0);
    assert_eq!(finished.stdout, concat!("pgbackfill ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!((finished.stderr.as_str(), finished.signal), ("", None));
}
