//! A standby is promoted during a backfill: a process that is led to it goes on there from what it knows, a
//! process that stays with the old primary does its work there, and in each of the two every row is changed
//! once.

use pgbackfill::sandbox::{Fsync, Server, StopMode};
use tokio::task::block_in_place;
use tokio_postgres::Client;

use crate::support::oracle::{assert_once, assert_tiled};
use crate::support::{
    Address, Database, Finished, JobFile, Pgbackfill, Redirect, Running, counted_table, cut_off, database_on,
    own_server, until,
};

const ROWS: i64 = 40_000;

/// A primary and a standby that has replayed all up to now.
struct Pair {
    primary: Server,
    standby: Server,
    db: Database,
    job: JobFile,
}

async fn connect(server: &Server, database: &str) -> Client {
    Address::of(server, database).client().await.unwrap()
}

impl Pair {
    async fn new() -> Self {
        let mut primary = own_server(Fsync::Off);
        let standby = block_in_place(|| primary.standby("r1")).unwrap();
        let db = database_on(&primary).await;
        counted_table(&db, ROWS).await;
        // A standby without the database would refuse the processes that are led there.
        db.until_replayed().await;
        let toml = "table = 't'\nset.n = 'n + 1'\npace.max_rows_per_batch = 20\npace.max_rows_per_second = 1000\nlimits.retries = 100\nguard.standbys = []\n";
        Self { primary, standby, db, job: JobFile::new(toml) }
    }

    /// A process that is led to these servers, the first that takes writes.
    fn process(&self, servers: &[&Server]) -> Running {
        self.process_with(servers, [])
    }

    fn process_with<const N: usize>(&self, servers: &[&Server], args: [&str; N]) -> Running {
        let ports: Vec<_> = servers.iter().map(|server| server.port().to_string()).collect();
        let hosts = vec!["127.0.0.1"; ports.len()].join(",");
        let (ports, name) = (ports.join(","), &self.db.name);
        let url =
            format!("host={hosts} port={ports} user=postgres dbname={name} target_session_attrs=read-write");
        self.job.run_with(&self.db, args).env("DATABASE_URL", url).spawn()
    }

    async fn rows_changed(&self, server: &Server) -> i64 {
        let sql = "SELECT coalesce(sum(rows_changed), 0)::bigint FROM pgbackfill.range";
        connect(server, &self.db.name).await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// The standby becomes a primary without the last commits of the old one.
    async fn promote(&self) {
        // So much that the run is there.
        self.db.until_replayed().await;
        cut_off(&self.primary, &self.db.client().await).await;
        let standby = connect(&self.standby, "postgres").await;
        let before = self.rows_changed(&self.primary).await;
        self.db.until_changed(before + 401).await;
        standby.batch_execute("SELECT pg_promote()").await.unwrap();
        let behind = self.rows_changed(&self.standby).await;
        assert!(behind < self.rows_changed(&self.primary).await, "the standby has got everything");
    }

    /// Turns knobs of the run on that server.
    async fn set<const N: usize>(&self, server: &Server, knobs: [&str; N]) -> Finished {
        let set = Pgbackfill::new(["set", "job"].into_iter().chain(knobs));
        set.env("DATABASE_URL", server.connection_string(&self.db.name)).run().await
    }

    /// Promotes the standby under a process that is led there from its next connection on.
    async fn followed(&self) -> Running {
        let process = self.process(&[&self.standby, &self.primary]);
        self.db.until_first_batch().await;
        self.promote().await;
        process
    }

    async fn end_sessions(&self, server: &Server) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name LIKE 'pgbackfill%'";
        connect(server, &self.db.name).await.batch_execute(sql).await.unwrap();
    }

    /// The rest in a few large batches.
    async fn lift_the_ceiling(&self, server: &Server) {
        let set = self.set(server, ["max-rows-per-second=none", "max-rows-per-batch=2000"]).await;
        // It may be complete already.
        assert!(matches!(set.code, Some(0 | 1)), "{}", set.stderr);
    }

    async fn assert_exact(&self, server: &Server) {
        let client = connect(server, &self.db.name).await;
        assert_once(&client, "t", ROWS).await;
        assert_tiled(&client, ROWS).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_and_its_predecessor_each_have_every_row_changed_once() {
    let pair = Pair::new().await;
    let stays = pair.process(&[&pair.primary]);
    pair.db.until_first_batch().await;
    let goes = pair.process(&[&pair.standby, &pair.primary]);
    pair.db.until("(SELECT count(*) = 2 FROM pgbackfill.process WHERE left_at IS NULL)").await;
    pair.promote().await;
    // One stays with the server that it has, the other is led to the new one.
    pair.end_sessions(&pair.primary).await;
    pair.lift_the_ceiling(&pair.standby).await;
    let gone = goes.finish().await.expect_code(0);
    let told = gone.events("notice");
    assert!(
        told.iter().any(|event| {
            let said = event["message"].as_str().unwrap();
            said.contains("the server was promoted: timeline 2 instead of 1; everything is read again")
        }),
        "{told:?}"
    );
    pair.lift_the_ceiling(&pair.primary).await;
    stays.finish().await.expect_code(0);
    pair.assert_exact(&pair.standby).await;
    pair.assert_exact(&pair.primary).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_has_seen_the_new_primary_does_not_go_back_to_the_old_one() {
    let mut pair = Pair::new().await;
    let process = pair.process(&[&pair.primary, &pair.standby]);
    pair.db.until_first_batch().await;
    pair.promote().await;
    block_in_place(|| pair.primary.stop(StopMode::Immediate)).unwrap();
    let before = pair.rows_changed(&pair.standby).await;
    let client = connect(&pair.standby, &pair.db.name).await;
    until(&client, &format!("(SELECT sum(rows_changed) >= {before} + 100 FROM pgbackfill.range)")).await;
    // Somebody starts it again, and the process is led there.
    block_in_place(|| pair.primary.restart()).unwrap();
    // What it says of the run is heard no more.
    let over = "UPDATE pgbackfill.run SET state = 'complete', completed_at = now()";
    connect(&pair.primary, &pair.db.name).await.batch_execute(over).await.unwrap();
    let old = pair.rows_changed(&pair.primary).await;
    pair.end_sessions(&pair.standby).await;
    pair.db
        .until("(SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'pgbackfill%')")
        .await;
    client.batch_execute("SELECT pg_sleep(1)").await.unwrap();
    assert_eq!(pair.rows_changed(&pair.primary).await, old, "the predecessor got batches");
    // Where it is gone for good, the run goes on.
    block_in_place(|| pair.primary.stop(StopMode::Immediate)).unwrap();
    pair.lift_the_ceiling(&pair.standby).await;
    process.finish().await.expect_code(0);
    pair.assert_exact(&pair.standby).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_connection_finds_the_new_primary_no_other_stays_with_the_old_one() {
    let pair = Pair::new().await;
    let process = pair.followed().await;
    // One of its four; the primary is well.
    let one = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name LIKE 'pgbackfill%' ORDER BY pid LIMIT 1";
    pair.db.client().await.batch_execute(one).await.unwrap();
    pair.lift_the_ceiling(&pair.standby).await;
    process.finish().await.expect_code(0);
    pair.assert_exact(&pair.standby).await;
    let left = "SELECT state FROM pgbackfill.run";
    let state: String = pair.db.client().await.query_one(left, &[]).await.unwrap().get(0);
    assert_eq!(state, "running", "the old primary got all of it first");
}

/// None of its connections ends, so nothing tells it of the new primary but the address itself.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_completes_a_run_where_the_address_leads_no_more() {
    let pair = Pair::new().await;
    let process = pair.followed().await;
    pair.lift_the_ceiling(&pair.standby).await;
    pair.lift_the_ceiling(&pair.primary).await;
    process.finish().await.expect_code(0);
    pair.assert_exact(&pair.standby).await;
    let primary = pair.db.client().await;
    assert_once(&primary, "t", ROWS).await;
    let state: String = primary.query_one("SELECT state FROM pgbackfill.run", &[]).await.unwrap().get(0);
    assert_eq!(state, "running", "the old primary has a complete run");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_has_set_outlives_a_failover() {
    let pair = Pair::new().await;
    let own = ["--workers", "3", "--max-rows-per-second", "900"];
    let process = pair.process_with(&[&pair.standby, &pair.primary], own);
    pair.db.until_first_batch().await;
    pair.set(&pair.primary, ["max-rows-per-second=700", "workers=1"]).await.expect_code(0);
    pair.promote().await;
    pair.end_sessions(&pair.primary).await;
    let standby = connect(&pair.standby, &pair.db.name).await;
    let here = "(SELECT count(*) FROM pgbackfill.process WHERE left_at IS NULL AND last_seen > clock_timestamp() - interval '1 s'
                                                         AND started_at > pg_postmaster_start_time() AND workers = 1)";
    let (known, before) = (pair.rows_changed(&pair.standby).await, format!("{here} = 1"));
    until(&standby, &before).await;
    until(&standby, &format!("(SELECT sum(rows_changed) > {known} + 200 FROM pgbackfill.range)")).await;
    let knobs = "SELECT (knobs->>'workers')::int, (knobs->>'max_rows_per_s')::int FROM pgbackfill.run";
    let knobs = standby.query_one(knobs, &[]).await.unwrap();
    assert_eq!((knobs.get::<_, i32>(0), knobs.get::<_, i32>(1)), (1, 700));
    until(&standby, &before).await;
    process.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_run_that_is_lost_with_its_server_is_begun_again() {
    let pair = Pair::new().await;
    let first = pair.process(&[&pair.primary]);
    pair.db.until_first_batch().await;
    pair.lift_the_ceiling(&pair.primary).await;
    first.finish().await.expect_code(0);
    pair.db.until_replayed().await;
    let primary = pair.db.client().await;
    cut_off(&pair.primary, &primary).await;
    let second =
        pair.process_with(&[&pair.standby, &pair.primary], ["--new-run", "--max-rows-per-second", "900"]);
    pair.db.until("(SELECT sum(rows_changed) > 100 FROM pgbackfill.range WHERE run <> (SELECT min(id) FROM pgbackfill.run))").await;
    let standby = connect(&pair.standby, &pair.db.name).await;
    standby.batch_execute("SELECT pg_promote()").await.unwrap();
    pair.end_sessions(&pair.primary).await;
    until(&standby, "(SELECT count(*) = 2 FROM pgbackfill.run)").await;
    // With the ceiling that was asked for.
    let knobs = "SELECT (knobs->>'max_rows_per_s')::int FROM pgbackfill.run ORDER BY id DESC LIMIT 1";
    assert_eq!(standby.query_one(knobs, &[]).await.unwrap().get::<_, i32>(0), 900);
    pair.lift_the_ceiling(&pair.standby).await;
    let ended = second.finish().await.expect_code(0);
    assert_eq!(ended.summary()["outcome"], "complete");
    let twice = "SELECT bool_and(n = 2) FROM t";
    assert!(standby.query_one(twice, &[]).await.unwrap().get::<_, bool>(0), "each run changes each row once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_leads_to_a_server_of_another_origin_ends_the_process_and_changes_nothing_there() {
    let (home, other) = (own_server(Fsync::Off), own_server(Fsync::Off));
    let db = database_on(&home).await;
    counted_table(&db, ROWS).await;
    // Whoever set it up meant it to take the place of the first: it has the database and the table.
    let create = format!("CREATE DATABASE {}", db.name);
    connect(&other, "postgres").await.batch_execute(&create).await.unwrap();
    let stranger = connect(&other, &db.name).await;
    let copy = format!(
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO t SELECT generate_series(1, {ROWS})"
    );
    stranger.batch_execute(&copy).await.unwrap();
    let redirect = Redirect::to(&home).await;
    let job = JobFile::new(
        "table = 't'\nset.n = 'n + 1'\npace.max_rows_per_batch = 20\npace.max_rows_per_second = 1000\nlimits.retries = 100\n",
    );
    let url = format!("host=127.0.0.1 port={} user=postgres dbname={}", redirect.port, db.name);
    let process = job.run(&db).env("DATABASE_URL", url).spawn();
    db.until_first_batch().await;
    redirect.lead_to(&other);
    let gone = process.finish().await.expect_code(1);
    let identifier = "SELECT system_identifier::text FROM pg_control_system()";
    let found: String = stranger.query_one(identifier, &[]).await.unwrap().get(0);
    let said = format!("the address leads to another server now: its system identifier is {found}");
    assert!(gone.stderr.contains(&said), "{}", gone.stderr);
    let untouched = "SELECT count(*) = 0 AND to_regnamespace('pgbackfill') IS NULL FROM t WHERE n <> 0";
    assert!(
        stranger.query_one(untouched, &[]).await.unwrap().get::<_, bool>(0),
        "the other server was changed"
    );
    // Where the address leads home again, the run goes on.
    redirect.lead_to(&home);
    Pgbackfill::new(["set", "job", "max-rows-per-second=none"]).on(&db).run().await.expect_code(0);
    job.run(&db).run().await.expect_code(0);
    let client = db.client().await;
    assert_once(&client, "t", ROWS).await;
    assert_tiled(&client, ROWS).await;
}
