//! What to do after a failed batch: a total, pure decision.
//!
//! Must not know: how it is done.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::db::NextAct;

/// While the disk is full, one probe in this time.
pub(super) const DISK_PROBE: Duration = Duration::from_secs(60);

/// The remedy for a failed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The same rows again, after a pause.
    Again,
    /// Fewer rows, after a pause.
    Fewer,
    /// This range later, another one now: a single row of it is locked by others.
    RestRange,
    /// Fewer rows at once: one of them is at fault.
    Bisect,
    /// This row is at fault.
    Quarantine,
    /// A new connection, after a pause.
    Reconnect,
    /// A new connection, and fewer rows: the batch itself may be what the connection does not outlive.
    ReconnectFewer,
    /// Wait for a person, probing now and then.
    AwaitPerson,
    /// Stop the run.
    Block,
}

/// Failures in a row, each kind by itself: a worker that has waited for a lock or a disk for long has not
/// lost a connection for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    /// Connections, in the middle of a batch.
    pub(super) lost: u32,
    /// Locks of others were in the way.
    locked: u32,
    /// It took too long, or too much.
    too_large: u32,
    other: u32,
}

impl Failures {
    /// As if locks of others had been in the way for some time.
    pub(super) fn locked() -> Self {
        Self { locked: LOCKED_AGAIN, ..Self::default() }
    }

    /// Counts it and returns how many of this kind there were in a row.
    pub(super) fn count(&mut self, act: NextAct) -> u32 {
        let count = match act {
            NextAct::Reconnect => &mut self.lost,
            NextAct::Retry => &mut self.locked,
            NextAct::Halve => &mut self.too_large,
            NextAct::Bisect | NextAct::AwaitPerson | NextAct::Block => &mut self.other,
        };
        *count += 1;
        *count
    }
}

/// So often in a row the same rows are tried although others hold locks on them.
const LOCKED_AGAIN: u32 = 2;

/// Decides after the `failures`-th failure in a row of a batch of `rows` keys.
///
/// What others cause (locks, deadlocks) is waited out, however long it takes, and said so; it never stops the
/// run, nor what else there is to do.
pub(super) fn remedy(act: NextAct, failures: u32, rows: u32, retries: u32) -> Remedy {
    match act {
        NextAct::Retry if failures > LOCKED_AGAIN && rows > 1 => Remedy::Fewer,
        NextAct::Retry if failures > LOCKED_AGAIN => Remedy::RestRange,
        NextAct::Bisect if rows > 1 => Remedy::Bisect,
        NextAct::Bisect => Remedy::Quarantine,
        NextAct::AwaitPerson => Remedy::AwaitPerson,
        // Halving is progress of its own, so only a single row uses up the patience.
        NextAct::Halve if rows > 1 => Remedy::Fewer,
        NextAct::Halve | NextAct::Reconnect if failures > retries => Remedy::Block,
        NextAct::Halve | NextAct::Retry => Remedy::Again,
        NextAct::Reconnect if failures > 2 => Remedy::ReconnectFewer,
        NextAct::Reconnect => Remedy::Reconnect,
        NextAct::Block => Remedy::Block,
    }
}

/// Pauses after failures in a row: doubling, with jitter so that workers do not come back in step.
pub(super) fn back_off() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(3))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faulty_row_is_found_by_bisection_and_then_put_aside() {
        assert_eq!(remedy(NextAct::Bisect, 1, 6_500, 10), Remedy::Bisect);
        assert_eq!(remedy(NextAct::Bisect, 14, 1, 10), Remedy::Quarantine);
    }

    #[test]
    fn locks_of_others_shrink_the_batch_and_never_stop_the_run() {
        assert_eq!(remedy(NextAct::Retry, 2, 100, 10), Remedy::Again);
        assert_eq!(remedy(NextAct::Retry, 10_000, 2, 10), Remedy::Fewer);
        assert_eq!(remedy(NextAct::Retry, 10_000, 1, 10), Remedy::RestRange);
    }

    #[test]
    fn a_row_that_is_merely_slow_is_not_put_aside() {
        assert_eq!(remedy(NextAct::Halve, 5, 1, 10), Remedy::Again);
        assert_eq!(remedy(NextAct::Halve, 11, 1, 10), Remedy::Block);
    }

    #[test]
    fn a_lost_connection_is_sought_again_until_the_patience_ends() {
        assert_eq!(remedy(NextAct::Reconnect, 2, 100, 10), Remedy::Reconnect);
        assert_eq!(remedy(NextAct::Reconnect, 10, 1, 10), Remedy::ReconnectFewer);
        assert_eq!(remedy(NextAct::Reconnect, 11, 1, 10), Remedy::Block);
    }

    #[test]
    fn what_was_not_foreseen_stops_the_run_at_once() {
        assert_eq!(remedy(NextAct::Block, 1, 100, 10), Remedy::Block);
    }

    #[test]
    fn waiting_for_a_disk_or_a_lock_uses_up_no_other_patience() {
        let mut failures = Failures::default();
        for _ in 0..100 {
            failures.count(NextAct::AwaitPerson);
            failures.count(NextAct::Retry);
        }
        assert_eq!(failures.count(NextAct::Reconnect), 1);
        assert_eq!(failures.count(NextAct::Halve), 1);
        assert_eq!(failures.count(NextAct::Halve), 2);
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let pauses: Vec<_> = back_off().take(20).collect();
        assert!(pauses[0] < Duration::from_millis(150), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(6)), "{pauses:?}");
    }
}
