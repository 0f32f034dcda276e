//! How long it takes until another process has the range of one that is gone: killed, frozen inside a batch, or on a host that no packet reaches.
//!
//! Each on a throwaway server, with a second process at the run all along; from the fault to the claim, five times (`REPEATS`). The host that is gone is a network
//! namespace whose line is cut, which needs root and `ip`; without them it is left out, and that is said.

#[allow(dead_code)] // This bench needs a part of it.
mod support;

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use pgbackfill::sandbox::{Fsync, Server};
use support::{Anything, binaries, connect, median, size};
use tokio_postgres::Client;

const JOB: &str = "table = 'orders'\nset.n = 'slow(n)'\norder.stripes = 1\npace.mode = 'full'\npace.max_rows_per_batch = 50\n";
/// A batch takes a tenth of a second, so that a process that is stopped is inside of one.
const TABLE: &str = "
DROP SCHEMA IF EXISTS pgbackfill CASCADE;
DROP TABLE IF EXISTS orders;
CREATE TABLE orders (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO orders SELECT i FROM generate_series(1, 100000) AS i;
CREATE OR REPLACE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.002); RETURN n + 1; END';
ANALYZE orders";
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Killed,
    Frozen,
    HostGone,
}

impl Fault {
    const ALL: [(Self, &str); 3] = [
        (Self::Killed, "process killed"),
        (Self::Frozen, "process frozen inside a batch"),
        (Self::HostGone, "host gone, packets dropped"),
    ];
}

/// A line to another host, as far as TCP can tell.
struct Line {
    name: String,
}

impl Line {
    const HERE: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 1);

    fn new() -> Option<Self> {
        let name = format!("pgb{}", std::process::id());
        let line = Self { name: name.clone() };
        let steps = [
            format!("netns add {name}"),
            format!("link add {name}a type veth peer name {name}b netns {name}"),
            format!("addr add {}/30 dev {name}a", Self::HERE),
            format!("link set {name}a up"),
            format!("-n {name} addr add 10.213.0.2/30 dev {name}b"),
            format!("-n {name} link set {name}b up"),
        ];
        steps.iter().all(|step| ip(step)).then_some(line)
    }

    fn cut(&self) {
        // Not the near end: the server's own host would notice.
        ip(&format!("-n {0} link set {0}b down", self.name));
    }

    fn mend(&self) {
        ip(&format!("-n {0} link set {0}b up", self.name));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> bool {
    let done = Command::new("ip").args(arguments.split(' ')).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

fn process(file: &std::path::Path, url: &str, line: Option<&Line>) -> Anything<Child> {
    let program = env!("CARGO_BIN_EXE_pgbackfill");
    let mut command = match line {
        Some(line) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &line.name, program]);
            command
        }
        None => Command::new(program),
    };
    command.args(["run", "--yes", "--workers", "1", "--output", "json"]).arg(file).env("DATABASE_URL", url);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// Waits until the query gives a row.
async fn until(client: &Client, sql: &str) -> Anything<tokio_postgres::Row> {
    let began = Instant::now();
    loop {
        if let Ok(Some(row)) = client.query_opt(sql, &[]).await {
            return Ok(row);
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("it is still not so: {sql}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// From the fault to the claim.
async fn once(server: &Server, client: &Client, fault: Fault, line: Option<&Line>) -> Anything<Duration> {
    client.batch_execute(TABLE).await?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("bench.toml");
    std::fs::write(&file, JOB)?;
    let here = server.connection_string("postgres");
    let far = format!("host={} port={} user=postgres dbname=postgres", Line::HERE, server.port());
    let mut victim = process(&file, if line.is_some() { &far } else { &here }, line)?;
    let held = until(
        client,
        "SELECT number, hint_worker FROM pgbackfill.range WHERE state = 'open' AND rows_passed > 0",
    )
    .await?;
    let (number, worker): (i64, String) = (held.get(0), held.get(1));
    let mut other = process(&file, &here, None)?;
    // It has a range of its own by now, or looks for one.
    until(client, "SELECT WHERE (SELECT count(DISTINCT hint_worker) FROM pgbackfill.range) > 1").await?;
    until(client, "SELECT FROM pg_stat_activity WHERE query LIKE 'UPDATE ONLY%' AND state = 'active'")
        .await?;
    let began = Instant::now();
    match (fault, line) {
        (Fault::Killed, _) => victim.kill()?,
        (Fault::HostGone, Some(line)) => line.cut(),
        (Fault::Frozen | Fault::HostGone, _) => {
            signal::kill(Pid::from_raw(victim.id().cast_signed()), Signal::SIGSTOP)?;
        }
    }
    // The survivor finishes the range that it has, and comes for this one as soon as it may.
    let claimable = format!(
        "SELECT FROM pgbackfill.range WHERE number = {number}
         AND (hint_worker <> '{worker}' OR hint_until < clock_timestamp()) FOR UPDATE SKIP LOCKED"
    );
    until(client, &claimable).await?;
    let took = began.elapsed();
    for process in [&mut victim, &mut other] {
        process.kill()?;
        process.wait()?;
    }
    if let Some(line) = line {
        line.mend();
    }
    Ok(took)
}

fn main() -> Anything<()> {
    let builder = Server::builder(binaries()?).fsync(Fsync::Off).setting("listen_addresses", "*");
    let server = builder.start()?;
    let rules = server.dir().join("data/pg_hba.conf");
    std::fs::write(
        &rules,
        format!("{}host all all 10.213.0.0/30 trust\n", std::fs::read_to_string(&rules)?),
    )?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let client = connect(&server, "postgres").await?;
        client.batch_execute("SELECT pg_reload_conf()").await?;
        println!("{:<32} {:>8} {:>8}", "until its range can be claimed", "median", "longest");
        for (fault, name) in Fault::ALL {
            let line = if fault == Fault::HostGone { Line::new() } else { None };
            if fault == Fault::HostGone && line.is_none() {
                println!("{name:<32} left out: it needs root and ip (iproute2)");
                continue;
            }
            let mut seconds = Vec::new();
            for _ in 0..size("REPEATS", 5) {
                seconds.push(once(&server, &client, fault, line.as_ref()).await?.as_secs_f64());
            }
            let middle = median(&mut seconds);
            println!("{name:<32} {middle:>6.2} s {:>6.2} s", seconds[seconds.len() - 1]);
        }
        Ok(())
    })
}
