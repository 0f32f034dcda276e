//! What a share of the pace means for the workers of one process: how many work, how long their batches are,
//! how long they rest.
//!
//! Short batches without pauses come before long ones with pauses.
//!
//! Must not know: where the share comes from.

use std::time::Duration;

use crate::run::pace::FLOOR;

/// UPDATEs get no shorter than this: below it most of a batch is its round trips. Measured beside an
/// application at a third of its peak: with 5 ms its p99 was 3 ms at any pace, with 1 ms hardly anything was
/// done.
const BATCH_SHORTEST: Duration = Duration::from_millis(3);
/// A worker that rests most of the time has batches of this part of the time that others have.
const RESTING_BATCH: f64 = 0.3;

/// How the workers of a process are to work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Batch-seconds a second.
    share: f64,
    /// Workers that there are.
    workers: u32,
    /// How long a batch takes beside an application; none: as long as the run says.
    batch: Option<Duration>,
}

impl Level {
    /// `share` batch-seconds a second for `workers` workers, in batches that take so long beside an
    /// application; none: as long as the run says.
    #[must_use]
    pub fn new(share: f64, workers: u32, batch: Option<Duration>) -> Self {
        Self { share: share.clamp(0.0, f64::from(workers.max(1))), workers: workers.max(1), batch }
    }

    /// True if no worker is held back.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.share >= f64::from(self.workers) - 1e-9 && self.batch.is_none()
    }

    /// The batch-seconds a second that it is.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Workers that work.
    #[must_use]
    pub fn working(&self) -> u32 {
        (self.share.ceil() as u32).clamp(1, self.workers)
    }

    /// The part of its time that a worker works, counted from 0. Only the last one that works has less than
    /// all.
    #[must_use]
    pub fn duty(&self, worker: u32) -> f64 {
        (self.share - f64::from(worker)).clamp(0.0, 1.0)
    }

    /// How long a worker's batches should take, where they would take `full`.
    #[must_use]
    pub fn batch_time(&self, worker: u32, full: Duration) -> Duration {
        let Some(batch) = self.batch else { return full };
        batch.mul_f64(self.duty(worker).max(RESTING_BATCH)).max(BATCH_SHORTEST).min(full)
    }

    /// How long a worker rests after a batch that took so long.
    #[must_use]
    pub fn rest(&self, worker: u32, took: Duration) -> Duration {
        let duty = self.duty(worker).max(FLOOR / 4.0);
        took.mul_f64((1.0 / duty - 1.0).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FULL: Duration = Duration::from_millis(100);

    #[test]
    fn batches_are_short_before_there_are_pauses_and_fewer_workers() {
        let all = Level::new(2.0, 2, None);
        assert!(all.is_full());
        assert_eq!((all.working(), all.batch_time(1, FULL), all.rest(1, FULL)), (2, FULL, Duration::ZERO));
        let short = Duration::from_millis(10);
        let beside = Level::new(2.0, 2, Some(short));
        assert!(!beside.is_full());
        assert_eq!((beside.batch_time(1, FULL), beside.rest(1, FULL)), (short, Duration::ZERO));
        let one = Level::new(1.0, 2, Some(short));
        assert_eq!((one.working(), one.batch_time(0, FULL), one.rest(0, FULL)), (1, short, Duration::ZERO));
        let half = Level::new(0.5, 2, Some(short));
        assert_eq!((half.working(), half.batch_time(0, FULL)), (1, Duration::from_millis(5)));
        assert_eq!(half.rest(0, Duration::from_millis(5)), Duration::from_millis(5));
    }

    #[test]
    fn a_run_whose_batches_are_shorter_keeps_them() {
        let level = Level::new(2.0, 2, Some(Duration::from_millis(10)));
        assert_eq!(level.batch_time(0, Duration::from_millis(2)), Duration::from_millis(2));
    }

    #[test]
    fn between_two_workers_the_second_one_rests_in_part() {
        let level = Level::new(1.5, 3, None);
        assert_eq!(level.working(), 2);
        assert_eq!((level.duty(0), level.duty(1), level.duty(2)), (1.0, 0.5, 0.0));
    }

    proptest! {
        #[test]
        fn the_duties_add_up_to_the_share(share in 0.0..8.0f64, workers in 1u32..8) {
            let level = Level::new(share, workers, None);
            let sum: f64 = (0..workers).map(|worker| level.duty(worker)).sum();
            prop_assert!((sum - share.min(f64::from(workers))).abs() < 1e-9);
        }

        #[test]
        fn a_rest_keeps_the_duty(share in 0.05..1.0f64, ms in 1u64..200) {
            let took = Duration::from_millis(ms);
            let rest = Level::new(share, 1, None).rest(0, took);
            let duty = took.as_secs_f64() / (took + rest).as_secs_f64();
            prop_assert!((duty - share).abs() < 1e-6, "{duty} {share}");
        }
    }
}
