//! A server, an application, a run and its processes, and what is done to them.
//!
//! Must not know: in which order.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::mem;
use std::process::Command;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use pgbackfill::sandbox::{Fsync, Server, StopMode};
use tokio::task::{JoinHandle, block_in_place};
use tokio::time;
use tokio_postgres::Client;

use super::disturbance::{DDL, Disturbance, LOCK_TABLE, ONE_BACKEND, OTHERS_LEAVE, Walk};
use crate::support::oracle::{assert_nothing_left, assert_nothing_left_by};
use crate::support::{
    APPLICATION_ROWS, Address, Application, Database, Finished, JobFile, Pgbackfill, Redirect, Running,
    assert_exact_beside_others, assert_none_twice_beside_others, cut_off, database_on, own_server, skipped,
    until,
};

/// Longer than anything of a frozen process is waited for: its transactions, its connections, its claims.
const FROZEN: Duration = Duration::from_secs(7);
/// What the server has, and what it has after it shrank: fewer than the processes want.
const CONNECTIONS: [u32; 2] = [100, 16];
/// More than the server has.
const CROWD: usize = 110;
/// Another version of the binary, which plays every second process.
const OTHER: &str = "PGBACKFILL_OTHER";
/// Until a run that is left in peace is complete.
const END_MAX: Duration = Duration::from_secs(180);
/// Until a server that recovers answers.
const PATIENCE: Duration = Duration::from_secs(60);

struct Frozen {
    process: Running,
    since: Instant,
}

pub(super) struct Production {
    server: Server,
    /// The primary before it, with those who have stayed there.
    predecessor: Option<Server>,
    redirect: Redirect,
    db: Database,
    jobs: Vec<JobFile>,
    walk: Walk,
    application: Application,
    processes: Vec<Running>,
    frozen: Vec<Frozen>,
    /// Others at the table.
    others: Vec<JoinHandle<()>>,
    other: Option<OsString>,
    tally: BTreeMap<Disturbance, u32>,
    ended: BTreeMap<String, u32>,
    /// How often a process went on at a new primary.
    moves: usize,
}

impl Production {
    /// Of so many rows that the run goes on for at least that long.
    pub(super) async fn set(time: Duration, walk: &Walk, rng: &mut Rng) -> Self {
        let server = own_server(Fsync::On);
        let (db, redirect) = (database_on(&server).await, Redirect::to(&server).await);
        // The server's connections of a PgBouncer stay with the server.
        let db = if db.is_behind_pgbouncer() { db } else { db.behind_redirect(&redirect) };
        let application = Application::start(&db, walk.more, rng.fork()).await;
        // The connections that are kept for superusers are for whoever does all this.
        let role = format!(
            "CREATE ROLE backfill LOGIN; GRANT pg_read_all_stats TO backfill; ALTER TABLE t OWNER TO backfill;
             GRANT CREATE ON DATABASE {} TO backfill",
            db.name
        );
        db.client().await.batch_execute(&role).await.unwrap();
        let rate = APPLICATION_ROWS as u64 * 7 / 10 / time.as_secs().max(1);
        // The order and the size of batches do not decide the result, so processes of one run may differ in
        // them.
        let jobs = [(1, 2), (8, 2), (32, 20), (8, 100)].map(|(stripes, rows)| {
            JobFile::new(&format!(
                "{}order.stripes = {stripes}\npace.max_rows_per_batch = {rows}\npace.min_rows_per_batch = 1\n\
                 pace.max_rows_per_second = {rate}\nlimits.retries = 100\nguard.standbys = []\n",
                walk.job
            ))
        });
        let mut production = Self {
            server,
            predecessor: None,
            redirect,
            db,
            jobs: jobs.into(),
            walk: *walk,
            application,
            processes: vec![],
            frozen: vec![],
            others: vec![],
            other: env::var_os(OTHER),
            tally: BTreeMap::new(),
            ended: BTreeMap::new(),
            moves: 0,
        };
        production.processes = (0..production.jobs.len()).map(|index| production.process(index)).collect();
        production.db.until_first_batch().await;
        production
    }

    /// A new one in this place.
    fn process(&self, index: usize) -> Running {
        let job = &self.jobs[index];
        let run = match self.other.as_ref().filter(|_| index % 2 == 1) {
            Some(other) => Pgbackfill::of(other, ["run", "--output", "json"]).arg(job.path()),
            None => job.run(&self.db),
        };
        run.env("DATABASE_URL", self.db.url_of("backfill")).spawn()
    }

    /// A connection, when the server is there.
    async fn client(&self) -> Client {
        self.through(&self.db.address()).await
    }

    /// The same to a server that the address does not lead to.
    async fn client_of(&self, server: &Server) -> Client {
        self.through(&Address::of(server, &self.db.name)).await
    }

    async fn through(&self, address: &Address) -> Client {
        let began = Instant::now();
        loop {
            match address.client().await {
                Ok(client) => return client,
                Err(error) => assert!(began.elapsed() < PATIENCE, "the server does not come back: {error:?}"),
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn is_complete(&mut self) -> bool {
        let began = Instant::now();
        loop {
            let sql = "SELECT state, coalesce(reason, '') FROM pgbackfill.run";
            // The server may go in between.
            let Ok(row) = self.client().await.query_one(sql, &[]).await else {
                assert!(began.elapsed() < PATIENCE, "the run cannot be read");
                time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let (state, reason): (String, String) = (row.get(0), row.get(1));
            assert!(state == "running" || state == "complete", "the run is {state}: {reason}");
            return state == "complete";
        }
    }

    pub(super) async fn inject(&mut self, fault: Disturbance, rng: &mut Rng) {
        self.refill().await;
        *self.tally.entry(fault).or_default() += 1;
        let one = rng.usize(..self.processes.len());
        match fault {
            Disturbance::Kill => self.replace(one, Signal::SIGKILL),
            Disturbance::Stop => self.replace(one, Signal::SIGTERM),
            Disturbance::Freeze => self.freeze(one),
            Disturbance::Terminate => self.to_backend("SELECT pg_terminate_backend($1)", rng).await,
            Disturbance::Cancel => self.to_backend("SELECT pg_cancel_backend($1)", rng).await,
            Disturbance::KillBackend => self.kill_backend(rng).await,
            Disturbance::Crash => block_in_place(|| {
                self.server.stop(StopMode::Immediate).unwrap();
                self.server.restart().unwrap();
            }),
            Disturbance::RowLock => self.meanwhile(self.walk.lock_rows),
            Disturbance::TableLock => self.meanwhile(LOCK_TABLE),
            Disturbance::Deadlock => self.meanwhile(self.walk.lock_backwards),
            Disturbance::Ddl => self.meanwhile(DDL[rng.usize(..DDL.len())]),
            Disturbance::Vacuum => self.meanwhile(self.walk.vacuum[rng.usize(..self.walk.vacuum.len())]),
            Disturbance::Crowd => self.crowd(),
            Disturbance::Shrink => self.shrink().await,
            Disturbance::Promote => self.promote().await,
        }
    }

    /// How many kinds have befallen it.
    pub(super) fn faults_met(&self) -> usize {
        self.tally.len()
    }

    /// What can befall it.
    pub(super) fn faults(&self) -> Vec<Disturbance> {
        Disturbance::ALL
            .into_iter()
            .filter(|fault| *fault != Disturbance::Promote || !self.db.is_behind_pgbouncer())
            .collect()
    }

    /// Thaws who was frozen long enough, and puts new processes in the place of those that have ended.
    async fn refill(&mut self) {
        for index in 0..self.processes.len() {
            if self.processes[index].has_ended() {
                let next = self.process(index);
                let ended = mem::replace(&mut self.processes[index], next);
                self.note(ended).await;
            }
        }
        let (thawed, frozen) =
            mem::take(&mut self.frozen).into_iter().partition(|one: &Frozen| one.since.elapsed() >= FROZEN);
        self.frozen = frozen;
        for one in Vec::from_iter::<Vec<Frozen>>(thawed) {
            self.thaw(one.process).await;
        }
        self.others.retain(|other| !other.is_finished());
    }

    /// It goes on where it was stopped, finds out what has become of its range meanwhile, and is asked to
    /// leave.
    async fn thaw(&mut self, process: Running) {
        process.signal_if_there(Signal::SIGCONT);
        // Some batches later.
        time::sleep(Duration::from_millis(300)).await;
        process.signal_if_there(Signal::SIGTERM);
        self.note(process).await;
    }

    /// How a process may end: complete, asked to stop, without a database, killed.
    async fn note(&mut self, process: Running) {
        let ended = process.finish().await;
        self.moves += followed(&ended);
        let how = match (ended.code, ended.signal) {
            (Some(code @ (0 | 3 | 75)), _) => format!("exit {code}"),
            // A person cancelled a statement with which it began.
            (Some(1), _) if ended.stderr.contains("[SQLSTATE 57014]") => "cancelled".to_owned(),
            (None, Some(signal)) => format!("signal {signal}"),
            _ => panic!("a process ended with {:?}:\n{}\n{}", ended.code, ended.stdout, ended.stderr),
        };
        *self.ended.entry(how).or_default() += 1;
    }

    fn replace(&mut self, index: usize, signal: Signal) {
        self.processes[index].signal_if_there(signal);
    }

    fn freeze(&mut self, index: usize) {
        if self.processes[index].has_ended() {
            return;
        }
        let next = self.process(index);
        let process = mem::replace(&mut self.processes[index], next);
        process.signal_if_there(Signal::SIGSTOP);
        self.frozen.push(Frozen { process, since: Instant::now() });
    }

    /// A server process of the run and the connection over which it was found; there may be some at the old
    /// primary.
    async fn one_backend(&self, rng: &mut Rng) -> Option<(Client, i32)> {
        let client = match self.predecessor.as_ref().filter(|_| rng.usize(..2) == 0) {
            Some(predecessor) => self.client_of(predecessor).await,
            None => self.client().await,
        };
        let pid = client.query_opt(ONE_BACKEND, &[]).await.ok()??.get(0);
        Some((client, pid))
    }

    async fn to_backend(&self, order: &str, rng: &mut Rng) {
        if let Some((client, pid)) = self.one_backend(rng).await {
            // It may have ended by itself.
            let _ = client.query_one(order, &[&pid]).await;
        }
    }

    async fn kill_backend(&self, rng: &mut Rng) {
        if let Some((_client, pid)) = self.one_backend(rng).await {
            // As above.
            let _ = signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// Somebody else's statements; whether they succeed is not our business.
    fn meanwhile(&mut self, sql: &'static str) {
        let address = self.db.address();
        self.others.push(tokio::spawn(async move {
            if let Ok(client) = address.client().await {
                let _ = client.batch_execute(sql).await;
            }
        }));
    }

    fn crowd(&mut self) {
        let address = self.db.address();
        self.others.push(tokio::spawn(async move {
            let mut inside = Vec::new();
            for _ in 0..CROWD {
                inside.extend(address.client().await.ok());
            }
            // As long as people stay.
            time::sleep(Duration::from_millis(500)).await;
        }));
    }

    async fn shrink(&mut self) {
        let turn = self.tally[&Disturbance::Shrink] as usize % 2;
        self.restart_with(CONNECTIONS[turn]).await;
    }

    async fn restart_with(&mut self, connections: u32) {
        let set = format!("ALTER SYSTEM SET max_connections = {connections}");
        if self.client().await.batch_execute(&set).await.is_ok() {
            block_in_place(|| self.server.restart()).unwrap();
        }
    }

    /// Some commits reach the old primary only, before the promotion and after it.
    async fn promote(&mut self) {
        self.bury().await;
        let standby = block_in_place(|| self.server.standby("r1")).unwrap();
        let primary = self.client_of(&self.server).await;
        until(&primary, "EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')").await;
        cut_off(&self.server, &primary).await;
        time::sleep(Duration::from_millis(300)).await;
        self.client_of(&standby).await.batch_execute("SELECT pg_promote()").await.unwrap();
        self.redirect.lead_newcomers_to(&standby);
        primary.batch_execute(OTHERS_LEAVE).await.unwrap();
        self.predecessor = Some(mem::replace(&mut self.server, standby));
    }

    /// Ends the old primary: what it has got, too, is what its ranges say.
    async fn bury(&mut self) {
        let Some(mut predecessor) = self.predecessor.take() else { return };
        self.redirect.cut();
        let client = self.client_of(&predecessor).await;
        assert_nothing_left_by(&client).await;
        assert_none_twice_beside_others(&client).await;
        block_in_place(|| predecessor.stop(StopMode::Immediate)).unwrap();
    }

    pub(super) fn report(&self) -> String {
        let mut text = String::new();
        for (fault, times) in &self.tally {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:<14}{times:>6}", format!("{fault:?}"));
        }
        let all: u32 = self.tally.values().sum();
        let _ = writeln!(text, "{all} faults; processes ended so: {:?}", self.ended);
        text
    }

    /// What there is of a run that does not end.
    async fn standstill(&self) -> String {
        let sql = "SELECT coalesce(string_agg(line, E'\\n'), '') FROM (
                       SELECT r::text FROM pgbackfill.range AS r WHERE state = 'open'
                       UNION ALL SELECT p::text FROM pgbackfill.process AS p WHERE left_at IS NULL
                       UNION ALL SELECT a::text FROM pg_stat_activity AS a WHERE datname = current_database()) AS all_of (line)";
        self.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Nothing befalls the run any more: it ends, and every row was changed once.
    pub(super) async fn end(mut self) {
        for other in mem::take(&mut self.others) {
            other.await.unwrap();
        }
        for one in mem::take(&mut self.frozen) {
            self.thaw(one.process).await;
        }
        self.bury().await;
        self.restart_with(CONNECTIONS[0]).await;
        self.client().await;
        for knob in ["max-rows-per-second=none", "max-rows-per-batch=1000"] {
            let began = Instant::now();
            // It may be complete already; and a PgBouncer remembers for a while that there was no server.
            loop {
                let set = Pgbackfill::new(["set", "job", knob]).on(&self.db).run().await;
                if matches!(set.code, Some(0 | 1)) {
                    break;
                }
                assert!(set.code == Some(75) && began.elapsed() < PATIENCE, "{:?}: {}", set.code, set.stderr);
                time::sleep(Duration::from_millis(200)).await;
            }
        }
        let began = Instant::now();
        while !self.is_complete().await {
            if began.elapsed() > END_MAX {
                let left = self.standstill().await;
                panic!("nothing befalls the run any more, and it does not end:\n{left}");
            }
            self.refill().await;
            time::sleep(Duration::from_millis(50)).await;
        }
        let transactions = self.application.stop().await;
        println!("{transactions} transactions of the application");
        assert!(transactions > 100, "the application hardly wrote");
        for process in mem::take(&mut self.processes) {
            let ended = process.finish().await;
            // It may have come while the server was restarted.
            let had_no_server = ended.code == Some(75) && ended.stderr.contains("cannot connect");
            assert!(ended.code == Some(0) || had_no_server, "{:?}: {}", ended.code, ended.stderr);
            self.moves += followed(&ended);
        }
        println!("a new primary was followed {} times", self.moves);
        assert_exact_beside_others(&self.db).await;
        assert_nothing_left(&self.db).await;
        verify(&self.server, &self.db);
    }
}

fn followed(ended: &Finished) -> usize {
    ended.stdout.matches("everything is read again").count()
}

/// The server's own check of its files, where the package has it.
fn verify(server: &Server, db: &Database) {
    let program = server.program("pg_amcheck");
    if !program.exists() {
        return skipped("this PostgreSQL has no pg_amcheck");
    }
    let checked = Command::new(program)
        .args(["--install-missing", "--heapallindexed", "-h", "127.0.0.1", "-U", "postgres", "-p"])
        .arg(server.port().to_string())
        .args(["-d", &db.name])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
