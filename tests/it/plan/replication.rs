//! Publications, slots and standbys.

use super::walsender::Walsender;
use super::{JOB, NONE, execute, facts, facts_of, partitioned, planned, provoked, troubled, with_table};
use crate::support::{Database, troubled_server};

/// The facts about one slot or standby: others have theirs on the same server.
async fn facts_about(db: &Database, code: &str, name: &str) -> Vec<String> {
    let all = facts(db, code).await;
    all.into_iter().filter(|fact| fact.contains(&format!("\"{name}\""))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_table_without_identity_cannot_be_changed() {
    let db = with_table().await;
    let publish = "CREATE PUBLICATION inserts FOR TABLE t WITH (publish = 'insert'); ALTER TABLE t REPLICA IDENTITY NOTHING";
    execute(&db, publish).await;
    assert_eq!(facts(&db, "no-replica-identity").await, NONE);
    execute(&db, "CREATE PUBLICATION p FOR TABLE t").await;
    assert_eq!(facts(&db, "no-replica-identity").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_can_a_partition_without_one() {
    let db = partitioned().await;
    let make = "
        CREATE PUBLICATION p FOR TABLE t";
    execute(&db, make).await;
    let told = provoked(&db, "ALTER TABLE t2 REPLICA IDENTITY NOTHING", "no-replica-identity").await;
    assert_eq!(
        told,
        ["t2 is published (p) and has no replica identity, so that no row of it can be updated"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_table_whose_old_rows_are_logged_whole_is_told() {
    let db = with_table().await;
    execute(&db, "CREATE PUBLICATION p FOR TABLE t").await;
    let told = provoked(&db, "ALTER TABLE t REPLICA IDENTITY FULL", "full-replica-identity").await;
    assert_eq!(
        told,
        ["t is published (p) with REPLICA IDENTITY FULL: each change carries the whole old row"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_told_as_one_that_carries_all_or_as_one_that_nobody_reads() {
    let (db, elsewhere) = (troubled().await, troubled().await);
    execute(&db, "CREATE PUBLICATION p FOR TABLE t").await;
    let slot = format!("slot_of_{}", db.name);
    for code in ["logical-slot", "abandoned-slot"] {
        assert_eq!(facts_about(&db, code, &slot).await, NONE);
    }
    execute(&db, &format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
    let told = facts_about(&db, "abandoned-slot", &slot).await;
    assert!(told.len() == 1 && told[0].starts_with("nobody reads replication slot "), "{told:?}");
    assert!(told[0].ends_with(" of WAL and all that is written from now on, without a limit"), "{told:?}");
    assert_eq!(facts_about(&db, "logical-slot", &slot).await, NONE);
    let mut reader = Walsender::connect(troubled_server().port(), &db.name, "database", "reader").await;
    reader
        .start(&format!(
            "START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names 'p')"
        ))
        .await;
    let told = facts_about(&db, "logical-slot", &slot).await;
    assert_eq!(told, [format!("logical slot \"{slot}\" reads this database: all changes go through it")]);
    assert_eq!(facts_about(&db, "abandoned-slot", &slot).await, NONE);
    assert_eq!(facts_about(&elsewhere, "logical-slot", &slot).await, NONE);
    drop(reader);
    db.until(&format!("SELECT NOT active FROM pg_replication_slots WHERE slot_name = '{slot}'")).await;
    execute(&db, &format!("SELECT pg_drop_replication_slot('{slot}')")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_is_behind_already_is_told() {
    let db = troubled().await;
    let client = db.client().await;
    let lsn: String = client.query_one("SELECT pg_current_wal_flush_lsn()::text", &[]).await.unwrap().get(0);
    let mut standby = Walsender::connect(troubled_server().port(), &db.name, "true", &db.name).await;
    standby.start(&format!("START_REPLICATION {lsn}")).await;
    let (high, low) = lsn.split_once('/').unwrap();
    let [high, low] = [high, low].map(|hex| u64::from_str_radix(hex, 16).unwrap());
    let behind = (high << 32) + low;
    let known = |lsn: u64| {
        format!(
            "SELECT replay_lsn - '0/0' = {lsn} FROM pg_stat_replication WHERE application_name = '{}'",
            db.name
        )
    };
    // Others write to the same log, but not that much.
    let ahead = behind + (1 << 40);
    standby.has_replayed(ahead).await;
    db.until(&known(ahead)).await;
    assert_eq!(facts_about(&db, "standby-lag", &db.name).await, NONE);
    standby.has_replayed(behind).await;
    db.until(&known(behind)).await;
    // More than a segment, to which it is deaf.
    execute(
        &db,
        "SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000)) FROM generate_series(1, 40)",
    )
    .await;
    let told = facts_about(&db, "standby-lag", &db.name).await;
    assert!(
        told.len() == 1 && told[0].contains(" MiB") && told[0].ends_with(" behind before the run has begun"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pace_that_outruns_max_wal_size_is_told_and_one_that_does_not_is_not() {
    let db = troubled().await;
    let grow =
        "INSERT INTO t SELECT i, i, i, repeat('c', 100) FROM generate_series(1001, 120000) AS i; ANALYZE t";
    execute(&db, grow).await;
    let told = facts(&db, "small-max-wal-size").await;
    assert!(
        told.len() == 1 && told[0].starts_with("at this pace max_wal_size has a checkpoint begin every "),
        "{told:?}"
    );
    let paced = format!("{JOB}pace.max_wal_per_second = '100KiB'");
    assert_eq!(facts_of(&db, &paced, "small-max-wal-size").await, NONE);
    let (told, _) = planned(db.url(), &paced).await;
    assert_eq!(told["estimate"]["held_by"], "max_wal_per_second");
}
