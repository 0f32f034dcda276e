//! A run inside of this process, through the library.
//!
//! Must not know: what is run.

use std::num::NonZeroU32;

use pgbackfill::connect::ConnectParams;
use pgbackfill::db::Pool;
use pgbackfill::engine::{self, EngineError, Options, Which};
use pgbackfill::event::{self, Event, Summary};
use pgbackfill::job::{Job, JobName};
use tokio_util::sync::CancellationToken;

use super::Database;
use super::job::in_full;

/// What a run left behind: its summary and its events.
pub(crate) struct Ran {
    pub(crate) summary: Summary,
    pub(crate) events: Vec<Event>,
}

pub(crate) fn options() -> Options {
    Options {
        kind: pgbackfill::run::RunKind::Backfill,
        which: Which::Current,
        workers: NonZeroU32::new(2),
        max_rows: None,
        set: vec![],
        host: "testhost".into(),
        by: "tester@testhost".into(),
    }
}

/// A job from TOML with the name `job`; as fast as it can, unless the text has a mode of its own.
pub(crate) fn job(toml: &str) -> Job {
    Job::from_toml(JobName::new("job").unwrap(), "job.toml", &in_full(toml))
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// Runs a job in this process to its end.
pub(crate) async fn run_with(db: &Database, job: &Job, options: &Options) -> Result<Ran, EngineError> {
    let params = ConnectParams::resolve(db.url(), &|_| None).unwrap();
    let pool = Pool::new(&params, 4).unwrap();
    let (sender, mut receiver) = event::channel(pool.database());
    let summary = engine::run(&pool, job, options, &sender, &CancellationToken::new()).await?;
    let mut events = Vec::new();
    while let Ok(told) = receiver.try_recv() {
        events.push(told.event);
    }
    Ok(Ran { summary, events })
}

pub(crate) async fn run(db: &Database, toml: &str) -> Ran {
    run_with(db, &job(toml), &options()).await.unwrap_or_else(|error| panic!("{error}"))
}
