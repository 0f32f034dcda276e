//! Ranges: claim, lease, checkpoint.
//!
//! Must not know: what a batch does to its rows.

use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::leaf::{self, LeafNo};
use crate::db::{Error, Session};
use crate::run::{RangeNo, RunId, RunState};
use crate::scan::{LeafOrder, Mark, ScanOrder, Span};
use crate::sql::settings::PASSING;
use crate::sql::{self, Qualified, fixed};
use crate::stripe::{StripeBy, Striping};

/// Who would like to keep a range, and for how long. Only a courtesy: correctness never reads it.
#[derive(Clone, Debug)]
pub struct Hint {
    /// Unique over all processes.
    pub worker: String,
    /// In seconds.
    pub for_s: f64,
}

/// How far a range has got: `cursor` in `stripe`; no cursor means from the range's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// From 0.
    pub stripe: i32,
    /// This stripe is done up to here.
    pub cursor: Option<Mark>,
}

/// A range's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeState {
    /// Work is left.
    Open,
    /// None is.
    Done,
}

impl RangeState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
        }
    }
}

/// A range that a worker has claimed.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Its number.
    pub number: RangeNo,
    /// Its leaf.
    pub leaf: LeafNo,
    /// The leaf's object id.
    pub relation: u32,
    /// The leaf's name.
    pub table: Qualified,
    /// In which order the leaf is walked.
    pub order: LeafOrder,
    /// Where it begins and ends.
    pub span: Span,
    /// How it is striped.
    pub striping: Striping,
    /// Where it stands.
    pub position: Position,
    /// Whether it was let alone because others held its next row.
    pub rested: bool,
}

impl Claim {
    /// What is left of it: from the cursor, or where it has none from the beginning, to the end.
    #[must_use]
    pub fn ahead(&self) -> Span {
        let after = self.position.cursor.clone().or_else(|| self.span.after.clone());
        Span { after, through: self.span.through.clone() }
    }
}

/// What is hinted at a range that no worker is to take for a while.
const RESTING: &str = "resting";

/// A range to be inserted.
#[derive(Clone, Debug)]
pub struct NewRange<'a> {
    /// Its leaf.
    pub leaf: LeafNo,
    /// Where it begins and ends.
    pub span: &'a Span,
    /// How it is striped.
    pub striping: Striping,
    /// The reason, in words.
    pub why: &'a str,
    /// How many rows there are.
    pub rows_planned: i64,
    /// The pass of its leaf, and whether that is a sweep.
    pub pass: i32,
    /// See there.
    pub is_sweep: bool,
}

/// What the lock of a range found: the truth about where it stands.
#[derive(Clone, Debug)]
pub struct Fence {
    /// Where it begins and ends.
    pub span: Span,
    /// How it is striped.
    pub striping: Striping,
    /// Where the range stands.
    pub position: Position,
    /// The server's timeline.
    pub timeline: i32,
    /// Done by another worker.
    pub done: bool,
    /// The counter of HOT updates before the batch.
    pub hot_before: i64,
    /// The run's state at this moment.
    pub run_state: RunState,
    /// Why the table is not the one that was planned, if it is not.
    pub changed: Option<&'static str>,
    /// Whether the table has another file than the one that the marks are of.
    pub is_rewritten: bool,
}

/// What a batch leaves behind in its range.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The new position.
    pub position: Position,
    /// The new state.
    pub state: RangeState,
    /// Rows passed by this batch.
    pub rows_passed: i64,
    /// Rows changed by this batch.
    pub rows_changed: i64,
    /// The counter of HOT updates before it, as the lock found it.
    pub hot_before: i64,
    /// Of a verification: rows that differed.
    pub rows_wrong: i64,
}

/// The counters of a range after a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeCounters {
    /// Rows changed so far.
    pub rows_changed: u64,
    /// Of them, HOT.
    pub rows_hot: u64,
}

fn mark(row: &Row, column: &str) -> Option<Mark> {
    row.get::<_, Option<Vec<String>>>(column).map(Mark)
}

/// Takes the first range that no worker holds or hints at, in a transaction of its own.
pub async fn claim(session: &mut Session, run: RunId, hint: &Hint) -> Result<Option<Claim>, Error> {
    let params = [
        (&run.0 as _, Type::INT8),
        (&hint.worker as _, Type::TEXT),
        (&hint.for_s as _, Type::FLOAT8),
        (&RESTING as _, Type::TEXT),
    ];
    let rows = session.transact(PASSING, fixed::RANGE_CLAIM, &params).await?;
    rows.first().map(read_claim).transpose()
}

fn read_claim(row: &Row) -> Result<Claim, Error> {
    Ok(Claim {
        number: RangeNo(row.get("number")),
        leaf: LeafNo(row.get("leaf")),
        relation: row.get("relation"),
        striping: striping(row)?,
        table: Qualified::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
        order: leaf::order(row),
        span: span(row),
        position: Position { stripe: row.get("stripe"), cursor: mark(row, "cursor") },
        rested: row.get("rested"),
    })
}

fn span(row: &Row) -> Span {
    Span { after: mark(row, "lo"), through: Mark(row.get("hi")) }
}

fn striping(row: &Row) -> Result<Striping, Error> {
    let by = row
        .get::<_, Option<i32>>("stripe_shift")
        .map_or(StripeBy::Hash, |shift| StripeBy::Bits { shift: shift as u32 });
    let stripes: i32 = row.get("stripes");
    // The CHECK of the column knows the same numbers.
    Striping::new(stripes as u32, by).ok_or_else(|| Error::Protocol(format!("a range of {stripes} stripes")))
}

/// Adds a range that follows the frontier.
pub async fn add_range_in_txn(
    session: &Session,
    run: RunId,
    new: &NewRange<'_>,
    hint: &Hint,
) -> Result<RangeNo, Error> {
    let lo = new.span.after.as_ref().map(|mark| &mark.0);
    let stripes = new.striping.stripes().get() as i32;
    let shift = match new.striping.by() {
        StripeBy::Bits { shift } => Some(shift as i32),
        StripeBy::Hash => None,
    };
    let params = [
        (&run.0 as _, Type::INT8),
        (&new.leaf.0 as _, Type::INT4),
        (&lo as _, Type::TEXT_ARRAY),
        (&new.span.through.0 as _, Type::TEXT_ARRAY),
        (&new.rows_planned as _, Type::INT8),
        (&stripes as _, Type::INT4),
        (&shift as _, Type::INT4),
        (&new.why as _, Type::TEXT),
        (&hint.worker as _, Type::TEXT),
        (&hint.for_s as _, Type::FLOAT8),
        (&new.pass as _, Type::INT4),
        (&new.is_sweep as _, Type::BOOL),
    ];
    Ok(RangeNo(session.query_one(fixed::RANGE_INSERT, &params).await?.get(0)))
}

/// BEGIN with `settings`, and the lock of a range behind the fence of the walked table, in one round trip.
/// None: another worker holds the range. `walked` is the table as a FROM item, `key` its key's columns.
pub async fn lock_range(
    session: &mut Session,
    settings: &str,
    run: RunId,
    claim: &Claim,
    walked: &str,
    key: &[String],
) -> Result<Option<Fence>, Error> {
    let table = claim.table.to_string();
    let params = [
        (&run.0 as _, Type::INT8),
        (&claim.number.0 as _, Type::INT8),
        (&table as _, Type::TEXT),
        (&key as _, Type::TEXT_ARRAY),
    ];
    let rows = session.begin_and_query(settings, &sql::range_lock(walked), &params).await?;
    rows.first().map(fence).transpose()
}

fn fence(row: &Row) -> Result<Fence, Error> {
    let state: &str = row.get("run_state");
    Ok(Fence {
        span: span(row),
        striping: striping(row)?,
        timeline: row.get("timeline"),
        position: Position { stripe: row.get("stripe"), cursor: mark(row, "cursor") },
        hot_before: row.get("hot_before"),
        done: row.get::<_, &str>("state") == RangeState::Done.as_str(),
        // An unknown state is a later program's: not ours to run in.
        run_state: RunState::parse(state).unwrap_or(RunState::Blocked),
        changed: change(row),
        is_rewritten: !row.get::<_, Option<bool>>("same_file").unwrap_or(false),
    })
}

/// Why the table of a row's leaf is not the one that was planned, if it is not.
pub(super) fn change(row: &Row) -> Option<&'static str> {
    let holds = |column: &str| row.get::<_, Option<bool>>(column).unwrap_or(false);
    if !holds("same_relation") {
        return Some("another table bears its name now: it was renamed, or dropped and created again");
    }
    if !holds("attached") {
        return Some("it is no longer a partition of the job's table");
    }
    if !holds("every_row") {
        return Some("row security was switched on and hides rows from this role");
    }
    if !holds("same_shape") {
        return Some("the type or the collation of a key column changed, and with it the order of the keys");
    }
    None
}

impl Checkpoint {
    /// Commits the transaction with this checkpoint as its last statement.
    pub async fn commit(
        &self,
        session: &mut Session,
        run: RunId,
        claim: &Claim,
        hint: &Hint,
    ) -> Result<RangeCounters, Error> {
        let cursor = self.position.cursor.as_ref().map(|mark| &mark.0);
        let state = self.state.as_str();
        let params = [
            (&run.0 as _, Type::INT8),
            (&claim.number.0 as _, Type::INT8),
            (&self.position.stripe as _, Type::INT4),
            (&cursor as _, Type::TEXT_ARRAY),
            (&state as _, Type::TEXT),
            (&self.rows_passed as _, Type::INT8),
            (&self.rows_changed as _, Type::INT8),
            (&claim.relation as _, Type::OID),
            (&hint.worker as _, Type::TEXT),
            (&hint.for_s as _, Type::FLOAT8),
            (&self.hot_before as _, Type::INT8),
            (&self.rows_wrong as _, Type::INT8),
        ];
        let row = session.query_and_commit(fixed::RANGE_CHECKPOINT, &params).await?;
        let count = |column: &str| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
        Ok(RangeCounters { rows_changed: count("rows_changed"), rows_hot: count("rows_hot") })
    }
}

/// In how many stripes a run is walked now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StripesNow {
    /// In which order the leaf of its latest range is walked.
    pub scan: ScanOrder,
    /// Which sweep of that leaf this is; 0: none.
    pub sweep: i32,
    /// Stripes of its latest range.
    pub stripes: i32,
    /// Why; none if an older version planned it.
    pub why: Option<String>,
    /// Of all rows changed so far, those that were HOT, in percent; none before the first.
    pub hot_percent: Option<i32>,
}

/// The stripes of the latest range; none before the first.
pub async fn latest_stripes(session: &Session, run: RunId) -> Result<Option<StripesNow>, Error> {
    let row = session.query_opt(fixed::RANGE_LATEST, &[(&run.0, Type::INT8)]).await?;
    Ok(row.map(|row| StripesNow {
        scan: ScanOrder::parse(row.get("scan")).unwrap_or(ScanOrder::Keys),
        sweep: row.get("sweep"),
        stripes: row.get("stripes"),
        why: row.get("why"),
        hot_percent: row.get("hot_percent"),
    }))
}

/// Gives a range up before its hint ends.
pub async fn release(session: &mut Session, run: RunId, range: RangeNo, worker: &str) -> Result<(), Error> {
    hint(session, run, range, worker, worker, 0.0).await
}

/// Keeps a range for so many seconds in which nothing is committed there.
pub async fn keep(session: &mut Session, run: RunId, range: RangeNo, own: &Hint) -> Result<(), Error> {
    hint(session, run, range, &own.worker, &own.worker, own.for_s).await
}

/// Gives a range up, and no worker takes it for so many seconds: something of others is in the way there.
pub async fn rest(
    session: &mut Session,
    run: RunId,
    range: RangeNo,
    worker: &str,
    for_s: f64,
) -> Result<(), Error> {
    hint(session, run, range, worker, RESTING, for_s).await
}

async fn hint(
    session: &mut Session,
    run: RunId,
    range: RangeNo,
    before: &str,
    after: &str,
    for_s: f64,
) -> Result<(), Error> {
    let params = [
        (&run.0 as _, Type::INT8),
        (&range.0 as _, Type::INT8),
        (&before as _, Type::TEXT),
        (&after as _, Type::TEXT),
        (&for_s as _, Type::FLOAT8),
    ];
    session.transact(PASSING, fixed::RANGE_HINT, &params).await.map(drop)
}

/// How many ranges are open and how many leaves are not planned to their end.
pub async fn open_work(session: &Session, run: RunId) -> Result<i64, Error> {
    Ok(session.query_one(fixed::RANGE_OPEN_COUNT, &[(&run.0, Type::INT8)]).await?.get(0))
}
