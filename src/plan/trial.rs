//! One slice of the table, changed as a batch changes it and rolled back: what a row really costs.
//!
//! All stripes of the slice are tried in one transaction. None of their dead rows can be pruned in it, so
//! fewer updates are HOT than in a run: WAL and growth are upper bounds.
//!
//! Must not know: how long a run takes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_postgres::types::Type;

use super::{Plan, Sample, batch_settings};
use crate::catalog::Server;
use crate::change::Explained;
use crate::db::{Error, NextAct, Session};
use crate::human;
use crate::job::Job;
use crate::run::Knobs;
use crate::scan::{Layout, Scan, Span, Strategy, Stripe};
use crate::sql::{fixed, settings};
use crate::store::Waiters;
use crate::stripe::Striping;

/// Keys of the first try: whatever a row costs, so few are bearable.
const FIRST_KEYS: u32 = 8;
/// A try is at most so many times as large as the one before it, which tells how many keys a batch takes.
const GROWTH: u32 = 8;
/// No try may hold its rows for longer than so many batches would, within these limits.
const BATCHES_MAX: u32 = 5;
const TRY_MAX: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(5);
/// The longest wait for an answer: a try at its longest, a COMMIT of others before it, and the way there and
/// back.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// Time between two looks at who waits for the try.
const LOOK: Duration = Duration::from_millis(50);

/// How the table is walked, and where.
#[derive(Clone, Debug)]
pub struct Trial {
    scan: Scan,
    relation: u32,
    span: Span,
    striping: Striping,
    /// Why it has so many stripes.
    pub why: String,
}

/// What changing the rows of a slice cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measured {
    /// Keys in it.
    pub rows_passed: u64,
    /// Rows changed.
    pub rows_changed: u64,
    /// Dead row versions that all tries together left behind.
    pub rows_dead: u64,
    /// Statements, one a stripe.
    pub statements: u64,
    /// In the server.
    pub time_us: f64,
    /// WAL that was written, with as few full-page images as could be had.
    pub wal_bytes: u64,
    /// Full-page images among that.
    pub full_pages: u64,
    /// Pages that became dirty.
    pub pages_dirtied: u64,
    /// Disk that the table and its indexes took.
    pub growth_bytes: u64,
    /// Who waited for a try, so that it was given up and no larger one made.
    pub made_way: Option<String>,
    /// Time in each trigger, and in the one behind each foreign key, in microseconds.
    pub triggers_us: BTreeMap<String, f64>,
}

impl Measured {
    /// What a trigger cost for each row that was changed.
    #[must_use]
    pub fn trigger_us(&self, name: &str) -> Option<f64> {
        let rows = (self.rows_changed > 0).then_some(self.rows_changed as f64)?;
        Some(self.triggers_us.get(name)? / rows)
    }

    /// One stripe more.
    fn add(&mut self, told: Explained) {
        self.statements += 1;
        self.rows_changed += told.rows;
        self.rows_dead += told.rows;
        self.time_us += told.time_us;
        self.wal_bytes += told.wal_bytes;
        self.full_pages += told.full_page_images;
        self.pages_dirtied += told.pages_dirtied;
        for (name, time_us) in told.triggers_us {
            *self.triggers_us.entry(name).or_default() += time_us;
        }
    }
}

impl Trial {
    /// Stripes of a range.
    #[must_use]
    pub fn stripes(&self) -> u32 {
        self.striping.stripes().get()
    }

    /// The statement of one batch; which rows it is about is in its parameters.
    #[must_use]
    pub fn statement(&self, plan: &Plan) -> String {
        plan.change.statement(&self.scan.rows_shown(self.striping)).text().to_owned()
    }
}

/// Where a trial would be made: behind a row that the job would change. None if the table is empty.
pub async fn trial(
    session: &mut Session,
    job: &Job,
    plan: &Plan,
    sample: Option<&Sample>,
) -> Result<Option<Trial>, Error> {
    session.begin(settings::PLANNING).await?;
    let found = trial_in_txn(session, job, plan, sample).await;
    // The first error is the one to tell; a session whose rollback fails too is closed when it is dropped.
    let ended = session.rollback().await;
    let found = found?;
    ended?;
    Ok(found)
}

async fn trial_in_txn(
    session: &Session,
    job: &Job,
    plan: &Plan,
    sample: Option<&Sample>,
) -> Result<Option<Trial>, Error> {
    let found = sample.and_then(|sample| sample.found.as_ref());
    let largest = plan.leaves.iter().max_by_key(|leaf| leaf.rows_estimated);
    let named = found.and_then(|found| plan.leaves.iter().find(|leaf| leaf.name == found.leaf));
    let Some(leaf) = named.or(largest) else { return Ok(None) };
    let scan = plan.scan(leaf.name.clone());
    let Some(through) = scan.last(session).await? else { return Ok(None) };
    // A table that was looked at as a whole is small: there is no place in it to choose.
    let elsewhere = sample.is_some_and(|sample| !sample.whole);
    let after = found.filter(|_| elsewhere);
    let after = after.and_then(|found| scan.mark_of(found.key.as_ref(), &found.ctid));
    let after = after.filter(|mark| *mark != through);
    let span = Span { after, through };
    let choice = Strategy::new(&plan.order, job.order.stripes).choice();
    let Layout { striping, why } = scan.layout(session, &span, &choice).await?;
    Ok(Some(Trial { scan, relation: leaf.relation, span, striping, why }))
}

/// What holds for every try.
struct Attempt<'a> {
    plan: &'a Plan,
    trial: &'a Trial,
    settings: String,
    time_max: Duration,
    /// The session that looks which others wait, and for how long one may.
    watch: Option<(&'a Session, Duration)>,
}

/// How a try ended that nothing spoke against.
enum Outcome {
    Measured(Measured),
    /// A session waited for it.
    MadeWay(String),
}

/// Changes the rows of a slice and rolls back: first of a very small one, then of larger ones, up to one that
/// takes about as long as a batch. As a batch does, it makes way for a session that waits for it; `watch` is
/// the session that sees it.
///
/// The first change of a page after a checkpoint writes a full-page image. In a slice that may be most of the
/// WAL, in a run it is at most the table once for each checkpoint, so such a slice is tried once more.
pub async fn measure(
    session: &mut Session,
    watch: &Session,
    job: &Job,
    plan: &Plan,
    server: &Server,
    trial: &Trial,
) -> Result<Measured, Error> {
    let knobs = &job.pace.knobs;
    let batch_time = Duration::from_millis(knobs.batch_time_ms.get().into());
    let attempt = Attempt {
        plan,
        trial,
        settings: in_transaction(job, server),
        time_max: (batch_time * BATCHES_MAX).clamp(*TRY_MAX.start(), *TRY_MAX.end()),
        watch: knobs.guard.blocked_sessions_ms.map(|ms| (watch, Duration::from_millis(ms.into()))),
    };
    let mut tries: Vec<Measured> = Vec::new();
    let mut next = Some(FIRST_KEYS.min(knobs.max_rows_per_batch.get()));
    while let Some(rows) = next {
        match attempt.once(session, rows).await {
            Ok(Outcome::Measured(measured)) => tries.push(measured),
            Ok(Outcome::MadeWay(why)) => return Ok(Measured { made_way: Some(why), ..sum_up(&tries) }),
            // What is in the way of many rows was not in the way of a few.
            Err(error) if !tries.is_empty() && is_passing(&error) => break,
            Err(error) => return Err(error),
        }
        next = following(&tries, rows, knobs);
    }
    Ok(sum_up(&tries))
}

fn is_passing(error: &Error) -> bool {
    matches!(error.next_act(), NextAct::Retry | NextAct::Halve)
}

/// How many keys are tried after the last try, which asked for so many.
fn following(tries: &[Measured], asked: u32, knobs: &Knobs) -> Option<u32> {
    let last = tries.last()?;
    let speed = last.rows_passed as f64 / last.time_us.max(1.0);
    let batch = (speed * f64::from(knobs.batch_time_ms.get()) * 1000.0) as u32;
    let larger = batch.min(knobs.max_rows_per_batch.get()).min(asked.saturating_mul(GROWTH));
    // A slice that had much fewer rows than that has been tried as a whole; one that is hardly larger tells
    // nothing new.
    if last.rows_passed * 4 >= u64::from(asked) * 3 && larger > asked.saturating_mul(2) {
        return Some(larger);
    }
    let is_repeated = tries.iter().rev().nth(1).is_some_and(|before| before.rows_passed == last.rows_passed);
    (!is_repeated && last.full_pages > last.rows_changed / 100).then_some(asked)
}

impl Attempt<'_> {
    async fn once(&self, session: &mut Session, rows: u32) -> Result<Outcome, Error> {
        let trial = self.trial;
        let cell = trial.scan.cells(session, &trial.span, rows, 1).await?.pop();
        let cell = cell.ok_or_else(|| Error::Protocol("a slice without a key".into()))?;
        let span = Span { after: trial.span.after.clone(), through: cell.through };
        session.answers_within(ANSWER_MAX);
        session.begin(&self.settings).await?;
        let tried = self.watched_in_txn(session, &span, cell.rows).await;
        let ended = session.rollback().await;
        let tried = tried?;
        ended?;
        Ok(tried)
    }

    /// Tries, and gives the try up once a session has waited for it for too long.
    async fn watched_in_txn(&self, session: &Session, span: &Span, rows: u32) -> Result<Outcome, Error> {
        let mut tried = pin!(stripes_in_txn(session, self, span, rows));
        let began = Instant::now();
        let (mut made_way, mut waiters) = (None, Waiters::default());
        loop {
            // A look is never dropped half way: its session is needed for the next one.
            tokio::select! {
                biased;
                done = &mut tried => return match (done, made_way) {
                    (Err(_), Some(why)) => Ok(Outcome::MadeWay(why)),
                    (done, _) => done.map(Outcome::Measured),
                },
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Some(why) = self.who_waits(session, &mut waiters, began.elapsed()).await? {
                made_way = Some(why);
                // If it comes between two statements, the next look repeats it.
                session.canceller().cancel().await?;
            }
        }
    }

    async fn who_waits(
        &self,
        session: &Session,
        waiters: &mut Waiters,
        age: Duration,
    ) -> Result<Option<String>, Error> {
        let Some((watch, waits_max)) = self.watch.filter(|(_, waits_max)| age >= *waits_max) else {
            return Ok(None);
        };
        let Some((ours, _)) = session.open_transaction().backend() else { return Ok(None) };
        let longest =
            waiters.look(watch, &[ours]).await?.into_iter().find(|waiter| waiter.waited >= waits_max);
        Ok(longest.map(|waiter| {
            format!("session {} had waited for it for {}", waiter.backend, human::duration(waiter.waited))
        }))
    }
}

/// The largest try, with the WAL of the last one as large: its pages had been written as a whole before.
fn sum_up(tries: &[Measured]) -> Measured {
    let rows = tries.iter().map(|tried| tried.rows_passed).max().unwrap_or_default();
    let mut large = tries.iter().filter(|tried| tried.rows_passed == rows);
    let (first, last) = (large.next().cloned().unwrap_or_default(), large.next_back());
    let last = last.unwrap_or(&first);
    let (wal_bytes, full_pages) = (last.wal_bytes, last.full_pages);
    let rows_dead = tries.iter().map(|tried| tried.rows_dead).sum();
    Measured { rows_dead, wal_bytes, full_pages, ..first }
}

/// The settings of a batch.
fn in_transaction(job: &Job, server: &Server) -> String {
    let all = batch_settings((job.name.as_str(), &server.settings), job.limits, server.version);
    let all: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // Triggers that wait for COMMIT would not be met.
    format!("{}; SET CONSTRAINTS ALL IMMEDIATE", settings::set_all(&all))
}

async fn stripes_in_txn(
    session: &Session,
    attempt: &Attempt<'_>,
    span: &Span,
    rows: u32,
) -> Result<Measured, Error> {
    let (began, plan, trial) = (Instant::now(), attempt.plan, attempt.trial);
    let before = bytes(session, trial.relation).await?;
    let mut measured = Measured { rows_passed: rows.into(), ..Measured::default() };
    for number in 0..trial.stripes() {
        let left = attempt.time_max.saturating_sub(began.elapsed());
        let stripe = Stripe { striping: trial.striping, number };
        let found = trial.scan.rows(span, stripe, rows / trial.stripes());
        let set = [&settings::statement_timeout(left), settings::SEQUENTIAL_SCANS, found.settings].join("; ");
        session.batch_execute(&set).await?;
        measured.add(plan.change.statement(&found).explain_in_txn(session).await?);
    }
    measured.growth_bytes = bytes(session, trial.relation).await?.saturating_sub(before);
    Ok(measured)
}

async fn bytes(session: &Session, relation: u32) -> Result<u64, Error> {
    let row = session.query_one(fixed::RELATION_BYTES, &[(&vec![relation], Type::OID_ARRAY)]).await?;
    Ok(u64::try_from(row.get::<_, i64>("bytes")).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_and_their_triggers_add_up() {
        let triggers_us = [("audit".to_owned(), 500.0), ("t_u_fkey".to_owned(), 250.0)].into();
        let told =
            Explained { rows: 100, wal_bytes: 30_000, pages_dirtied: 7, triggers_us, ..Explained::default() };
        let mut measured = Measured::default();
        measured.add(told.clone());
        measured.add(told);
        assert_eq!((measured.rows_changed, measured.wal_bytes, measured.pages_dirtied), (200, 60_000, 14));
        assert_eq!(measured.trigger_us("audit"), Some(5.0));
        assert_eq!(measured.trigger_us("t_u_fkey"), Some(2.5));
        assert_eq!(measured.trigger_us("other"), None);
    }

    #[test]
    fn of_two_large_tries_the_second_tells_the_wal_and_the_first_the_rest() {
        let tried = |rows: u64, time_us: f64, wal_bytes: u64| Measured {
            rows_passed: rows,
            rows_changed: rows,
            rows_dead: rows,
            time_us,
            wal_bytes,
            ..Measured::default()
        };
        let summed = sum_up(&[tried(256, 1.0, 1), tried(5_000, 50.0, 9_000), tried(5_000, 20.0, 2_000)]);
        assert_eq!((summed.rows_changed, summed.rows_dead), (5_000, 10_256));
        assert_eq!((summed.time_us, summed.wal_bytes), (50.0, 2_000));
        assert_eq!(sum_up(&[tried(256, 1.0, 1)]), tried(256, 1.0, 1));
    }

    #[test]
    fn tries_grow_up_to_a_batch_and_a_slice_with_full_page_images_is_tried_again() {
        let knobs = Knobs::default();
        let tried = |rows: u32, time_us: f64| Measured {
            rows_passed: rows.into(),
            rows_changed: rows.into(),
            time_us,
            ..Measured::default()
        };
        // A batch takes 100 ms: one of a row a millisecond, then one of a row in ten microseconds.
        assert_eq!(following(&[tried(8, 8_000.0)], 8, &knobs), Some(64));
        assert_eq!(following(&[tried(64, 64_000.0)], 64, &knobs), None);
        assert_eq!(following(&[tried(512, 5_120.0)], 512, &knobs), Some(4_096));
        assert_eq!(following(&[tried(4_096, 40_960.0)], 4_096, &knobs), Some(10_000));
        // The slice has no more keys.
        assert_eq!(following(&[tried(300, 3_000.0)], 512, &knobs), None);
        let paged = Measured { full_pages: 200, ..tried(10_000, 100_000.0) };
        assert_eq!(following(std::slice::from_ref(&paged), 10_000, &knobs), Some(10_000));
        assert_eq!(following(&[paged.clone(), paged], 10_000, &knobs), None);
    }
}
