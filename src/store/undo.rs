//! The values that runs have replaced: the table of a run, what an undo has left, how much there is.
//!
//! Must not know: how values are kept, how they are put back.

use serde::Serialize;
use tokio_postgres::types::Type;

use super::run::{StoreError, latest, lock_in_txn, lock_table_in_txn};
use crate::db::{Error, Session};
use crate::key::KeyColumn;
use crate::run::{RunId, RunKind};
use crate::sql::settings::{AS_MARKS, LASTING, SAVEPOINT, TO_SAVEPOINT};
use crate::sql::{OldValues, fixed};

/// The kept values of a run.
#[derive(Clone, Debug, Serialize)]
pub struct KeptValues {
    /// The run.
    pub run: RunId,
    /// Whether it has ended, and no undo or verification of it is under way.
    pub is_over: bool,
    /// Whether its rows are known by the key that the latest run has.
    pub same_key: bool,
    /// Bytes of its table, with everything that belongs to it.
    pub bytes: i64,
    /// Seconds since the run began.
    pub age_s: f64,
}

/// Rows that an undo has left as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Left {
    /// They were changed since the run has written them.
    pub changed: i64,
    /// They are gone.
    pub gone: i64,
}

/// A later backfill of the same table.
#[derive(Clone, Debug)]
pub struct Later {
    /// Its run.
    pub run: RunId,
    /// Its job.
    pub job: String,
    /// The job as text.
    pub job_text: String,
}

/// Makes the table of a run; gives the server's words if the role may not.
pub async fn keep_old_values_in_txn(
    session: &Session,
    run: RunId,
    old: &OldValues,
) -> Result<Option<String>, Error> {
    let has_lz4: bool = session.query_one(fixed::UNDO_COMPRESSION, &[]).await?.get("has_lz4");
    session.batch_execute(SAVEPOINT).await?;
    match session.batch_execute(&old.create(has_lz4.then_some("lz4"))).await {
        Ok(()) => {}
        Err(Error::Server(refused)) => {
            session.batch_execute(TO_SAVEPOINT).await?;
            return Ok(Some(refused.message.clone()));
        }
        Err(lost) => return Err(lost),
    }
    for row in session.query(fixed::UNDO_WRITERS, &[]).await? {
        session.batch_execute(&old.grant(row.get("grantee"))).await?;
    }
    session.execute(fixed::RUN_KEEPS, &[(&run.0, Type::INT8)]).await?;
    Ok(None)
}

/// The kept values of the runs of a job, the oldest first.
pub async fn kept_values(session: &Session, job: &str) -> Result<Vec<KeptValues>, Error> {
    let rows = session.query(fixed::UNDO_KEPT, &[(&job, Type::TEXT)]).await?;
    Ok(rows
        .iter()
        .map(|row| KeptValues {
            run: RunId(row.get("run")),
            is_over: row.get("is_over"),
            same_key: row.get::<_, Option<bool>>("same_key").unwrap_or(false),
            bytes: row.get("bytes"),
            age_s: row.get("age_s"),
        })
        .collect())
}

/// Drops the table of a run, in a transaction of its own; false if something has begun to use it meanwhile.
pub async fn drop_old_values(session: &mut Session, job: &str, run: RunId) -> Result<bool, StoreError> {
    session.begin(LASTING).await?;
    let dropped = drop_in_txn(session, job, run).await;
    session.commit_or_rollback(dropped).await
}

async fn drop_in_txn(session: &Session, job: &str, run: RunId) -> Result<bool, StoreError> {
    // No run is made meanwhile that would use it.
    lock_table_in_txn(session).await?;
    lock_in_txn(session, run).await?;
    if !kept_values(session, job).await?.iter().any(|kept| kept.run == run && kept.is_over) {
        return Ok(false);
    }
    session.batch_execute(&OldValues::drop(&OldValues::table_of(run.0))).await?;
    session.execute(fixed::RUN_FORGET, &[(&run.0, Type::INT8)]).await?;
    Ok(true)
}

/// Waits for the batches of a run that are under way, so that nothing is added to what it has kept.
pub async fn settle_in_txn(session: &Session, run: RunId) -> Result<(), Error> {
    session.query_one(fixed::RUN_SETTLE, &[(&run.0, Type::INT8)]).await.map(drop)
}

/// The key of a job's latest backfill.
pub async fn key_of_job(session: &Session, job: &str) -> Result<Vec<KeyColumn>, StoreError> {
    let run = latest(session, job, RunKind::Backfill).await?;
    Ok(run.map_or_else(Vec::new, |run| run.key))
}

/// Takes one row out of everything that is kept of a job; gives how many entries there were.
pub async fn forget_key(
    session: &mut Session,
    job: &str,
    kept: &[KeptValues],
    (columns, key): (&[KeyColumn], &[String]),
) -> Result<u64, Error> {
    session.begin(LASTING).await?;
    let forgotten = forget_key_in_txn(session, job, kept, (columns, key)).await;
    session.commit_or_rollback(forgotten).await
}

async fn forget_key_in_txn(
    session: &Session,
    job: &str,
    kept: &[KeptValues],
    (columns, key): (&[KeyColumn], &[String]),
) -> Result<u64, Error> {
    // The quarantine has keys as texts, verifications as JSON has them; a person may write them otherwise.
    session.batch_execute(AS_MARKS).await?;
    let types: Vec<_> = columns.iter().map(|column| column.ty.name()).collect();
    let spelled: String = session.query_one(&OldValues::spellings(&types, key), &[]).await?.get(0);
    let params = [(&job as _, Type::TEXT), (&spelled as _, Type::TEXT)];
    let mut entries: i64 = session.query_one(fixed::FORGET_KEY, &params).await?.get("entries");
    for KeptValues { run, .. } in kept.iter().filter(|kept| kept.same_key) {
        let table = OldValues::table_of(run.0);
        let name = table.to_string();
        let row = session.query_one(fixed::UNDO_ARRAYS, &[(&name, Type::TEXT)]).await?;
        let arrays: Vec<String> = row.get("arrays");
        entries += session.query_one(&OldValues::forget(&table, &arrays, key), &[]).await?.get::<_, i64>(0);
    }
    Ok(u64::try_from(entries).unwrap_or(0))
}

/// How many rows an undo has left as they are.
pub async fn left_by_undo(session: &Session, run: RunId) -> Result<Left, Error> {
    let row = session.query_one(fixed::UNDO_LEFT, &[(&run.0, Type::INT8)]).await?;
    Ok(Left { changed: row.get("changed"), gone: row.get("gone") })
}

/// Later backfills of a table that were not undone, the latest first.
pub async fn later_backfills(session: &Session, run: RunId, target: u32) -> Result<Vec<Later>, Error> {
    let rows = session.query(fixed::UNDO_LATER, &[(&run.0, Type::INT8), (&target, Type::OID)]).await?;
    let later = rows.iter().map(|row| Later {
        run: RunId(row.get("run")),
        job: row.get("job"),
        job_text: row.get("job_text"),
    });
    Ok(later.collect())
}

/// Whether an undo of this run has begun.
pub async fn is_undone(session: &Session, run: RunId) -> Result<bool, Error> {
    Ok(session.query_one(fixed::RUN_UNDONE, &[(&run.0, Type::INT8)]).await?.get("undone"))
}
