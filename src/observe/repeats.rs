//! What was said a moment ago need not be said again: a server that is away for ten minutes is one piece of
//! news.
//!
//! Must not know: how anything is shown.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::event::Event;

/// The same failure of the same worker is told so seldom.
const AGAIN: Duration = Duration::from_secs(60);

/// The failures that were told last.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<Option<u32>, (String, Instant)>);

impl Repeats {
    /// Whether the event says something new; everything but failures does.
    pub(super) fn is_news(&mut self, event: &Event, now: Instant) -> bool {
        let Event::Retrying { worker, message, .. } = event else { return true };
        let told = self.0.get(worker);
        let is_old =
            told.is_some_and(|(text, at)| text == message && now.saturating_duration_since(*at) < AGAIN);
        if !is_old {
            self.0.insert(*worker, (message.clone(), now));
        }
        !is_old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_told_once_a_minute_and_another_at_once() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let mut is_news = |worker, message: &str, s| {
            let retry =
                Event::Retrying { worker: Some(worker), sqlstate: None, message: message.into(), wait_ms: 1 };
            repeats.is_news(&retry, start + Duration::from_secs(s))
        };
        assert!(is_news(0, "gone", 0));
        assert!(!is_news(0, "gone", 59));
        assert!(is_news(1, "gone", 59));
        assert!(is_news(0, "gone", 60));
        assert!(is_news(0, "starting", 61));
        assert!(is_news(0, "gone", 62));
    }
}
