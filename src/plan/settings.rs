//! What holds for every batch of a run, whatever the role's own settings are.
//!
//! Must not know: batches.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::job::Limits;
use crate::sql::QUIET;

/// A few times the target of a batch: one that takes longer is too large.
#[must_use]
pub fn statement_timeout(limits: Limits, target_ms: u32) -> Duration {
    let ms = limits.statement_timeout_ms.map_or((target_ms * 20).max(2_000), |ms| ms.get().max(target_ms));
    Duration::from_millis(ms.into())
}

/// The longest wait for an answer: the statement's time, and the way there and back. As long as a host that
/// is gone takes to be noticed, so that a line that is dead in another way is no worse.
#[must_use]
pub fn answer_max(statement_timeout: Duration) -> Duration {
    statement_timeout + Duration::from_secs(10)
}

/// The settings of a batch's transaction but `statement_timeout`: those that decide what an expression means
/// (`meaning`, as JSON), and ours.
#[must_use]
pub fn batch_settings(
    (job, meaning): (&str, &str),
    limits: Limits,
    server_version: i32,
) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        serde_json::from_str::<BTreeMap<String, String>>(meaning).unwrap_or_default().into_iter().collect();
    let lock_timeout = limits.lock_timeout_ms.to_string();
    let ours = [
        ("lock_timeout", lock_timeout.as_str()),
        // A process that is frozen inside a batch gives its locks back.
        ("idle_in_transaction_session_timeout", "5s"),
        // Rows and cursor are lost together or kept together, so nothing is gained by waiting for the disk.
        ("synchronous_commit", "off"),
        ("plan_cache_mode", "force_custom_plan"),
        // What we change is no change of the application's: the job's sync trigger leaves it as it is.
        // Those of other jobs do their work.
        (QUIET, job),
        // Every batch would compile again what runs for a tenth of a second.
        ("jit", "off"),
        // A lost host is noticed in about 12 s instead of two hours.
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "2"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "12000"),
    ];
    all.extend(ours.map(|(name, value)| (name.to_owned(), value.to_owned())));
    if server_version >= 140_000 {
        // A killed process is noticed in the middle of its statement.
        all.push(("client_connection_check_interval".into(), "500".into()));
    }
    all
}
