//! Whether sessions of others are at work in the cluster.
//!
//! Must not know: what follows from it.

use std::time::Duration;

use tokio_postgres::types::Type;

use crate::db::{Error, Session};
use crate::sql::fixed;

/// The longest wait for the answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What one look showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OthersSeen {
    /// When, by the server's clock, in seconds since 1970.
    pub clock_s: f64,
    /// Whether a pooler stands before the server. It may give a session of ours, with its `application_name`,
    /// to a client that has none, so that it cannot be told whose it is.
    pub is_pooled: bool,
    /// How long the look took the server, in milliseconds.
    pub took_ms: f64,
    /// How many there are, at work or not.
    pub sessions: i64,
    /// Sessions that are in a transaction that has written.
    pub writing: i64,
    /// Sessions that have begun or ended a statement since the last look.
    pub changed: i64,
    /// Of them, those whose statement may have written.
    pub wrote: i64,
    /// What they run just now: a name for each statement, or each transaction of a session whose statements
    /// are hidden.
    pub running: Vec<String>,
    /// For how long each statement that is not hidden has been running, in milliseconds.
    pub ages_ms: Vec<f64>,
}

/// Looks at the sessions of others; `since` is the time of the last look, by the server's clock.
pub async fn others_seen(session: &mut Session, since: Option<f64>) -> Result<OthersSeen, Error> {
    session.answers_within(ANSWER_MAX);
    let row = session.query_one(fixed::OTHERS_SEEN, &[(&since, Type::FLOAT8)]).await?;
    let told = session.canceller().backend().await;
    Ok(OthersSeen {
        is_pooled: told.is_some_and(|told| told != row.get::<_, i32>("backend")),
        clock_s: row.get("clock_s"),
        took_ms: row.get("took_ms"),
        sessions: row.get("sessions"),
        writing: row.get("writing"),
        changed: row.get("changed"),
        wrote: row.get("wrote"),
        running: row.get("running"),
        ages_ms: row.get("ages_ms"),
    })
}
