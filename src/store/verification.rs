//! What a verification has found out: rows that differed when they were read, and what became of them.
//!
//! Must not know: how rows are compared.

use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::leaf::LeafNo;
use super::range::Claim;
use crate::db::{Error, Session};
use crate::human;
use crate::key::{Key, Mismatch};
use crate::run::RunId;
use crate::sql::{Qualified, fixed};

/// More rows of a run than that are not looked at again: it has failed, and a person wants examples.
const KEPT_MAX: i64 = 10_000;

/// A row that is to be looked at again. It is locked until the transaction ends.
#[derive(Clone, Debug)]
pub struct Suspect {
    /// Its leaf.
    pub leaf: LeafNo,
    /// The leaf's name.
    pub table: Qualified,
    /// Its key.
    pub key: Key,
    /// Which version of the row was seen.
    pub version: String,
    /// How often it was wrong.
    pub looks: i32,
}

/// What became of a row that was looked at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It is right by now, or gone.
    Dropped,
    /// It is as wrong as it was.
    Confirmed,
    /// It is wrong, and another version: it is looked at once more.
    Again(Mismatch),
    /// The same for the last time.
    Moving(Mismatch),
    /// It cannot be compared: what the server says.
    Fails(String),
}

/// A row that was found wrong.
#[derive(Clone, Debug, Serialize)]
pub struct WrongRow {
    /// Its table, as PostgreSQL would quote it.
    pub table: String,
    /// Its key.
    pub key: Key,
    /// In what it differs, in words.
    pub what: String,
    /// Whether the same version was still wrong; else it was another one at each look.
    pub is_confirmed: bool,
}

/// A verification to be made.
#[derive(Debug)]
pub struct NewVerification<'a> {
    /// Its run.
    pub run: RunId,
    /// The backfill that it reads.
    pub of: RunId,
    /// What is compared, hashed.
    pub expressions: &'a str,
    /// The same, in words.
    pub compared: &'a [String],
    /// The function of the sync trigger, if the job has one.
    pub sync: Option<&'a str>,
}

/// A verification that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Its run.
    pub run: RunId,
    /// The backfill that it has read.
    pub of: RunId,
    /// What was compared, hashed.
    pub expressions: String,
    /// The same, in words.
    pub compared: Vec<String>,
    /// Whether a sync trigger keeps true what was found.
    pub in_step: bool,
    /// Rows compared up to the last key of the backfill.
    pub rows: i64,
    /// Rows compared that came after it.
    pub rows_later: i64,
    /// Rows that differ.
    pub mismatches: i64,
    /// Rows that were wrong at each look, each time another version.
    pub moving: i64,
    /// Rows that differed and were too many to be looked at again.
    pub unlisted: i64,
    /// Rows that cannot be compared.
    pub bad_rows: i64,
    /// Whether none was wrong.
    pub verified: bool,
    /// When it began: RFC 3339, UTC, by the database's clock.
    pub began_at: String,
    /// When it ended.
    pub ended_at: String,
    /// The WAL position at its beginning.
    pub began_lsn: String,
    /// The same at its end.
    pub ended_lsn: String,
}

impl Verification {
    /// What is wrong, in words; empty: nothing.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let Self { mismatches, moving, unlisted, bad_rows, .. } = *self;
        let told = [
            (mismatches, "row that differs", "rows that differ"),
            (
                moving,
                "row that was changed and wrong at each look",
                "rows that were changed and wrong at each look",
            ),
            (
                unlisted,
                "row that differed, one too many to be looked at again",
                "rows that differed and were too many to be looked at again",
            ),
            (bad_rows, "row that cannot be compared", "rows that cannot be compared"),
        ];
        let told = told.into_iter().filter(|(rows, ..)| *rows > 0);
        told.map(|(rows, one, many)| human::counted(rows.unsigned_abs(), one, many)).collect()
    }
}

/// Writes down what a batch has found.
pub async fn add_suspects_in_txn(
    session: &Session,
    run: RunId,
    claim: &Claim,
    found: &[Mismatch],
) -> Result<(), Error> {
    // A list of texts always has a JSON form.
    let found = serde_json::to_string(found).expect("mismatches are plain data");
    let params = [
        (&run.0 as _, Type::INT8),
        (&claim.leaf.0 as _, Type::INT4),
        (&claim.number.0 as _, Type::INT8),
        (&found as _, Type::TEXT),
        (&KEPT_MAX as _, Type::INT8),
    ];
    session.execute(fixed::SUSPECT_ADD, &params).await.map(drop)
}

/// BEGIN with `settings`, and the next row that was seen `grace_s` seconds ago.
pub async fn next_suspect(
    session: &mut Session,
    settings: &str,
    run: RunId,
    grace_s: f64,
) -> Result<Option<Suspect>, Error> {
    let params = [(&run.0 as _, Type::INT8), (&grace_s as _, Type::FLOAT8)];
    let rows = session.begin_and_query(settings, fixed::SUSPECT_NEXT, &params).await?;
    Ok(rows.first().map(|row| Suspect {
        leaf: LeafNo(row.get("leaf")),
        table: Qualified::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
        key: Key(row.get("key")),
        version: row.get("row_version"),
        looks: row.get("looks"),
    }))
}

/// Commits the transaction with what became of a row.
pub async fn settle_suspect(
    session: &mut Session,
    run: RunId,
    suspect: &Suspect,
    verdict: &Looked,
) -> Result<(), Error> {
    let (state, what, version) = match verdict {
        Looked::Dropped => ("dropped", None, None),
        Looked::Confirmed => ("confirmed", None, None),
        Looked::Again(now) => ("suspect", Some(&now.what), Some(&now.version)),
        Looked::Moving(now) => ("moving", Some(&now.what), Some(&now.version)),
        Looked::Fails(why) => ("confirmed", Some(why), None),
    };
    let params = [
        (&run.0 as _, Type::INT8),
        (&suspect.leaf.0 as _, Type::INT4),
        (&suspect.key.0 as _, Type::TEXT_ARRAY),
        (&state as _, Type::TEXT),
        (&what as _, Type::TEXT),
        (&version as _, Type::TEXT),
    ];
    session.execute(fixed::SUSPECT_SETTLE, &params).await?;
    session.commit().await
}

/// How many rows are to be looked at again.
pub async fn pending_suspects(session: &Session, run: RunId) -> Result<i64, Error> {
    Ok(session.query_one(fixed::SUSPECT_PENDING, &[(&run.0, Type::INT8)]).await?.get(0))
}

/// Rows that were found wrong, at most so many.
pub async fn wrong_rows(session: &Session, run: RunId, limit: i64) -> Result<Vec<WrongRow>, Error> {
    let params = [(&run.0 as _, Type::INT8), (&limit as _, Type::INT8)];
    let rows = session.query(fixed::SUSPECT_LIST, &params).await?;
    let wrong = |row: &Row| WrongRow {
        table: row.get("table"),
        key: Key(row.get("key")),
        what: row.get("what"),
        is_confirmed: row.get::<_, &str>("state") == "confirmed",
    };
    Ok(rows.iter().map(wrong).collect())
}

/// Makes a verification.
pub async fn begin_verification_in_txn(session: &Session, new: &NewVerification<'_>) -> Result<(), Error> {
    let params = [
        (&new.run.0 as _, Type::INT8),
        (&new.of.0 as _, Type::INT8),
        (&new.expressions as _, Type::TEXT),
        (&new.compared as _, Type::TEXT_ARRAY),
        (&new.sync as _, Type::TEXT),
    ];
    session.execute(fixed::VERIFICATION_INSERT, &params).await.map(drop)
}

/// Adds up what a verification has found out, at its end.
pub async fn end_verification_in_txn(session: &Session, run: RunId) -> Result<(), Error> {
    session.execute(fixed::VERIFICATION_END, &[(&run.0, Type::INT8)]).await.map(drop)
}

/// The latest verification of the latest backfill of a job that has ended; or that of this run.
pub async fn verification(
    session: &Session,
    job: &str,
    run: Option<RunId>,
) -> Result<Option<Verification>, Error> {
    let run = run.map(|run| run.0);
    let params = [(&job as _, Type::TEXT), (&run as _, Type::INT8)];
    let row = session.query_opt(fixed::VERIFICATION_LATEST, &params).await?;
    Ok(row.map(|row| Verification {
        run: RunId(row.get("run")),
        of: RunId(row.get("of_run")),
        expressions: row.get("expressions"),
        compared: row.get("compared"),
        in_step: row.get("in_step"),
        rows: row.get("rows"),
        rows_later: row.get("rows_later"),
        mismatches: row.get("mismatches"),
        moving: row.get("moving"),
        unlisted: row.get("unlisted"),
        bad_rows: row.get("bad_rows"),
        verified: row.get("verified"),
        began_at: row.get("began_at"),
        ended_at: row.get("ended_at"),
        began_lsn: row.get("began_lsn"),
        ended_lsn: row.get("ended_lsn"),
    }))
}

/// Why the latest backfill of a job does not count as verified within so many seconds; none: it does.
pub async fn unverified(
    session: &Session,
    job: &str,
    within_s: Option<f64>,
) -> Result<Option<String>, Error> {
    let params = [(&job as _, Type::TEXT), (&within_s as _, Type::FLOAT8)];
    Ok(session.query_one(fixed::JOB_UNVERIFIED, &params).await?.get(0))
}

/// Gives a repair the ranges in which a verification has met rows that differed.
pub async fn begin_repair_in_txn(session: &Session, repair: RunId, of: RunId) -> Result<(), Error> {
    let params = [(&repair.0 as _, Type::INT8), (&of.0 as _, Type::INT8)];
    session.execute(fixed::REPAIR_INSERT, &params).await.map(drop)
}
