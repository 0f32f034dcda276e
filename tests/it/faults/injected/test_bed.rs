//! A database that is used for one case after the other: a job is run, or the rows of its quarantine are run
//! again, past one fault.
//!
//! Must not know: which faults there are.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use pgbackfill::connect::ConnectParams;
use pgbackfill::db::Pool;
use pgbackfill::engine::{self, EngineError, Options};
use pgbackfill::event::{self, Outcome, Summary};
use pgbackfill::run::{Move, RunState};
use pgbackfill::sandbox::Server;
use pgbackfill::store::{self, Ask};
use tokio::time;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::expected::Expected;
use super::proxy::{Fault, Proxy, Seen, Spot};
use super::work::Work;
use crate::support::in_process::options;
use crate::support::oracle::assert_nothing_left_by;
use crate::support::{Database, database_on};

/// A fault costs at most a deadline and a few pauses; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// Processes that may come: the one that met the fault while it entered, and the next.
const PROCESSES: u32 = 3;

/// What a person reads who is to come back later, and when that is.
const HELD: &str = "another session holds it; run it again when that has ended";
const HELD_MAX: Duration = Duration::from_secs(5);

pub(super) struct TestBed {
    db: Database,
    /// Half of what a case costs would be connections to look at it.
    client: Client,
    work: Work,
    port: u16,
}

impl TestBed {
    pub(super) async fn on(server: &Server, work: Work) -> Self {
        let db = database_on(server).await;
        let bed = Self { client: db.client().await, db, work, port: server.port() };
        let client = &bed.client;
        client.batch_execute(&work.table()).await.unwrap();
        // From here on the control schema is there, so that each case meets the same messages.
        let before = Options { max_rows: work.rows_before().and_then(NonZeroU64::new), ..alone() };
        let outcome = part(work, &bed.direct_url(), &before).await.unwrap().outcome;
        assert_eq!(outcome == Outcome::MaxRows, before.max_rows.is_some(), "{outcome:?}");
        work.assert_begun(client).await;
        client.batch_execute(work.keep()).await.unwrap();
        bed
    }

    /// As it was before the first case.
    pub(super) async fn reset(&self) {
        self.client.batch_execute(self.work.reset()).await.unwrap();
    }

    pub(super) fn work(&self) -> Work {
        self.work
    }

    /// Where its database is, behind this port.
    fn url(&self, port: u16) -> String {
        format!("postgresql://postgres@127.0.0.1:{port}/{}?sslmode=disable", self.db.name)
    }

    /// Without anything between.
    pub(super) fn direct_url(&self) -> String {
        self.url(self.port)
    }

    /// The messages of it that nothing befalls.
    pub(super) async fn seen(&self) -> Vec<Seen> {
        self.seen_past(&[]).await
    }

    /// The messages when these faults befall it.
    pub(super) async fn seen_past(&self, faults: &[(Spot, Fault)]) -> Vec<Seen> {
        self.reset().await;
        let (proxy, ended) = self.past(faults).await;
        assert_eq!(ended, [Ended::Complete]);
        self.judge().await;
        proxy.seen()
    }

    /// Whether the faults met their messages; what must hold in the end holds in any case.
    pub(super) async fn at_messages(&self, faults: &[(Spot, Fault)]) -> bool {
        let (proxy, ended) = self.past(faults).await;
        let (fired, seen) = (proxy.fired(), proxy.seen());
        // With it go connections that the fault has hidden from one side.
        drop(proxy);
        self.judge().await;
        let met = faults.iter().filter(|(spot, _)| seen.iter().any(|seen| seen.spot == *spot));
        let expected = met.map(|(spot, fault)| Expected::after(self.work, &seen, *spot, *fault)).max();
        expected.unwrap_or(Expected::Alone).assert(&ended, self.blocked().await);
        fired
    }

    /// How often the run was blocked.
    pub(super) async fn blocked(&self) -> i64 {
        let sql = "SELECT count(*) FROM pgbackfill.event WHERE kind = 'blocked'";
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// What must hold in the end.
    pub(super) async fn judge(&self) {
        self.work.assert_done(&self.client).await;
        assert_nothing_left_by(&self.client).await;
    }

    async fn past(&self, faults: &[(Spot, Fault)]) -> (Proxy, Vec<Ended>) {
        let proxy = Proxy::before(([127, 0, 0, 1], self.port).into(), faults).await;
        let ended = self.complete(&self.url(proxy.port())).await;
        (proxy, ended)
    }

    /// Lets processes come until it is done.
    pub(super) async fn complete(&self, url: &str) -> Vec<Ended> {
        let complete = async {
            let mut all = Vec::new();
            for _ in 0..PROCESSES {
                all.push(process(self.work, url).await);
                match all.last() {
                    Some(Ended::Complete) => return all,
                    Some(Ended::Blocked(reason)) => self.resume(reason).await,
                    // What a frozen process has locked is free when its transaction is over.
                    Some(ended) if ended.was_held_up() => time::sleep(HELD_MAX).await,
                    Some(Ended::Left(_)) | None => {}
                }
            }
            panic!("after {PROCESSES} processes it is not complete: {all:?}");
        };
        time::timeout(PATIENCE, complete).await.unwrap_or_else(|_| panic!("it hangs"))
    }

    /// What a person does with a run that is blocked, and has read why.
    async fn resume(&self, reason: &str) {
        let params = ConnectParams::resolve(&self.direct_url(), &|_| None).unwrap();
        let mut session = Pool::new(&params, 1).unwrap().session().await.unwrap();
        let run = store::latest(&session, self.work.job().name.as_str(), pgbackfill::run::RunKind::Backfill)
            .await
            .unwrap()
            .expect("there is a run");
        assert_eq!((run.state, run.reason.as_deref()), (RunState::Blocked, Some(reason)));
        let turn = Ask::State(Move::Resume);
        store::request(&mut session, run.id, &turn, None, "somebody").await.unwrap();
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing is left to do.
    Complete,
    /// The run needs a person, and says why.
    Blocked(String),
    /// With an error: the fault kept it from entering, or drove it away.
    Left(String),
}

impl Ended {
    /// Whether it is to come back when somebody else is done.
    pub(super) fn was_held_up(&self) -> bool {
        matches!(self, Self::Left(why) if why.contains(HELD))
    }
}

/// One process, to its end.
pub(super) async fn process(work: Work, url: &str) -> Ended {
    if work == Work::Retry {
        return retry(work, url).await;
    }
    match part(work, url, &alone()).await {
        Err(error) => Ended::Left(error.to_string()),
        Ok(summary) => match summary.outcome {
            // An earlier process may have completed the run and not have heard of it.
            Outcome::Complete | Outcome::CompleteWithBadRows | Outcome::AlreadyComplete => Ended::Complete,
            Outcome::Blocked => Ended::Blocked(summary.reason.expect("who is blocked says why")),
            other => panic!("{other:?} {:?}", summary.reason),
        },
    }
}

/// One worker, so that its messages are the same each time.
fn alone() -> Options {
    Options { workers: NonZeroU32::new(1), ..options() }
}

async fn part(work: Work, url: &str, options: &Options) -> Result<Summary, EngineError> {
    let params = ConnectParams::resolve(url, &|_| None).unwrap();
    let pool = Pool::new(&params, 3).unwrap();
    let (events, _nobody) = event::channel(pool.database());
    engine::run(&pool, &work.job(), options, &events, &CancellationToken::new()).await
}

async fn retry(work: Work, url: &str) -> Ended {
    let params = ConnectParams::resolve(url, &|_| None).unwrap();
    let pool = Pool::new(&params, 1).unwrap();
    match engine::retry_bad_rows(&pool, &work.job(), "somebody", &mut |_| ()).await {
        Ok(mended) if mended.left == 0 => Ended::Complete,
        Ok(mended) => Ended::Left(format!("{} rows are left", mended.left)),
        Err(error) => Ended::Left(error.to_string()),
    }
}
