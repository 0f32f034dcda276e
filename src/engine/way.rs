//! Gets out of the way of sessions that wait for a batch of this process: the batch is cancelled and comes back smaller.
//!
//! Nobody is asked while every batch in hand is young, so an untroubled run costs the server nothing.
//!
//! Must not know: what a batch does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::hand::Old;
use super::shared::Shared;
use crate::db::{Error, Session};
use crate::human;
use crate::store::{self, Blocked};

/// Time between two looks.
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// A request to cancel may take so long.
const CANCEL_MAX: Duration = Duration::from_secs(1);

/// Who waits for whom, and since when we know of it: servers before version 14 do not tell.
#[derive(Default)]
pub(super) struct Way(BTreeMap<(i32, i32), Instant>);

impl Way {
    /// Whether there is anything to ask the server.
    pub(super) fn old_batches(shared: &Shared) -> Vec<Old> {
        let guard = &shared.orders.borrow().knobs.guard;
        let Some(ms) = guard.blocked_sessions_ms else { return Vec::new() };
        shared.hands.older_than(Duration::from_millis(ms.into()), Instant::now())
    }

    /// Nobody can be waiting for us.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Cancels the batches that others have waited for too long.
    pub(super) async fn make(
        &mut self,
        shared: &Shared,
        session: &Session,
        old: &[Old],
    ) -> Result<(), Error> {
        let Some(ms) = shared.orders.borrow().knobs.guard.blocked_sessions_ms else { return Ok(()) };
        let backends: Vec<i32> = old.iter().map(|old| old.backend).collect();
        let blocked = store::blocked_by(session, &backends).await?;
        let now = Instant::now();
        self.0.retain(|pair, _| blocked.iter().any(|blocked| (blocked.waiting, blocked.ours) == *pair));
        for old in old {
            let longest = blocked
                .iter()
                .filter(|blocked| blocked.ours == old.backend)
                .map(|blocked| (self.waited_ms(blocked, now), blocked));
            let Some((waited_ms, blocked)) = longest.max_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
            if waited_ms >= f64::from(ms) {
                let waited = human::duration(Duration::from_secs_f64(waited_ms / 1000.0));
                let why = format!(
                    "session {} has waited for our batch for {waited}: making way with a smaller one",
                    blocked.waiting
                );
                shared.hands.blame(old.worker, &why);
                let canceller = old.canceller.clone();
                // A batch that has just ended has nothing to cancel, and a server that does not answer must not hold us up.
                tokio::spawn(async move { drop(tokio::time::timeout(CANCEL_MAX, canceller.cancel()).await) });
            }
        }
        Ok(())
    }

    fn waited_ms(&mut self, blocked: &Blocked, now: Instant) -> f64 {
        let since = *self.0.entry((blocked.waiting, blocked.ours)).or_insert(now);
        blocked.waited_ms.unwrap_or_else(|| now.duration_since(since).as_secs_f64() * 1000.0)
    }
}
