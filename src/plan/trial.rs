//! One slice of the table, changed as a batch changes it and rolled back: what a row really costs.
//!
//! All stripes of the slice are tried in one transaction. None of their dead rows can be pruned in it, so fewer updates are HOT than in
//! a run: WAL and growth are upper bounds.
//!
//! Must not know: how long a run takes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::{Json, Type};

use super::grid::cells;
use super::layout::{Laid, lay};
use super::review::Sample;
use super::{Order, PLANNING, Plan, last_key};
use crate::catalog::Server;
use crate::db::{Bound, Error, NextAct, Session};
use crate::human;
use crate::job::Job;
use crate::key::{Key, KeyRange};
use crate::run::Knobs;
use crate::sql::{self, Bounds, Stripe, Target, fixed};
use crate::store::{self, Blocked};
use crate::stripe::{Runs, Striping};

/// Keys of the first try: whatever a row costs, so few are bearable.
const FIRST_KEYS: u32 = 8;
/// A try is at most so many times as large as the one before it, which tells how many keys a batch takes.
const GROWTH: u32 = 8;
/// No try may hold its rows for longer than so many batches would, within these limits.
const BATCHES_MAX: u32 = 5;
const TRY_MAX: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(5);
/// The same, and the way there and back.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// Time between two looks at who waits for the try.
const LOOK: Duration = Duration::from_millis(50);

/// How the table is walked, and where.
#[derive(Clone, Debug)]
pub struct Trial {
    target: Target,
    relation: u32,
    keys: KeyRange,
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
    /// Written to the log, of whole pages as little as could be had.
    pub wal_bytes: u64,
    /// Whole pages among that.
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
    fn add(&mut self, explain: &Value) -> Option<()> {
        let (whole, node) = (explain.get(0)?, explain.get(0)?.get("Plan")?);
        self.statements += 1;
        // PostgreSQL 18 writes rows with decimals.
        let rows = node.get("Actual Rows")?.as_f64()? as u64;
        self.rows_changed += rows;
        self.rows_dead += rows;
        self.time_us += whole.get("Execution Time")?.as_f64()? * 1000.0;
        self.wal_bytes += node.get("WAL Bytes")?.as_u64()?;
        self.full_pages += node.get("WAL FPI")?.as_u64()?;
        self.pages_dirtied += node.get("Shared Dirtied Blocks")?.as_u64()?;
        for trigger in whole.get("Triggers").and_then(Value::as_array).into_iter().flatten() {
            // Of a foreign key's the person knows only the constraint.
            let name = trigger.get("Constraint Name").or_else(|| trigger.get("Trigger Name"))?.as_str()?;
            let ms = trigger.get("Time").and_then(Value::as_f64).unwrap_or_default();
            *self.triggers_us.entry(name.to_owned()).or_default() += ms * 1000.0;
        }
        Some(())
    }
}

impl Trial {
    /// Stripes of a range.
    #[must_use]
    pub fn stripes(&self) -> u32 {
        self.striping.stripes().get()
    }

    /// The UPDATE of one batch; which rows it is about is in its parameters.
    #[must_use]
    pub fn update(&self, plan: &Plan) -> String {
        // The run's own length and distance are all that the text has of it.
        let runs = self.striping.runs(0, 0, i64::MAX);
        let runs = runs.filter(|_| self.stripes() > 1 && plan.joins_runs());
        let stripe = Stripe { striping: self.striping, number: 0, runs };
        sql::update(&self.target, &plan.change, Bounds::AfterAndThrough, stripe)
    }
}

/// Where a trial would be made: behind a row that the job would change. None if the table is empty.
pub async fn trial(
    session: &mut Session,
    job: &Job,
    plan: &Plan,
    sample: Option<&Sample>,
) -> Result<Option<Trial>, Error> {
    session.begin(PLANNING).await?;
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
    let target = plan.target(leaf.name.clone());
    let Some(through) = last_key(session, &target).await? else { return Ok(None) };
    // A table that was looked at as a whole is small: there is no place in it to choose.
    let elsewhere = sample.is_some_and(|sample| !sample.whole);
    let after = found.filter(|_| elsewhere).and_then(|found| found.key.clone());
    let keys = KeyRange { after: after.filter(|key| *key != through), through };
    let choice = Order::new(&plan.order, job.order.stripes).choice();
    let Laid { striping, why } = lay(session, &target, &keys, &choice).await?;
    Ok(Some(Trial { target, relation: leaf.relation, keys, striping, why }))
}

/// What holds for every try.
struct Attempt<'a> {
    plan: &'a Plan,
    trial: &'a Trial,
    settings: String,
    time_max: Duration,
    /// Looks who waits, in a session of its own, and how long somebody may.
    watch: Option<(&'a Session, Duration)>,
}

/// How a try ended that nothing spoke against.
enum Outcome {
    Measured(Measured),
    /// Somebody waited for it.
    MadeWay(String),
}

/// Changes the rows of a slice and rolls back: first of a very small one, then of larger ones, up to one that takes about as long as a
/// batch. As a batch does, it makes way for whoever waits for it; `watch` is the session that sees it.
///
/// The first change of a page after a checkpoint logs the whole page. In a slice that may be most of the log, in a run it is at
/// most the table once for each checkpoint, so such a slice is tried once more.
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
        settings: settings(job, server),
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
    // A slice that had fewer keys than that has been tried as a whole; one that is hardly larger tells nothing new.
    if last.rows_passed == u64::from(asked) && larger > asked.saturating_mul(2) {
        return Some(larger);
    }
    let is_repeated = tries.iter().rev().nth(1).is_some_and(|before| before.rows_passed == last.rows_passed);
    (!is_repeated && last.full_pages > last.rows_changed / 100).then_some(asked)
}

impl Attempt<'_> {
    async fn once(&self, session: &mut Session, rows: u32) -> Result<Outcome, Error> {
        let trial = self.trial;
        session.begin(PLANNING).await?;
        let read = cells(session, &trial.target, &trial.keys, rows, 1).await;
        let ended = session.rollback().await;
        let cell = read?.pop().ok_or_else(|| Error::Protocol("a slice without a key".into()))?;
        ended?;
        let keys = KeyRange { after: trial.keys.after.clone(), through: cell.through };
        session.answers_within(ANSWER_MAX);
        session.begin(&self.settings).await?;
        let tried = self.watched_in_txn(session, &keys, cell.rows).await;
        let ended = session.rollback().await;
        let tried = tried?;
        ended?;
        Ok(tried)
    }

    /// Tries, and gives the try up once somebody has waited for it for too long.
    async fn watched_in_txn(&self, session: &Session, keys: &KeyRange, rows: u32) -> Result<Outcome, Error> {
        let mut tried = pin!(stripes_in_txn(session, self, keys, rows));
        let began = Instant::now();
        let mut made_way = None;
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
            if let Some(why) = self.who_waits(session, began.elapsed()).await? {
                made_way = Some(why);
                // If it comes between two statements, the next look repeats it.
                session.canceller().cancel().await?;
            }
        }
    }

    async fn who_waits(&self, session: &Session, age: Duration) -> Result<Option<String>, Error> {
        let Some((watch, waits_max)) = self.watch.filter(|(_, waits_max)| age >= *waits_max) else {
            return Ok(None);
        };
        let Some((ours, _)) = session.open_transaction().backend() else { return Ok(None) };
        // A server before version 14 does not say for how long: at most since the try began.
        let waited = |blocked: &Blocked| {
            blocked.waited_ms.map_or(age, |ms| Duration::from_secs_f64(ms.max(0.0) / 1000.0))
        };
        let blocked = store::blocked_by(watch, &[ours]).await?;
        let longest = blocked.iter().max_by_key(|blocked| waited(blocked));
        Ok(longest.filter(|blocked| waited(blocked) >= waits_max).map(|blocked| {
            format!("session {} had waited for it for {}", blocked.waiting, human::duration(waited(blocked)))
        }))
    }
}

/// The largest try, the log of the last as large: its pages had been logged before.
fn sum_up(tries: &[Measured]) -> Measured {
    let rows = tries.iter().map(|tried| tried.rows_passed).max().unwrap_or_default();
    let mut large = tries.iter().filter(|tried| tried.rows_passed == rows);
    let (first, last) = (large.next().cloned().unwrap_or_default(), large.next_back());
    let last = last.unwrap_or(&first);
    let (wal_bytes, full_pages) = (last.wal_bytes, last.full_pages);
    let rows_dead = tries.iter().map(|tried| tried.rows_dead).sum();
    Measured { rows_dead, wal_bytes, full_pages, ..first }
}

/// As in a batch: the settings that decide what an expression means, and no patience.
fn settings(job: &Job, server: &Server) -> String {
    let own: BTreeMap<String, String> = serde_json::from_str(&server.settings).unwrap_or_default();
    let lock_timeout = job.limits.lock_timeout_ms.to_string();
    let ours = [
        ("lock_timeout", lock_timeout.as_str()),
        ("idle_in_transaction_session_timeout", "5s"),
        ("plan_cache_mode", "force_custom_plan"),
        ("jit", "off"),
    ];
    let own = own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // Triggers that wait for COMMIT would not be met.
    format!("{}; SET CONSTRAINTS ALL IMMEDIATE", sql::settings(&own.chain(ours).collect::<Vec<_>>()))
}

async fn stripes_in_txn(
    session: &Session,
    attempt: &Attempt<'_>,
    keys: &KeyRange,
    rows: u32,
) -> Result<Measured, Error> {
    let (began, plan, trial) = (Instant::now(), attempt.plan, attempt.trial);
    let before = bytes(session, trial.relation).await?;
    let mut measured = Measured { rows_passed: rows.into(), ..Measured::default() };
    for number in 0..trial.stripes() {
        let left = attempt.time_max.saturating_sub(began.elapsed());
        session.batch_execute(&timeout(left)).await?;
        stripe_in_txn(session, plan, trial, keys, (number, rows), &mut measured).await?;
    }
    measured.growth_bytes = bytes(session, trial.relation).await?.saturating_sub(before);
    Ok(measured)
}

/// The stripes share the time of the try; zero would be none at all.
fn timeout(left: Duration) -> String {
    format!("SET LOCAL statement_timeout = {}", left.as_millis().max(1))
}

async fn stripe_in_txn(
    session: &Session,
    plan: &Plan,
    trial: &Trial,
    keys: &KeyRange,
    (number, rows): (u32, u32),
    measured: &mut Measured,
) -> Result<(), Error> {
    let bound = Bound::of(keys);
    let runs = if plan.joins_runs() { runs(trial.striping, number, keys, rows) } else { None };
    let finding = if runs.is_some() { sql::LOOKING_UP } else { "SET LOCAL enable_seqscan = on" };
    session.batch_execute(finding).await?;
    let stripe = Stripe { striping: trial.striping, number, runs };
    let update = sql::update(&trial.target, &plan.change, bound.bounds(), stripe);
    let mut params = bound.params(&trial.target.key);
    if let Some(runs) = &stripe.runs {
        params.extend([(&runs.first as _, Type::INT8), (&runs.last as _, Type::INT8)]);
    }
    let row = session.query_one(&sql::measured_in_full(&update), &params).await?;
    let Json(told): Json<Value> = row.try_get(0)?;
    measured.add(&told).ok_or_else(|| Error::Protocol("EXPLAIN lacks what was asked for".into()))
}

/// The runs of a stripe, where a worker would look them up.
fn runs(striping: Striping, number: u32, keys: &KeyRange, rows: u32) -> Option<Runs> {
    let integer = |key: &Key| key.0.first()?.parse().ok();
    let (after, through) = (integer(keys.after.as_ref()?)?, integer(&keys.through)?);
    let stripes = striping.stripes().get();
    striping.runs(number, after, through).filter(|runs| stripes > 1 && runs.pay(rows / stripes))
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
        let explain = serde_json::json!([{"Execution Time": 2.0, "Triggers": [
                {"Trigger Name": "audit", "Time": 0.5, "Calls": 100},
                {"Trigger Name": "RI_ConstraintTrigger_c_1", "Constraint Name": "t_u_fkey", "Time": 0.25, "Calls": 100}],
            "Plan": {"Actual Rows": 100.0, "WAL Bytes": 30_000, "WAL FPI": 0, "Shared Dirtied Blocks": 7}}]);
        let mut measured = Measured::default();
        assert!((0..2).all(|_| measured.add(&explain).is_some()));
        assert_eq!((measured.rows_changed, measured.wal_bytes, measured.pages_dirtied), (200, 60_000, 14));
        assert_eq!(measured.trigger_us("audit"), Some(5.0));
        assert_eq!(measured.trigger_us("t_u_fkey"), Some(2.5));
        assert_eq!(measured.trigger_us("other"), None);
    }

    #[test]
    fn of_two_large_tries_the_second_tells_the_log_and_the_first_the_rest() {
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
    fn tries_grow_up_to_a_batch_and_a_slice_that_logged_whole_pages_is_tried_again() {
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

    #[test]
    fn a_plan_without_figures_is_no_measurement() {
        assert_eq!(Measured::default().add(&serde_json::json!([{"Plan": {}}])), None);
    }
}
