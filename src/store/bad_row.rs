//! The quarantine: rows whose own data made the change fail.
//!
//! Must not know: how a bad row is found.

use serde::Serialize;
use tokio_postgres::types::Type;

use super::leaf::LeafNo;
use crate::db::{Error, Session};
use crate::key::Key;
use crate::run::RunId;
use crate::sql::fixed;

/// A row in the quarantine.
#[derive(Clone, Debug, Serialize)]
pub struct BadRow {
    /// Its key.
    pub key: Key,
    /// Five characters.
    pub sqlstate: String,
    /// What the server said.
    pub message: String,
}

/// Records a row, in the transaction that moves the cursor past it.
pub async fn bad_row_in_txn(session: &Session, run: RunId, leaf: LeafNo, row: &BadRow) -> Result<(), Error> {
    let params = [
        (&run.0 as _, Type::INT8),
        (&leaf.0 as _, Type::INT4),
        (&row.key.0 as _, Type::TEXT_ARRAY),
        (&row.sqlstate as _, Type::TEXT),
        (&row.message as _, Type::TEXT),
    ];
    session.execute(fixed::BAD_ROW_INSERT, &params).await.map(drop)
}

/// How many there are.
pub async fn bad_rows_count(session: &Session, run: RunId) -> Result<u64, Error> {
    let row = session.query_one(fixed::BAD_ROW_COUNT, &[(&run.0, Type::INT8)]).await?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

/// The latest of them.
pub async fn bad_rows(session: &Session, run: RunId, limit: i64) -> Result<Vec<BadRow>, Error> {
    let rows = session.query(fixed::BAD_ROW_LIST, &[(&run.0, Type::INT8), (&limit, Type::INT8)]).await?;
    Ok(rows
        .iter()
        .map(|row| BadRow {
            key: Key(row.get("key")),
            sqlstate: row.get("sqlstate"),
            message: row.get("message"),
        })
        .collect())
}
