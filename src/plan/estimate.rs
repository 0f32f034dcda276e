//! What a whole run will cost, from what one slice of it did.
//!
//! Must not know: how it was measured.

use serde::Serialize;

use super::{Measured, Plan, Sample};
use crate::catalog::Checkpoints;
use crate::run::Knobs;

const PAGE_BYTES: f64 = 8192.0;
const DAY_S: f64 = 86_400.0;

/// The whole run, as far as anybody can know.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Rows that will be changed.
    pub rows: u64,
    /// How fast, at the most.
    pub rows_per_s: f64,
    /// What keeps it from being faster.
    pub held_by: Bottleneck,
    /// How long it takes at that speed.
    pub duration_s: f64,
    /// From its beginning to its end, if it begins when its daily window opens; without one the same.
    pub elapsed_s: f64,
    /// WAL that it writes, at the most.
    pub wal_bytes: f64,
    /// WAL that it writes in a second, at that speed.
    pub wal_bytes_per_s: f64,
    /// Disk that table and indexes take more, at the most, until dead rows make room.
    pub growth_bytes: f64,
}

/// What a table takes on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sizes {
    /// Its rows.
    pub heap_bytes: f64,
    /// Its indexes.
    pub index_bytes: f64,
}

/// What decides the speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bottleneck {
    /// The server's work for as many workers.
    Workers,
    /// The ceiling for rows.
    MaxRowsPerSecond,
    /// The ceiling for WAL.
    MaxWalPerSecond,
}

/// How many rows will be changed: the statistics' number, and of these the sample's share.
#[must_use]
pub fn rows_to_change(plan: &Plan, sample: Option<&Sample>) -> u64 {
    match sample {
        Some(sample) if sample.whole => sample.matching,
        _ => (rows_estimated(plan) as f64 * sample.map_or(1.0, Sample::share)).round() as u64,
    }
}

/// How many rows the table has, from the statistics.
#[must_use]
pub fn rows_estimated(plan: &Plan) -> u64 {
    plan.leaves.iter().map(|leaf| u64::try_from(leaf.rows_estimated).unwrap_or(0)).sum()
}

/// None if the slice had no row to change.
#[must_use]
pub fn estimate(
    rows: u64,
    measured: &Measured,
    knobs: &Knobs,
    sizes: Sizes,
    checkpoints: &Checkpoints,
) -> Option<Estimate> {
    let changed = (measured.rows_changed > 0).then_some(measured.rows_changed as f64)?;
    let rows_f = rows as f64;
    let records = rows_f * measured.wal_bytes as f64 / changed;
    let at_work = f64::from(knobs.workers.get()) * changed / (measured.time_us.max(1.0) / 1e6);
    let rows_ceiling = knobs.max_rows_per_s.map_or(f64::INFINITY, |rows| rows.get() as f64);
    let time_s = rows_f / at_work.min(rows_ceiling).max(f64::MIN_POSITIVE);
    let later = (time_s / checkpoints.timeout_s).max(records / checkpoints.wal_bytes).floor();
    let wal_bytes = records + full_pages(rows_f, sizes, 1.0 + later);
    let wal_per_row = (wal_bytes / rows_f.max(1.0)).max(1.0);
    let wal_ceiling =
        knobs.max_wal_bytes_per_s.map_or(f64::INFINITY, |bytes| bytes.get() as f64 / wal_per_row);
    let speeds = [
        (Bottleneck::Workers, at_work),
        (Bottleneck::MaxRowsPerSecond, rows_ceiling),
        (Bottleneck::MaxWalPerSecond, wal_ceiling),
    ];
    let (held_by, rows_per_s) = speeds.into_iter().min_by(|(_, one), (_, other)| one.total_cmp(other))?;
    let duration_s = rows_f / rows_per_s.max(f64::MIN_POSITIVE);
    Some(Estimate {
        rows,
        rows_per_s,
        held_by,
        duration_s,
        elapsed_s: knobs.window.as_ref().map_or(duration_s, |window| elapsed_s(duration_s, window.open_s())),
        wal_bytes,
        wal_bytes_per_s: rows_per_s * wal_per_row,
        growth_bytes: rows_f * measured.growth_bytes as f64 / changed,
    })
}

/// Each day but the last is spent up to the hour at which the window opens again.
fn elapsed_s(duration_s: f64, open_s: f64) -> f64 {
    let nights = (duration_s / open_s).ceil() - 1.0;
    duration_s + nights.max(0.0) * (DAY_S - open_s)
}

/// Bytes of pages that are logged as a whole, because they change for the first time after a checkpoint. A
/// range is done in a small part of the time between two of them, so that a page of the table is logged about
/// once; one of an index may be met anew after each. Few rows touch few pages.
fn full_pages(rows: f64, sizes: Sizes, checkpoints: f64) -> f64 {
    let touched = rows * PAGE_BYTES;
    sizes.heap_bytes.min(touched) + (sizes.index_bytes * checkpoints).min(touched)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    const NO_SIZE: Sizes = Sizes { heap_bytes: 0.0, index_bytes: 0.0 };
    const USUAL: Checkpoints = Checkpoints { timeout_s: 300.0, wal_bytes: 500e6 };

    fn measured() -> Measured {
        Measured {
            rows_passed: 1_000,
            rows_changed: 500,
            time_us: 5_000.0,
            wal_bytes: 100_000,
            growth_bytes: 50_000,
            ..Measured::default()
        }
    }

    fn of(rows: u64, knobs: &Knobs, sizes: Sizes) -> Estimate {
        estimate(rows, &measured(), knobs, sizes, &USUAL).unwrap()
    }

    #[test]
    fn without_a_ceiling_the_workers_decide() {
        let estimate = of(2_000_000, &Knobs::default(), NO_SIZE);
        assert_eq!((estimate.held_by, estimate.rows_per_s), (Bottleneck::Workers, 200_000.0));
        assert_eq!((estimate.duration_s, estimate.wal_bytes, estimate.growth_bytes), (10.0, 4e8, 2e8));
    }

    #[test]
    fn a_window_makes_days_of_hours() {
        let knobs = |window: &str| Knobs { window: window.parse().ok(), ..Knobs::default() };
        let hours = |h: u64, window| (of(h * 720_000_000, &knobs(window), NO_SIZE).elapsed_s / 3600.0) as u64;
        // 200,000 rows a second: 720 million an hour.
        assert_eq!([1, 8, 9, 24].map(|h| hours(h, "22:00-06:00")), [1, 8, 25, 56]);
        assert_eq!(hours(24, "no window"), 24);
    }

    #[test]
    fn the_lowest_ceiling_decides() {
        let rows = Knobs { max_rows_per_s: NonZeroU64::new(1_000), ..Knobs::default() };
        let estimated = of(2_000_000, &rows, NO_SIZE);
        assert_eq!((estimated.held_by, estimated.duration_s), (Bottleneck::MaxRowsPerSecond, 2_000.0));
        let wal = Knobs { max_wal_bytes_per_s: NonZeroU64::new(100_000), ..rows };
        let estimated = of(2_000_000, &wal, NO_SIZE);
        assert_eq!((estimated.held_by, estimated.rows_per_s), (Bottleneck::MaxWalPerSecond, 500.0));
    }

    #[test]
    fn a_page_of_an_index_is_logged_after_each_checkpoint_and_one_of_the_table_once() {
        let sizes = Sizes { heap_bytes: 1e8, index_bytes: 1e7 };
        let wal_bytes = |rows| of(rows, &Knobs::default(), sizes).wal_bytes;
        assert_eq!(
            (wal_bytes(2_000_000), wal_bytes(10_000_000), wal_bytes(1)),
            // 400 MB of records do not bring a checkpoint, 2 GB bring four; one row touches one page of each.
            (4e8 + 1e8 + 1e7, 2e9 + 1e8 + 5e7, 200.0 + 2.0 * PAGE_BYTES)
        );
    }

    #[test]
    fn a_slice_without_a_changed_row_tells_nothing() {
        assert_eq!(estimate(1, &Measured::default(), &Knobs::default(), NO_SIZE, &USUAL), None);
    }
}
