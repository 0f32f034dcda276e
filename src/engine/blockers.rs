//! Cancels batches of this process that other sessions wait for; they come back smaller.
//!
//! The server is not asked while every batch in flight is young, so an untroubled run costs it nothing.
//!
//! Must not know: what a batch does.

use std::time::{Duration, Instant};

use super::inflight::OldBatch;
use super::part::Part;
use crate::db::{Error, Session};
use crate::human;
use crate::store::Waiters;

/// Time between two looks.
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// A request to cancel may take so long.
const CANCEL_MAX: Duration = Duration::from_secs(1);

/// The batches that are so old that a session may have waited for them for too long.
pub(super) fn old_batches(part: &Part) -> Vec<OldBatch> {
    let Some(limit) = limit(part) else { return Vec::new() };
    part.inflight.older_than(limit, Instant::now())
}

/// For how long a session may wait for a batch of ours.
fn limit(part: &Part) -> Option<Duration> {
    part.team.knobs().guard.blocked_sessions_ms.map(|ms| Duration::from_millis(ms.into()))
}

/// Cancels the batches that others have waited for too long.
pub(super) async fn cancel_blockers(
    part: &Part,
    session: &Session,
    waiters: &mut Waiters,
    old: &[OldBatch],
) -> Result<(), Error> {
    let Some(limit) = limit(part) else { return Ok(()) };
    let backends: Vec<i32> = old.iter().map(|old| old.backend).collect();
    for waiter in waiters.look(session, &backends).await?.iter().filter(|waiter| waiter.waited >= limit) {
        let Some(old) = old.iter().find(|old| old.backend == waiter.ours) else { continue };
        let waited = human::duration(waiter.waited);
        let why = format!(
            "session {} has waited for our batch for {waited}: making way with a smaller one",
            waiter.backend
        );
        part.inflight.cancelling(old.worker, &why);
        let canceller = old.canceller.clone();
        // A batch that has just ended has nothing to cancel, and a server that does not answer must not hold
        // up the heartbeat.
        tokio::spawn(async move { drop(tokio::time::timeout(CANCEL_MAX, canceller.cancel()).await) });
    }
    Ok(())
}
