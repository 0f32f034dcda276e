//! What came in the last seconds, in its order.
//!
//! Must not know: what it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is not older than a span of time.
#[derive(Clone, Debug)]
pub(super) struct Recent<T> {
    span: Duration,
    all: VecDeque<(Instant, T)>,
}

impl<T> Recent<T> {
    /// Keeps what is not older than `span`.
    #[must_use]
    pub(super) fn of(span: Duration) -> Self {
        Self { span, all: VecDeque::new() }
    }

    /// This has come now.
    pub(super) fn add(&mut self, latest: T, now: Instant) {
        self.all.push_back((now, latest));
        self.drop_old(now);
    }

    /// Drops what is too old by now.
    pub(super) fn drop_old(&mut self, now: Instant) {
        let span = self.span;
        while self.all.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > span) {
            self.all.pop_front();
        }
    }

    /// Forgets all of it.
    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.all.iter().map(|(_, one)| one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_span_is_dropped() {
        let (mut recent, now) = (Recent::of(Duration::from_secs(2)), Instant::now());
        (0..4u64).for_each(|second| recent.add(second, now + Duration::from_secs(second)));
        assert_eq!(recent.iter().copied().collect::<Vec<_>>(), [1, 2, 3]);
        recent.drop_old(now + Duration::from_secs(5));
        assert_eq!(recent.len(), 1);
        recent.clear();
        assert_eq!(recent.len(), 0);
    }
}
