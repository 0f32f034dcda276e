//! Sessions of others that wait for sessions of ours.
//!
//! Must not know: what ours do, what follows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use crate::db::{Error, Session};
use crate::sql::fixed;

/// Who waits for whom, and since when we know of it: servers before version 14 do not tell.
#[derive(Debug, Default)]
pub struct Waiters(BTreeMap<(i32, i32), Instant>);

/// A session that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// The process id of its backend.
    pub backend: i32,
    /// For which backend of ours.
    pub ours: i32,
    /// For how long.
    pub waited: Duration,
}

impl Waiters {
    /// For each of these backends of ours the session that has waited for it longest.
    pub async fn look(&mut self, session: &Session, ours: &[i32]) -> Result<Vec<Waiter>, Error> {
        let rows = session.query(fixed::BLOCKED_BY, &[(&ours, Type::INT4_ARRAY)]).await?;
        let now = Instant::now();
        let found = rows.iter().map(|row| (row.get("pid"), row.get("ours"), row.get("waited_ms")));
        Ok(self.note(&found.collect::<Vec<_>>(), now))
    }

    /// No session can be waiting for ours.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    fn note(&mut self, found: &[(i32, i32, Option<f64>)], now: Instant) -> Vec<Waiter> {
        self.0.retain(|pair, _| found.iter().any(|(backend, ours, _)| (*backend, *ours) == *pair));
        let mut longest: BTreeMap<i32, Waiter> = BTreeMap::new();
        for (backend, ours, waited_ms) in found.iter().copied() {
            let since = *self.0.entry((backend, ours)).or_insert(now);
            let told = waited_ms.map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1000.0));
            let waited = told.unwrap_or_else(|| now.duration_since(since));
            let one = longest.entry(ours).or_insert(Waiter { backend, ours, waited });
            if waited > one.waited {
                (one.backend, one.waited) = (backend, waited);
            }
        }
        longest.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_waiters_the_longest_is_told_for_each_of_ours() {
        let now = Instant::now();
        let found = [(10, 1, Some(40.0)), (11, 1, Some(90.0)), (12, 2, Some(5.0))];
        let told: Vec<_> = Waiters::default()
            .note(&found, now)
            .iter()
            .map(|one| (one.backend, one.ours, one.waited.as_millis()))
            .collect();
        assert_eq!(told, [(11, 1, 90), (12, 2, 5)]);
    }

    #[test]
    fn a_server_that_does_not_tell_is_watched_by_our_clock_until_the_waiter_is_gone() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut waiters = Waiters::default();
        waiters.note(&[(10, 1, None)], at(0));
        assert_eq!(waiters.note(&[(10, 1, None)], at(70))[0].waited.as_millis(), 70);
        assert_eq!(waiters.note(&[], at(80)), []);
        assert_eq!(waiters.note(&[(10, 1, None)], at(100))[0].waited.as_millis(), 0);
    }
}
