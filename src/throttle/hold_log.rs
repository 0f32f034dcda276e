//! Since when the process is held back, and for which reason; tells when one begins that lasts, and when it
//! ends.
//!
//! Must not know: a clock; the caller says when.

use std::time::{Duration, Instant};

use super::reason::{Reason, Why};
use crate::event::Event;
use crate::run::Hold;

/// What is shorter is no event.
const LASTING: Duration = Duration::from_secs(1);

/// One reason, from its beginning.
struct Since {
    why: Why,
    hold: Option<Hold>,
    at: Instant,
    told: bool,
}

/// The reason of the moment.
#[derive(Default)]
pub struct HoldLog(Option<Since>);

impl HoldLog {
    /// What holds the process now; gives the events that this makes.
    pub fn update(&mut self, reason: Option<&Reason>, now: Instant) -> Vec<Event> {
        let same = match (&self.0, reason) {
            (Some(since), Some(reason)) => since.why == reason.why && since.hold == reason.hold,
            (None, None) => return Vec::new(),
            _ => false,
        };
        let mut events = Vec::new();
        if !same {
            events.extend(self.end(now));
            self.0 = reason.map(|reason| Since {
                why: reason.why.clone(),
                hold: reason.hold,
                at: now,
                told: false,
            });
        }
        events.extend(reason.and_then(|reason| self.tell(reason, now)));
        events
    }

    /// For how long the present reason has held.
    #[must_use]
    pub fn held(&self, now: Instant) -> Option<Duration> {
        self.0.as_ref().map(|since| now.saturating_duration_since(since.at))
    }

    fn tell(&mut self, reason: &Reason, now: Instant) -> Option<Event> {
        let since = self.0.as_mut().filter(|since| !since.why.is_fleeting())?;
        let hold =
            since.hold.filter(|_| !since.told && now.saturating_duration_since(since.at) >= LASTING)?;
        since.told = true;
        Some(Event::Held { hold, reason: reason.text.clone() })
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

    fn lag(s: u32) -> Reason {
        Reason::new(
            Hold::Paused,
            Why::Signal(crate::signal::Signal::ReplicaLag),
            format!("replica r1 is {s} s behind"),
        )
    }

    #[test]
    fn a_reason_is_told_once_when_it_lasts_and_once_when_it_ends() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut log = HoldLog::default();
        assert_eq!(log.update(Some(&lag(2)), at(0)), []);
        assert_eq!(log.update(Some(&lag(3)), at(500)), []);
        let held = Event::Held { hold: Hold::Paused, reason: "replica r1 is 4 s behind".into() };
        assert_eq!(log.update(Some(&lag(4)), at(1000)), [held]);
        assert_eq!(log.update(Some(&lag(5)), at(1500)), []);
        assert_eq!(log.held(at(1500)), Some(Duration::from_millis(1500)));
        assert_eq!(log.update(None, at(3000)), [Event::Released { hold: Hold::Paused, held_ms: 3000 }]);
        assert_eq!(log.held(at(3000)), None);
    }

    #[test]
    fn what_passes_at_once_is_no_event() {
        let start = Instant::now();
        let mut log = HoldLog::default();
        assert_eq!(log.update(Some(&lag(2)), start), []);
        assert_eq!(log.update(None, start + Duration::from_millis(500)), []);
    }

    #[test]
    fn another_reason_ends_the_first() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut log = HoldLog::default();
        log.update(Some(&lag(2)), at(0));
        log.update(Some(&lag(2)), at(1000));
        let other = Reason::new(Hold::Throttled, Why::Latency, "making way");
        assert_eq!(
            log.update(Some(&other), at(2000)),
            [Event::Released { hold: Hold::Paused, held_ms: 2000 }]
        );
    }
}
