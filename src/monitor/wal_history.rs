//! WAL positions at past moments, to tell the age of what a standby has not replayed.
//!
//! Must not know: standbys.

use std::time::{Duration, Instant};

/// The longest bound that a person may set for a standby's lag.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Every position so young is kept.
const DENSE: Duration = Duration::from_secs(5);
/// Then one a second, and of what is older one for each such part of its age: an age is told to a few
/// percent, and a week is some hundreds of moments.
const PART: u32 = 50;
const SPARSE: Duration = Duration::from_secs(1);

/// Moments and positions, the oldest first.
#[derive(Default)]
pub(super) struct WalHistory(Vec<(Instant, String)>);

impl WalHistory {
    /// Remembers a commit.
    pub(super) fn add(&mut self, at: Instant, lsn: String) {
        self.0.push((at, lsn));
        let mut kept: Option<Instant> = None;
        self.0.retain(|(then, _)| {
            let age = at.duration_since(*then);
            let apart = (age / PART).max(SPARSE);
            let is_next = kept.is_none_or(|kept| then.duration_since(kept) >= apart);
            let keeps = age < KEPT && (age < DENSE || is_next);
            if keeps {
                kept = Some(*then);
            }
            keeps
        });
    }

    /// Positions, and how many seconds ago they were.
    pub(super) fn columns(&self, now: Instant) -> (Vec<String>, Vec<f64>) {
        self.0.iter().map(|(at, lsn)| (lsn.clone(), now.duration_since(*at).as_secs_f64())).unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ages that are known after a commit every so many seconds for so long.
    fn ages_after(every_s: u64, long_s: u64) -> Vec<f64> {
        let (mut history, began) = (WalHistory::default(), Instant::now());
        let at = |s| began + Duration::from_secs(s);
        for s in (0..=long_s).step_by(every_s as usize) {
            history.add(at(s), s.to_string());
        }
        history.columns(at(long_s)).1
    }

    #[test]
    fn any_age_up_to_a_week_is_known_to_a_few_percent() {
        let ages = ages_after(60, 7 * 86_400 - 60);
        for pair in ages.windows(2) {
            let (older, younger) = (pair[0], pair[1]);
            assert!(older - younger <= (older * 0.05).max(60.0), "nothing between {older} s and {younger} s");
        }
        assert!(ages[0] >= 6.5 * 86_400.0, "the oldest is {} s old", ages[0]);
        assert!(ages.len() < 700, "{} moments", ages.len());
    }

    #[test]
    fn within_five_minutes_a_moment_is_known_every_few_seconds() {
        let ages = ages_after(1, 3600);
        let recent: Vec<_> = ages.into_iter().filter(|age| *age < 300.0).collect();
        assert!(recent.windows(2).all(|pair| pair[0] - pair[1] <= 15.0), "{recent:?}");
    }

    #[test]
    fn commits_of_one_second_are_all_kept_while_they_are_young() {
        let (mut history, began) = (WalHistory::default(), Instant::now());
        for tick in 0..40 {
            history.add(began + Duration::from_millis(50 * tick), tick.to_string());
        }
        assert_eq!(history.columns(began + Duration::from_secs(2)).0.len(), 40);
    }
}
