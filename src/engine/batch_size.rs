//! How many rows the next batch should have: speed × target time, within what is allowed.
//!
//! Must not know: tokio, the database.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::plan::RangeCut;
use crate::run::{Knobs, RunKind};
use crate::scan::{Choice, SLICES};
use crate::throttle::Share;

/// The first batch: short on any machine, so that the first checkpoint comes at once.
const FIRST_ROWS: f64 = 256.0;
/// A batch is at most this much larger than the last one: a quiet stretch says little about the next.
const GROWTH_MAX: f64 = 1.5;
/// A range is cut for batches at most this much larger than the present ones.
const RANGE_GROWTH_MAX: f64 = 4.0;
/// Weight of the latest batch in the mean of speeds.
const LATEST: f64 = 0.4;
/// Under a ceiling a batch takes at most this part of a second's worth, so that the pace is even.
const PACED_S: f64 = 0.1;
/// A ceiling that is high is spread over batches of this part of a second's worth, so that an application
/// feels no long ones.
const SPREAD_S: f64 = 0.01;
/// Batches of fewer rows would be mostly round trips.
const SPREAD_ROWS_MIN: f64 = 250.0;
/// Batches of a range in key order.
const BATCHES_PER_RANGE: u32 = 16;
/// However little is left, looking up a range should not count beside working on it.
const RANGE_SHORTEST: Duration = Duration::from_millis(250);
/// A cell is a part of a batch, so that the next can be a little larger or smaller.
const CELLS_PER_RANGE: u32 = 128;

/// Rows of a batch under a ceiling of so many a second.
fn spread(per_s: f64) -> f64 {
    (per_s * SPREAD_S).max(SPREAD_ROWS_MIN).min(per_s * PACED_S)
}

/// The size of a worker's batches.
#[derive(Clone, Debug)]
pub(super) struct BatchSize {
    rows: f64,
    rows_per_s: Option<f64>,
    wal_bytes_per_row: Option<f64>,
    /// After a failure the floor does not hold: a single row may be at fault.
    shrunk: bool,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self { rows: FIRST_ROWS, rows_per_s: None, wal_bytes_per_row: None, shrunk: false }
    }
}

impl BatchSize {
    /// Of the first batch of a run of this kind. A row of the kept values stands for thousands of the table.
    pub(super) fn first(kind: RunKind) -> Self {
        match kind {
            RunKind::Undo => Self { rows: 1.0, ..Self::default() },
            RunKind::Backfill | RunKind::Verify | RunKind::Repair => Self::default(),
        }
    }

    /// Rows for the next batch.
    pub(super) fn next(&self, knobs: &Knobs, share: Share) -> NonZeroU32 {
        // Where the time that a batch may take has become less, the next one must not be of the old size.
        let target_s = f64::from(knobs.batch_time_ms.get()) / 1000.0;
        let mut rows = self.rows_per_s.map_or(self.rows, |speed| self.rows.min((speed * target_s).max(1.0)));
        if let Some(per_s) = share.rows_per_s {
            rows = rows.min(spread(per_s));
        }
        if let (Some(per_s), Some(per_row)) = (share.wal_bytes_per_s, self.wal_bytes_per_row) {
            rows = rows.min(spread(per_s / per_row.max(1.0)));
        }
        let floor = if self.shrunk { 1 } else { knobs.min_rows_per_batch.get() };
        let rows = (rows as u32).clamp(floor, knobs.max_rows_per_batch.get().max(floor));
        NonZeroU32::new(rows).unwrap_or(NonZeroU32::MIN)
    }

    /// How the next range is cut: so that all its stripes are done within `cycle`, at the speed that may be
    /// had, and that it is not much longer than the ranges of the other `workers` when the end is near.
    pub(super) fn cut(
        &self,
        knobs: &Knobs,
        share: Share,
        choice: Choice,
        cycle: Duration,
        workers: u32,
    ) -> RangeCut {
        let rows = self.ahead(knobs).next(knobs, share).get();
        let stripes = choice.wanted.most();
        // In stripes a range is read slice by slice; in order it is long enough for its bookkeeping not to
        // count.
        let batches = if stripes > 1 { stripes * SLICES } else { BATCHES_PER_RANGE };
        let rows = rows.saturating_mul(batches).min(self.rows_within(cycle, share));
        RangeCut {
            step: (rows / CELLS_PER_RANGE).max(1),
            step_min: self.rows_within(RANGE_SHORTEST, share) / CELLS_PER_RANGE,
            parts: workers.saturating_mul(2),
            cells: CELLS_PER_RANGE,
            choice,
        }
    }

    /// How many rows pass in `time`; without a limit before the first batch has told.
    fn rows_within(&self, time: Duration, share: Share) -> u32 {
        let speed = self.rows_per_s.unwrap_or(f64::INFINITY).min(share.rows_per_s.unwrap_or(f64::INFINITY));
        // A cast of what is too large gives the largest number.
        (speed * time.as_secs_f64()) as u32
    }

    /// The size that batches are about to grow to: a range lasts for many of them, so it is cut for the speed
    /// that was measured.
    fn ahead(&self, knobs: &Knobs) -> Self {
        let target_s = f64::from(knobs.batch_time_ms.get()) / 1000.0;
        let wanted = self.rows_per_s.map_or(self.rows, |speed| speed * target_s);
        Self { rows: wanted.clamp(self.rows, self.rows * RANGE_GROWTH_MAX), ..self.clone() }
    }

    /// Whether a single row is looked for.
    pub(super) fn isolates(&self) -> bool {
        self.shrunk && self.rows < 2.0
    }

    /// Learns from a batch that passed `rows` keys in `took`.
    pub(super) fn succeeded(&mut self, rows: u32, took: Duration, target: Duration) {
        let speed = f64::from(rows) / took.as_secs_f64().max(1e-6);
        let mean = self.rows_per_s.map_or(speed, |mean| mean + (speed - mean) * LATEST);
        // A batch that took twice its time has met slower rows: believe it at once.
        let mean = if took > target * 2 { mean.min(speed) } else { mean };
        self.rows_per_s = Some(mean);
        // The step is from what was done, which can be less than what was wanted, at the end of a range.
        let base = self.rows.min(f64::from(rows).max(self.rows / GROWTH_MAX));
        // From a single row the next step is two.
        let largest = (base * GROWTH_MAX).max(base + 1.0);
        self.rows = (mean * target.as_secs_f64()).min(largest).max(1.0);
        self.shrunk =
            self.shrunk && self.rows_per_s.is_some_and(|speed| self.rows < speed * target.as_secs_f64());
    }

    /// Learns what a row costs in WAL.
    pub(super) fn wrote(&mut self, wal_bytes: u64, rows_changed: u64) {
        if rows_changed > 0 {
            let per_row = wal_bytes as f64 / rows_changed as f64;
            let mean = self.wal_bytes_per_row.map_or(per_row, |mean| mean + (per_row - mean) * LATEST);
            self.wal_bytes_per_row = Some(mean);
        }
    }

    /// A single row is looked for.
    pub(super) fn isolate(&mut self) {
        self.halve(1);
    }

    /// Half of what failed, and at least one row.
    pub(super) fn halve(&mut self, failed_rows: u32) {
        self.rows = (f64::from(failed_rows) / 2.0).max(1.0);
        self.shrunk = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::Wanted;
    use proptest::prelude::*;

    const TARGET: Duration = Duration::from_millis(100);

    /// Runs batches on a machine that needs `us_per_row` for each row.
    fn settle(size: &mut BatchSize, us_per_row: u64, batches: u32) -> u32 {
        for _ in 0..batches {
            let rows = size.next(&Knobs::default(), Share::default()).get();
            size.succeeded(rows, Duration::from_micros(u64::from(rows) * us_per_row), TARGET);
        }
        size.next(&Knobs::default(), Share::default()).get()
    }

    #[test]
    fn the_size_settles_where_a_batch_takes_its_target_time() {
        let rows = settle(&mut BatchSize::default(), 15, 20);
        assert!((6_000..7_000).contains(&rows), "{rows}");
    }

    #[test]
    fn a_batch_that_took_far_too_long_is_believed_at_once() {
        let mut size = BatchSize::default();
        settle(&mut size, 10, 20);
        size.succeeded(10_000, Duration::from_secs(10), TARGET);
        let rows = size.next(&Knobs::default(), Share::default()).get();
        assert!(rows <= 100, "{rows}");
    }

    #[test]
    fn halving_reaches_a_single_row_below_any_floor() {
        let knobs = Knobs { min_rows_per_batch: NonZeroU32::new(100).unwrap(), ..Knobs::default() };
        let mut size = BatchSize::default();
        let mut rows = size.next(&knobs, Share::default()).get();
        for _ in 0..16 {
            size.halve(rows);
            rows = size.next(&knobs, Share::default()).get();
        }
        assert_eq!(rows, 1);
    }

    #[test]
    fn behind_a_row_at_fault_the_size_grows_again() {
        let mut size = BatchSize::default();
        size.halve(1);
        assert!(size.isolates());
        let rows = settle(&mut size, 15, 40);
        assert!(!size.isolates() && rows > 6_000, "{rows}");
    }

    #[test]
    fn under_a_ceiling_a_batch_is_a_tenth_of_a_second() {
        let share = Share { rows_per_s: Some(500.0), wal_bytes_per_s: None };
        assert_eq!(BatchSize::default().next(&Knobs::default(), share).get(), 50);
    }

    fn keys_in_range(size: &BatchSize, stripes: u32, cycle: Duration) -> u32 {
        let choice = Choice { wanted: Wanted::AtMost(stripes), why: String::new() };
        let slice = size.cut(&Knobs::default(), Share::default(), choice, cycle, 2);
        slice.step * slice.cells
    }

    #[test]
    fn a_range_is_done_within_its_cycle() {
        let mut size = BatchSize::default();
        settle(&mut size, 10, 20);
        let (long, short) = (Duration::from_secs(60), Duration::from_millis(500));
        // 32 batches of 100 ms, at 10 µs a row.
        assert!((300_000..=320_000).contains(&keys_in_range(&size, 8, long)));
        assert!((45_000..=50_000).contains(&keys_in_range(&size, 8, short)));
    }

    proptest! {
        #[test]
        fn growth_never_exceeds_its_step(us_per_row in 1_u64..2_000, batches in 1_u32..40) {
            let mut size = BatchSize::default();
            for _ in 0..batches {
                let before = size.next(&Knobs::default(), Share::default()).get();
                let after = settle(&mut size, us_per_row, 1);
                prop_assert!(f64::from(after) <= f64::from(before + 1) * GROWTH_MAX);
            }
        }

        #[test]
        fn the_size_stays_within_its_bounds(us_per_row in 0_u64..1_000_000, batches in 1_u32..60) {
            let rows = settle(&mut BatchSize::default(), us_per_row, batches);
            prop_assert!((1..=50_000).contains(&rows));
        }
    }
}
