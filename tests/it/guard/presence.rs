//! Whether other sessions are at work, and what a run in mode auto does then.
//!
//! Must not know: how others are seen.

use std::time::Duration;

use pgbackfill::sandbox::{Fsync, Server};
use tokio::task::JoinHandle;
use tokio::time;
use tokio_postgres::Client;

use super::guarded_run::{self, GuardedRun, connect};
use crate::support::{
    Database, Pgbackfill, database_behind_pgbouncer_on, database_on, own_server, skipped, until,
};

/// A session that does the same again and again, in another database of the cluster.
struct Session(JoinHandle<()>);

impl Session {
    async fn at_work(server: &Server, sql: &'static str, every: Duration) -> Self {
        let client = connect(&server.connection_string("postgres")).await;
        Self(tokio::spawn(async move {
            loop {
                client.batch_execute(sql).await.unwrap();
                time::sleep(every).await;
            }
        }))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const WRITES: &str = "INSERT INTO elsewhere VALUES (1)";
const READS: &str = "SELECT pg_sleep(0.02)";

/// A client that counts as one of ours: another one that looks again and again would count itself.
async fn observer(db: &Database) -> Client {
    connect(&format!("{}?application_name=pgbackfill_test", db.direct_url())).await
}

/// Alone, and longer than what the harness itself has done in other sessions counts.
async fn until_alone(client: &Client) {
    let settled = "(SELECT alone_since < clock_timestamp() - interval '6 s' FROM pgbackfill.guard)";
    until(client, settled).await;
}

async fn until_beside(client: &Client) {
    until(client, "(SELECT alone_since IS NULL FROM pgbackfill.guard)").await;
}

async fn status(run: &GuardedRun) -> String {
    Pgbackfill::new(["status", "job"]).on(&run.db).run().await.expect_code(0).stdout
}

/// A run in mode auto on a server of its own, and a client that looks at it.
async fn run_on(server: &Server) -> (GuardedRun, Client) {
    let run = GuardedRun::in_auto(database_on(server).await, "").await;
    let elsewhere = connect(&server.connection_string("postgres")).await;
    elsewhere.batch_execute("CREATE TABLE elsewhere (n int)").await.unwrap();
    let observer = observer(&run.db).await;
    (run, observer)
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_a_run_is_at_full_speed_until_others_come_and_again_when_they_have_gone() {
    let server = own_server(Fsync::Off);
    let (run, client) = run_on(&server).await;
    let process = run.at_work().await;
    until_alone(&client).await;
    let alone = status(&run).await;
    assert!(alone.contains("pace      full speed: nobody else has been at work for "), "{alone}");
    let other = Session::at_work(&server, WRITES, Duration::from_millis(50)).await;
    until_beside(&client).await;
    until(&client, "EXISTS (SELECT FROM pgbackfill.process WHERE hold = 'throttled' AND waiting LIKE '%the application%')").await;
    let beside = status(&run).await;
    assert!(beside.contains("pace      makes way for the application"), "{beside}");
    until(&client, "(SELECT learned IS NOT NULL AND quiet_from IS NOT NULL FROM pgbackfill.guard)").await;
    drop(other);
    until_alone(&client).await;
    let alone = status(&run).await;
    assert!(alone.contains("full speed: nobody else"), "{alone}");
    run.finishes(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_others_that_are_all_at_work_are_made_way_for() {
    let server = own_server(Fsync::Off);
    let (run, client) = run_on(&server).await;
    let process = run.at_work().await;
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(Session::at_work(&server, READS, Duration::ZERO).await);
    }
    let said =
        "coalesce(share_why LIKE 'making way: % sessions of others run a statement at any time%', false)";
    until(&client, &format!("(SELECT {said} FROM pgbackfill.guard)")).await;
    // In long quiet times it is found that they are at work all the time without us, too. Until then it is
    // said again in less than 5 s.
    let unsaid = format!(
        "SELECT NOT {said} AND read_at > clock_timestamp() - interval '3 s' AS unsaid FROM pgbackfill.guard"
    );
    let mut in_a_row = 0;
    for _ in 0..900 {
        let row = client.query_one(&unsaid, &[]).await.unwrap();
        in_a_row = if row.get("unsaid") { in_a_row + 1 } else { 0 };
        if in_a_row == 50 {
            break;
        }
        time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(in_a_row, 50, "it goes on making way");
    drop(others);
    run.finishes(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_counts_however_slow_and_a_dashboard_does_not() {
    let server = own_server(Fsync::Off);
    let (run, client) = run_on(&server).await;
    let process = run.at_work().await;
    let stays = async |alone: bool| {
        let mut seen = 0;
        for _ in 0..30 {
            let row = client.query_one("SELECT alone_since IS NOT NULL FROM pgbackfill.guard", &[]).await;
            seen += u32::from(row.unwrap().get::<_, bool>(0) == alone);
            time::sleep(Duration::from_millis(200)).await;
        }
        // A look that comes late on a busy machine says that nothing is known for a moment.
        assert!(if alone { seen >= 25 } else { seen == 30 }, "{seen} of 30, alone: {alone}");
    };
    until_alone(&client).await;
    let dashboard = Session::at_work(&server, "SELECT 1", Duration::from_secs(2)).await;
    stays(true).await;
    drop(dashboard);
    let _writer = Session::at_work(&server, WRITES, Duration::from_secs(2)).await;
    until_beside(&client).await;
    stays(false).await;
    run.finishes(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_privileges_others_are_seen_by_their_transactions() {
    let server = own_server(Fsync::Off);
    let (run, client) = run_on(&server).await;
    run.sql(&format!(
        "CREATE ROLE blind LOGIN; ALTER TABLE t OWNER TO blind; GRANT CREATE ON DATABASE {} TO blind",
        run.db.name
    ))
    .await;
    let process = run.at_work_as("blind").await;
    until_alone(&client).await;
    let reader = Session::at_work(&server, READS, Duration::from_millis(20)).await;
    until_beside(&client).await;
    drop(reader);
    until_alone(&client).await;
    run.finishes(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learned_is_where_the_next_leader_begins() {
    let server = own_server(Fsync::Off);
    let (run, client) = run_on(&server).await;
    let _other = Session::at_work(&server, WRITES, Duration::from_millis(50)).await;
    let first = run.at_work().await;
    until(&client, "(SELECT learned IS NOT NULL FROM pgbackfill.guard)").await;
    first.signal(nix::sys::signal::Signal::SIGTERM);
    first.finish().await.expect_code(3);
    // As if it had found out more.
    client
        .batch_execute("UPDATE pgbackfill.guard SET learned = 1.75, learned_at = clock_timestamp(), learned_load = 1, share = 0.05")
        .await
        .unwrap();
    let second = run.job.run(&run.db).spawn();
    until(&client, "(SELECT share > 1 FROM pgbackfill.guard)").await;
    run.finishes(second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_leader_of_an_earlier_version_leaves_is_not_believed() {
    let server = own_server(Fsync::Off);
    let (run, client) = run_on(&server).await;
    let process = run.at_work().await;
    until_alone(&client).await;
    // It takes the lead, reads on, and does not look.
    let reads = "UPDATE pgbackfill.guard
                 SET leader = 'earlier', leader_until = clock_timestamp() + interval '3 s',
                     read_at = clock_timestamp(), share = 0.5, share_why = 'the share of earlier'";
    let made_way = "SELECT EXISTS (SELECT FROM pgbackfill.process WHERE hold = 'throttled' AND waiting = 'the share of earlier')";
    let obeyed = async {
        while !client.query_one(made_way, &[]).await.unwrap().get::<_, bool>(0) {
            client.batch_execute(reads).await.unwrap();
            time::sleep(Duration::from_millis(200)).await;
        }
    };
    time::timeout(Duration::from_secs(60), obeyed).await.expect("what was left is believed");
    client.batch_execute("UPDATE pgbackfill.guard SET leader = NULL, leader_until = NULL").await.unwrap();
    run.finishes(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_others_the_server_itself_slows_a_run_down_and_alone_it_does_not() {
    // One that vacuums without end: what is at work on the table holds back where an application may need it.
    let server = guarded_run::vacuuming_server();
    let (run, client) = run_on(&server).await;
    run.sql("ALTER TABLE t SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)").await;
    let process = run.at_work().await;
    let vacuumed = "(SELECT readings::text LIKE '%\"signal\": \"maintenance\"%' FROM pgbackfill.guard)";
    let held = "EXISTS (SELECT FROM pgbackfill.process WHERE waiting LIKE '%autovacuum has been at work%')";
    until(
        &client,
        &format!("{vacuumed} AND (SELECT alone_since IS NOT NULL FROM pgbackfill.guard) AND NOT {held}"),
    )
    .await;
    let _other = Session::at_work(&server, WRITES, Duration::from_millis(50)).await;
    until(&client, held).await;
    run.sql("ALTER TABLE t SET (autovacuum_enabled = off)").await;
    run.finishes(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_others_always_count_as_present() {
    let server = own_server(Fsync::Off);
    let Some(db) = database_behind_pgbouncer_on(&server).await else { return skipped("PgBouncer") };
    let run = GuardedRun::in_auto(db, "").await;
    let client = observer(&run.db).await;
    let process = run.at_work().await;
    until(&client, "(SELECT looked_at > created_at + interval '8 s' FROM pgbackfill.guard, pgbackfill.run)")
        .await;
    let alone = client.query_one("SELECT alone_since IS NOT NULL FROM pgbackfill.guard", &[]).await;
    assert!(!alone.unwrap().get::<_, bool>(0), "it cannot be told whose a pooler's session is");
    run.finishes(process).await;
}
