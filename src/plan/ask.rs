//! Questions to the server that hold up neither a run nor the application.
//!
//! Must not know: what is asked.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio_postgres::types::Json;

use crate::db::{Error, Param, Session};
use crate::sql::settings;

/// The longest query, and the way there and back.
const ANSWER_MAX: Duration = Duration::from_secs(13);

/// The rows of a query, in a transaction that does not wait long.
pub(super) async fn rows(
    session: &mut Session,
    sql: &str,
    params: &[Param<'_>],
) -> Result<Vec<tokio_postgres::Row>, Error> {
    session.answers_within(ANSWER_MAX);
    session.query_and_rollback(settings::LOOKING, sql, params).await
}

/// The rows of a query in a transaction that stays open, so that it can be asked about itself.
pub(super) async fn begin(session: &mut Session, sql: &str) -> Result<Vec<tokio_postgres::Row>, Error> {
    session.answers_within(ANSWER_MAX);
    session.begin_and_query(settings::LOOKING, sql, &[]).await
}

/// The one JSON value that a query gives.
pub(super) async fn json<T: DeserializeOwned>(
    session: &mut Session,
    sql: &str,
    params: &[Param<'_>],
) -> Result<T, Error> {
    let rows = rows(session, sql, params).await?;
    let row = rows.first().ok_or_else(|| Error::Protocol("no row".into()))?;
    let Json(value): Json<serde_json::Value> = row.try_get(0)?;
    serde_json::from_value(value).map_err(|error| Error::Protocol(error.to_string()))
}
