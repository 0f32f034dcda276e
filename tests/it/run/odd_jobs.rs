//! Keys, names, expressions and files as nobody would write them: each row is changed once, or the job is
//! refused at its place.
//!
//! The cases are random and can be had again: a test that fails shows its seed and the smallest case that
//! fails.
//!
//! Must not know: how anything is quoted.

mod expressions;
mod files;
mod keys;
mod names;
mod signals;

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pgbackfill::engine::EngineError;
use pgbackfill::job::{Job, JobErrors, JobName};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::support::in_process::{Ran, options, run_with};
use crate::support::{Database, database, random};

/// How many times as many cases are tried, for a search that may take longer than a test.
const TIMES: &str = "PGBACKFILL_TEST_TIMES";

/// A run of a few rows that takes longer has not understood its input.
const PATIENCE: Duration = Duration::from_secs(60);

/// Databases for the cases of one test, which have tables of their own in them.
struct World {
    /// As the server is by default, and one in which every setting that changes what a text means is another
    /// one.
    places: [Place; 2],
    number: AtomicU32,
}

struct Place {
    db: Database,
    client: Client,
}

impl World {
    async fn new() -> Self {
        Self { places: [Place::new("").await, Place::new(ODD).await], number: AtomicU32::new(1) }
    }

    fn place(&self, odd: bool) -> &Place {
        &self.places[usize::from(odd)]
    }

    /// A number that no other case has.
    fn number(&self) -> u32 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }
}

const ODD: &str = "
    ALTER DATABASE $db SET standard_conforming_strings = off;
    ALTER DATABASE $db SET escape_string_warning = off;
    ALTER DATABASE $db SET datestyle = 'SQL, DMY';
    ALTER DATABASE $db SET timezone = 'Asia/Kathmandu';
    ALTER DATABASE $db SET quote_all_identifiers = on;
    ALTER DATABASE $db SET transform_null_equals = on;
    ALTER DATABASE $db SET array_nulls = off;
    ALTER DATABASE $db SET extra_float_digits = -5;
    ALTER DATABASE $db SET default_transaction_isolation = 'repeatable read'";

impl Place {
    async fn new(settings: &str) -> Self {
        let db = database().await;
        db.client().await.batch_execute(&settings.replace("$db", &db.name)).await.unwrap();
        let client = db.client().await;
        Self { db, client }
    }

    async fn run(&self, job: &Job) -> Result<Ran, EngineError> {
        let ran = timeout(PATIENCE, run_with(&self.db, job, &options())).await;
        ran.unwrap_or_else(|_| panic!("no end after {PATIENCE:?}"))
    }

    async fn execute(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
    }

    async fn count(&self, sql: &str) -> i64 {
        let row = self.client.query_one(sql, &[]).await;
        row.unwrap_or_else(|error| panic!("{sql}\n{error:?}")).get(0)
    }
}

/// Tries so many cases, one after the other.
fn each<S: Strategy, C>(
    cases: u32,
    strategy: &S,
    scene: impl AsyncFnOnce() -> C,
    test: impl AsyncFn(&C, S::Value),
) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let scene = runtime.block_on(scene());
    let (there, here) = (&runtime, &scene);
    let tried = runner(cases).run(strategy, move |case| {
        there.block_on(test(here, case));
        Ok(())
    });
    // Dropped where there is a runtime, as it was made.
    runtime.block_on(async { drop(scene) });
    tried.unwrap_or_else(|error| panic!("{error}"));
}

fn runner(cases: u32) -> TestRunner {
    let times: u32 = env::var(TIMES).map_or(1, |times| times.parse().unwrap());
    // The seed is kept by whoever sees the failure, not in a file between the sources.
    let config = Config {
        cases: cases * times,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    };
    let mut seed = [0; 32];
    random::seeded().fill(&mut seed);
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// A job of this number from TOML.
fn job(number: u32, toml: &str) -> Result<Job, JobErrors> {
    Job::from_toml(JobName::new(&format!("case_{number}")).unwrap(), "job.toml", toml)
}

/// A TOML text: whatever is in it, on one line.
fn basic(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// Each error says something, and names a place in the file.
fn assert_placed(errors: &JobErrors) {
    for error in errors {
        let place = error.place().to_string();
        let place = place.strip_prefix("job.toml:").and_then(|place| place.split_once(':'));
        let (line, column) = place.unwrap_or_else(|| panic!("no place: {error}"));
        assert!(line.parse::<u32>().is_ok() && column.parse::<u32>().is_ok(), "{error}");
        assert!(!error.message().is_empty());
    }
}
