//! Ranges: claim, lease, checkpoint.
//!
//! Must not know: what a batch does to its rows.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::leaf::LeafNo;
use crate::db::{Error, Session};
use crate::key::{Key, KeyRange};
use crate::run::{RangeNo, RunId, RunState};
use crate::sql::{Qualified, fixed};

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
    /// The last key of this stripe that is done.
    pub cursor: Option<Key>,
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
    /// The leaf's name.
    pub table: Qualified,
    /// Its keys.
    pub keys: KeyRange,
    /// Where it stands.
    pub position: Position,
}

/// A range to be inserted.
#[derive(Clone, Debug)]
pub struct NewRange<'a> {
    /// Its leaf.
    pub leaf: LeafNo,
    /// Its keys.
    pub keys: &'a KeyRange,
    /// How many there are.
    pub rows_planned: i64,
}

/// What the lock of a range found: the truth about where it stands.
#[derive(Clone, Debug)]
pub struct Fence {
    /// Where the range stands.
    pub position: Position,
    /// Done by somebody else.
    pub done: bool,
    /// The run's state at this moment.
    pub run_state: RunState,
    /// Why the table is not the one that was planned, if it is not.
    pub changed: Option<&'static str>,
}

/// What a batch leaves behind in its range.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The new position.
    pub position: Position,
    /// The new state.
    pub state: RangeState,
    /// Keys passed by this batch.
    pub rows_passed: i64,
    /// Rows changed by this batch.
    pub rows_changed: i64,
}

fn key(row: &Row, column: &str) -> Option<Key> {
    row.get::<_, Option<Vec<String>>>(column).map(Key)
}

/// Takes the first range that nobody holds or hints at, in a statement of its own.
pub async fn claim(session: &Session, run: RunId, hint: &Hint) -> Result<Option<Claim>, Error> {
    let params =
        [(&run.0 as _, Type::INT8), (&hint.worker as _, Type::TEXT), (&hint.for_s as _, Type::FLOAT8)];
    let row = session.query_opt(fixed::RANGE_CLAIM, &params).await?;
    Ok(row.map(|row| Claim {
        number: RangeNo(row.get("number")),
        leaf: LeafNo(row.get("leaf")),
        table: Qualified::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
        keys: KeyRange { after: key(&row, "lo"), through: Key(row.get("hi")) },
        position: Position { stripe: row.get("stripe"), cursor: key(&row, "cursor") },
    }))
}

/// Adds a range that follows the frontier.
pub async fn add_range_in_txn(
    session: &Session,
    run: RunId,
    new: &NewRange<'_>,
    hint: &Hint,
) -> Result<RangeNo, Error> {
    let lo = new.keys.after.as_ref().map(|key| &key.0);
    let params = [
        (&run.0 as _, Type::INT8),
        (&new.leaf.0 as _, Type::INT4),
        (&lo as _, Type::TEXT_ARRAY),
        (&new.keys.through.0 as _, Type::TEXT_ARRAY),
        (&new.rows_planned as _, Type::INT8),
        (&hint.worker as _, Type::TEXT),
        (&hint.for_s as _, Type::FLOAT8),
    ];
    Ok(RangeNo(session.query_one(fixed::RANGE_INSERT, &params).await?.get(0)))
}

/// Reads the answer of the lock statement; no row means that another worker holds the range.
#[must_use]
pub fn fence(rows: &[Row]) -> Option<Fence> {
    let row = rows.first()?;
    let state: &str = row.get("run_state");
    Some(Fence {
        position: Position { stripe: row.get("stripe"), cursor: key(row, "cursor") },
        done: row.get::<_, &str>("state") == RangeState::Done.as_str(),
        // An unknown state is a later program's: not ours to run in.
        run_state: RunState::parse(state).unwrap_or(RunState::Blocked),
        changed: change(row),
    })
}

fn change(row: &Row) -> Option<&'static str> {
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
        range: RangeNo,
        hint: &Hint,
    ) -> Result<(), Error> {
        let cursor = self.position.cursor.as_ref().map(|key| &key.0);
        let state = self.state.as_str();
        let params = [
            (&run.0 as _, Type::INT8),
            (&range.0 as _, Type::INT8),
            (&self.position.stripe as _, Type::INT4),
            (&cursor as _, Type::TEXT_ARRAY),
            (&state as _, Type::TEXT),
            (&self.rows_passed as _, Type::INT8),
            (&self.rows_changed as _, Type::INT8),
            (&hint.worker as _, Type::TEXT),
            (&hint.for_s as _, Type::FLOAT8),
        ];
        session.execute_and_commit(fixed::RANGE_CHECKPOINT, &params).await
    }
}

/// Gives a range up before its hint ends.
pub async fn release(session: &Session, run: RunId, range: RangeNo, worker: &str) -> Result<(), Error> {
    let params = [(&run.0 as _, Type::INT8), (&range.0 as _, Type::INT8), (&worker as _, Type::TEXT)];
    session.execute(fixed::RANGE_RELEASE, &params).await.map(drop)
}

/// How many ranges are open and how many leaves are not planned to their end.
pub async fn open_work(session: &Session, run: RunId) -> Result<i64, Error> {
    Ok(session.query_one(fixed::RANGE_OPEN_COUNT, &[(&run.0, Type::INT8)]).await?.get(0))
}
