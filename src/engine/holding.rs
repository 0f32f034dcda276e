//! Since when the process is held back, and for which reason; tells when one begins that lasts, and when it ends.
//!
//! Must not know: a clock; the caller says when.

use std::time::{Duration, Instant};

use super::ledger::Wait;
use crate::event::Event;
use crate::run::Hold;

/// What is shorter is no event.
const LASTING: Duration = Duration::from_secs(1);

/// What comes and goes from batch to batch is shown and is no event: ceilings, shares, errors (which are events of their own).
const FLEETING: [&str; 5] = ["ceiling", "share", "quiet", "retry", "blocked_sessions"];

/// One reason, from its beginning.
struct Since {
    key: String,
    hold: Option<Hold>,
    at: Instant,
    told: bool,
}

/// The reason of the moment.
#[derive(Default)]
pub(super) struct Holding(Option<Since>);

impl Holding {
    /// What holds the process now; gives the events that this makes.
    pub(super) fn update(&mut self, wait: Option<&Wait>, now: Instant) -> Vec<Event> {
        let same = match (&self.0, wait) {
            (Some(since), Some(wait)) => since.key == wait.key && since.hold == wait.hold,
            (None, None) => return Vec::new(),
            _ => false,
        };
        let mut events = Vec::new();
        if !same {
            events.extend(self.end(now));
            self.0 = wait.map(|wait| Since { key: wait.key.clone(), hold: wait.hold, at: now, told: false });
        }
        events.extend(wait.and_then(|wait| self.tell(wait, now)));
        events
    }

    /// For how long the present reason has held.
    pub(super) fn held(&self, now: Instant) -> Option<Duration> {
        self.0.as_ref().map(|since| now.saturating_duration_since(since.at))
    }

    fn tell(&mut self, wait: &Wait, now: Instant) -> Option<Event> {
        let since = self.0.as_mut().filter(|since| !FLEETING.contains(&since.key.as_str()))?;
        let hold =
            since.hold.filter(|_| !since.told && now.saturating_duration_since(since.at) >= LASTING)?;
        since.told = true;
        Some(Event::Held { hold, reason: wait.reason.clone() })
    }

    fn end(&mut self, now: Instant) -> Option<Event> {
        let since = self.0.take().filter(|since| since.told)?;
        let held_ms = now.saturating_duration_since(since.at).as_millis() as u64;
        Some(Event::Released { hold: since.hold?, held_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag(s: u32) -> Wait {
        Wait::new(Hold::Paused, "replica_lag", format!("replica r1 is {s} s behind"))
    }

    #[test]
    fn a_reason_is_told_once_when_it_lasts_and_once_when_it_ends() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut holding = Holding::default();
        assert_eq!(holding.update(Some(&lag(2)), at(0)), []);
        assert_eq!(holding.update(Some(&lag(3)), at(500)), []);
        let held = Event::Held { hold: Hold::Paused, reason: "replica r1 is 4 s behind".into() };
        assert_eq!(holding.update(Some(&lag(4)), at(1000)), [held]);
        assert_eq!(holding.update(Some(&lag(5)), at(1500)), []);
        assert_eq!(holding.held(at(1500)), Some(Duration::from_millis(1500)));
        assert_eq!(holding.update(None, at(3000)), [Event::Released { hold: Hold::Paused, held_ms: 3000 }]);
        assert_eq!(holding.held(at(3000)), None);
    }

    #[test]
    fn what_passes_at_once_is_no_event() {
        let start = Instant::now();
        let mut holding = Holding::default();
        assert_eq!(holding.update(Some(&lag(2)), start), []);
        assert_eq!(holding.update(None, start + Duration::from_millis(500)), []);
    }

    #[test]
    fn another_reason_ends_the_first() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut holding = Holding::default();
        holding.update(Some(&lag(2)), at(0));
        holding.update(Some(&lag(2)), at(1000));
        let other = Wait::new(Hold::Throttled, "latency", "making way");
        assert_eq!(
            holding.update(Some(&other), at(2000)),
            [Event::Released { hold: Hold::Paused, held_ms: 2000 }]
        );
    }
}
