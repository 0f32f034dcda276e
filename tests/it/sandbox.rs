//! Throwaway servers: they are there, they stop, they come back, and nothing of them is left.
//!
//! Must not know: what a server is used for.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use pgbackfill::sandbox::{Fsync, SandboxError, StopMode};
use tokio_postgres::{Client, NoTls};

use crate::support::{builder, own_server, server_with};

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn answer(url: &str, question: &str) -> String {
    connect(url).await.query_one(question, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_started_server_answers_on_its_socket_and_on_tcp_with_its_settings() {
    let server = server_with(&[("work_mem", "5MB")]);
    for url in [server.connection_string("postgres"), server.tcp_connection_string("postgres")] {
        assert_eq!(answer(&url, "SELECT current_setting('work_mem')").await, "5MB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_comes_back_with_what_was_committed() {
    let mut server = own_server(Fsync::Off);
    let url = server.connection_string("postgres");
    let client = connect(&url).await;
    client.batch_execute("CREATE TABLE t AS SELECT 'here' AS word").await.unwrap();
    server.stop(StopMode::Kill9).unwrap();
    assert_eq!(server.pid(), None);
    server.restart().unwrap();
    assert_eq!(answer(&url, "SELECT word FROM t").await, "here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_waits_for_the_busy_backends_of_the_killed_server() {
    let mut server = own_server(Fsync::Off);
    let url = server.connection_string("postgres");
    let (client, observer) = (connect(&url).await, connect(&url).await);
    // Pure computation: such a backend does not look whether its postmaster still lives.
    let busy = "SELECT 'busy', count(*) FROM generate_series(1, 20000000)";
    let lost = tokio::spawn(async move { client.batch_execute(busy).await });
    let seen = "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_activity \
                WHERE state = 'active' AND query LIKE 'SELECT ''busy''%') \
                LOOP PERFORM pg_stat_clear_snapshot(); END LOOP; END $$";
    observer.batch_execute("SET statement_timeout = '60s'").await.unwrap();
    observer.batch_execute(seen).await.unwrap();
    server.stop(StopMode::Kill9).unwrap();
    server.restart().unwrap();
    assert_eq!(answer(&url, "SELECT 'up again'").await, "up again");
    drop(lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_follows_its_primary_under_its_name() {
    let mut primary = own_server(Fsync::Off);
    let standby = primary.standby("r1").unwrap();
    let client = connect(&primary.connection_string("postgres")).await;
    client.batch_execute("CREATE TABLE t AS SELECT 'here' AS word").await.unwrap();
    let caught_up = "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_replication \
                     WHERE application_name = 'r1' AND replay_lsn >= pg_current_wal_lsn()) \
                     LOOP PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$";
    client.batch_execute(caught_up).await.unwrap();
    assert_eq!(answer(&standby.connection_string("postgres"), "SELECT word FROM t").await, "here");
}

#[test]
fn a_dropped_server_leaves_neither_process_nor_directory() {
    let server = own_server(Fsync::Off);
    let (pid, dir) = (server.pid().unwrap(), server.dir().to_path_buf());
    drop(server);
    assert!(!dir.exists());
    assert!(signal::kill(Pid::from_raw(pid.cast_signed()), None).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_server_stays_up() {
    let server = own_server(Fsync::Off);
    let url = server.connection_string("postgres");
    let kept = server.keep();
    assert_eq!(answer(&url, "SELECT 'up'").await, "up");
    let pid = Pid::from_raw(kept.pid.unwrap().cast_signed());
    signal::kill(pid, Signal::SIGQUIT).unwrap();
    nix::sys::wait::waitpid(pid, None).unwrap();
    kept.dirs.iter().for_each(|dir| fs::remove_dir_all(dir).unwrap());
}

#[test]
fn a_server_that_cannot_start_says_why_and_leaves_nothing() {
    let parent = tempfile::tempdir_in("/tmp").unwrap();
    // The server may be lent another user, who has to get through.
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(parent.path(), open).unwrap();
    let refused = builder().within(parent.path()).setting("nonsense", "1").start();
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("unrecognized configuration parameter \"nonsense\""), "{message}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn a_stopped_server_cannot_be_stopped_again() {
    let mut server = own_server(Fsync::Off);
    server.stop(StopMode::Immediate).unwrap();
    assert!(matches!(server.stop(StopMode::Fast), Err(SandboxError::NotRunning)));
}
