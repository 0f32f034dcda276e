//! What the benches stand on: a throwaway server with real settings, and one run of a job.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pgbackfill::connect::ConnectParams;
use pgbackfill::db::Pool;
use pgbackfill::engine::{self, Options, Which};
use pgbackfill::event::{self, Emitter};
use pgbackfill::job::{Job, JobName};
use pgbackfill::run::RunKind;
use pgbackfill::sandbox::{Binaries, Fsync, Search, Server, SystemDirs};
use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;

pub(crate) type Anything<T> = Result<T, Box<dyn std::error::Error>>;

pub(crate) fn size(variable: &str, default: i64) -> i64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub(crate) fn binaries() -> Anything<Binaries> {
    let search = match std::env::var_os("PGBACKFILL_PG_BIN") {
        Some(dir) => Search::only(PathBuf::from(dir)),
        None => Search { extra_dirs: vec![], system: SystemDirs::Look, path: std::env::var_os("PATH") },
    };
    Ok(Binaries::find(&search)?)
}

pub(crate) fn server(shared_buffers: &str, max_wal_size: &str) -> Anything<Server> {
    let builder = Server::builder(binaries()?).fsync(Fsync::On);
    Ok(builder.setting("shared_buffers", shared_buffers).setting("max_wal_size", max_wal_size).start()?)
}

pub(crate) async fn connect(server: &Server, database: &str) -> Anything<Client> {
    let (client, connection) = tokio_postgres::connect(&server.connection_string(database), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A job on `orders`, as fast as it can: what is compared has no application beside it that anybody would
/// make way for.
pub(crate) fn job(rest: &str) -> Anything<Job> {
    let text = format!("table = 'orders'\npace.mode = 'full'\n{rest}");
    Ok(Job::from_toml(JobName::new("bench")?, "bench", &text)?)
}

/// How a process is to take part, where it matters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Part {
    pub(crate) workers: Option<NonZeroU32>,
    pub(crate) max_rows: Option<NonZeroU64>,
}

impl Part {
    pub(crate) fn one_worker() -> Self {
        Self { workers: Some(NonZeroU32::MIN), max_rows: None }
    }
}

/// Runs the job and gives the time it took; the connection is there before the clock starts.
pub(crate) async fn backfill(
    server: &Server,
    database: &str,
    job: &Job,
    part: Part,
    events: &Emitter,
) -> Anything<Duration> {
    let params = ConnectParams::resolve(&server.connection_string(database), &|_| None)?;
    let pool = Pool::new(&params, 2 + engine::connections_beside(&[]))?;
    let options = Options {
        kind: RunKind::Backfill,
        which: Which::Current,
        workers: part.workers,
        max_rows: part.max_rows,
        set: vec![],
        host: "bench".into(),
        by: "bench".into(),
    };
    drop(pool.session().await?);
    let began = Instant::now();
    engine::run(&pool, job, &options, events, &CancellationToken::new()).await?;
    Ok(began.elapsed())
}

/// Events that nobody listens to.
pub(crate) fn unheard() -> Emitter {
    event::channel("bench").0
}

/// The most memory that a process has had since its program was started; `getrusage` would count what started
/// it, too.
pub(crate) fn peak_mb(pid: u32) -> Anything<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
