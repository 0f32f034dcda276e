//! `pgbackfill demo`: a backfill is killed with SIGKILL half way, resumed, and every row counted.
//!
//! It runs this very program as a child process on a throwaway server, so it shows what a user would see.
//! Must not know: the engine; it reads the control schema as a stranger would.

mod backfill;
mod job;
mod orders;
mod proof;
mod report;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use pgbackfill::sandbox::{Binaries, Fsync, Search, Server};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio_postgres::{Client, NoTls};

use self::backfill::Backfill;
use self::report::{heading, number, say};

/// The server's database that the demo works in.
const DATABASE: &str = "postgres";
/// As documented: verification failed.
const NOT_PROVEN: u8 = 4;

/// What can be chosen about the demo.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Rows of the table
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1..))]
    rows: i64,
    /// Leave the server up and say how to connect
    #[arg(long)]
    keep: bool,
    /// Directory of PostgreSQL's server programs, if they are not where packages put them
    #[arg(long, value_name = "DIR")]
    pg_bin: Option<PathBuf>,
}

/// Runs the demo. The exit code is 0 only if the kill happened and every row was changed exactly once.
/// SIGINT, SIGTERM and SIGHUP end it early, and however it ends, nothing is left behind unless `--keep` asks
/// for it.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    Runtime::new()?.block_on(async {
        tokio::select! {
            outcome = demo(args) => outcome,
            name = interrupted() => anyhow::bail!("interrupted by {}; the server is stopped and removed", name?),
        }
    })
}

async fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    heading("A throwaway PostgreSQL server")?;
    let binaries = Binaries::find(&search(args))?;
    let server = spawn_blocking(|| start(binaries)).await??;
    let outcome = show(&server, args).await;
    if args.keep {
        report::kept(&server.connection_string(DATABASE), &server.keep())?;
    }
    outcome
}

async fn show(server: &Server, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let url = server.connection_string(DATABASE);
    let client = connect(&url).await?;
    let version: String = client.query_one("SHOW server_version", &[]).await?.get(0);
    say(&format!("version {version}, fsync on, in {}", server.dir().display()))?;

    heading(&format!("A table of {} orders", number(args.rows)))?;
    let table = orders::fill(&client, args.rows).await?;
    say(&format!("{} MB with its indexes, filled in {:.1} s", table.megabytes, table.seconds))?;

    let path = server.dir().join("orders_status_v2.toml");
    fs::write(&path, job::TEXT).with_context(|| format!("cannot write {}", path.display()))?;
    let backfill = Backfill::new(path, url)?;

    heading("pgbackfill run --mode full, killed with SIGKILL at about half")?;
    say(job::TEXT.trim_end())?;
    let first = backfill.run_and_kill(&client, (args.rows / 2).max(1)).await?;
    let seam = proof::seam(&client).await?;
    report::seam(first, &seam)?;

    heading("pgbackfill status")?;
    backfill.status().await?;

    heading("pgbackfill run, again, to the end")?;
    let second = backfill.run_to_the_end().await?;
    finish(&client, args.rows, &proof::Parts { first, seam, second }).await
}

async fn finish(client: &Client, rows: i64, parts: &proof::Parts) -> anyhow::Result<ExitCode> {
    heading("What the table says")?;
    let count = proof::count(client, &job::status_v2()?).await?;
    let verdict = proof::verdict(rows, parts.first.end, &parts.seam, &count);
    report::table(parts, &count, &verdict)?;
    Ok(if verdict.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NOT_PROVEN) })
}

/// Who names a directory gets the server in it or an error, not another server.
fn search(args: &DemoArgs) -> Search {
    let named = args.pg_bin.clone().or_else(|| env::var_os("PGBACKFILL_PG_BIN").map(PathBuf::from));
    if let Some(dir) = named {
        return Search::only(dir);
    }
    let from_setup = vec![PathBuf::from(".pg")];
    Search { extra_dirs: from_setup, path: env::var_os("PATH"), ..Search::default() }
}

fn start(binaries: Binaries) -> anyhow::Result<Server> {
    let server = Server::builder(binaries).within(env::temp_dir()).fsync(Fsync::On);
    // As much as any machine has, and no checkpoint in the middle of a minute's work.
    Ok(server.setting("shared_buffers", "256MB").setting("max_wal_size", "4GB").start()?)
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Waits for a signal that asks to stop, and tells which.
async fn interrupted() -> anyhow::Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        _ = hang_up.recv() => "SIGHUP",
    })
}
