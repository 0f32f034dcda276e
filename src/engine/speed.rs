//! How fast the workers of this process are, over the last seconds.
//!
//! Must not know: a clock; the caller says how much time has passed.

use std::time::Duration;

use crate::throttle::Counters;

/// Weight of the latest beat in the mean of speeds.
const LATEST: f64 = 0.2;
/// Weight of the latest beat in the mean of what is spent of a share, which changes once a second.
const LATEST_BUSY: f64 = 0.5;

/// Means that follow the counters.
#[derive(Debug, Default)]
pub(super) struct Speed {
    pub(super) rows_per_s: f64,
    pub(super) rows_passed_per_s: f64,
    /// Batch-seconds a second.
    pub(super) busy: f64,
    rows_changed: u64,
    rows_passed: u64,
    busy_s: f64,
}

impl Speed {
    /// So much time has passed since the last call.
    pub(super) fn measure(&mut self, counters: &Counters, since: Duration) {
        let s = since.as_secs_f64().max(0.001);
        let (changed, passed, busy_s) = (counters.rows_changed(), counters.rows_passed(), counters.busy_s());
        self.rows_per_s += ((changed - self.rows_changed) as f64 / s - self.rows_per_s) * LATEST;
        self.rows_passed_per_s += ((passed - self.rows_passed) as f64 / s - self.rows_passed_per_s) * LATEST;
        self.busy += ((busy_s - self.busy_s) / s - self.busy) * LATEST_BUSY;
        (self.rows_changed, self.rows_passed, self.busy_s) = (changed, passed, busy_s);
    }
}
