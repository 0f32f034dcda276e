//! What a whole run will cost, from what one slice of it did.
//!
//! Must not know: how it was measured.

use serde::Serialize;

use super::{Measured, Plan};
use crate::plan::review::Sample;
use crate::run::Knobs;

/// The whole run, as far as anybody can know.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Rows that will be changed.
    pub rows: u64,
    /// How fast, at the most.
    pub rows_per_s: f64,
    /// What keeps it from being faster.
    pub held_by: Held,
    /// How long it takes at that speed.
    pub duration_s: f64,
    /// Written to the log, at the most.
    pub wal_bytes: f64,
    /// The same a second.
    pub wal_bytes_per_s: f64,
    /// Disk that table and indexes take more, at the most, until dead rows make room.
    pub growth_bytes: f64,
}

/// What decides the speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
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
pub fn estimate(rows: u64, measured: &Measured, knobs: &Knobs) -> Option<Estimate> {
    let changed = (measured.rows_changed > 0).then_some(measured.rows_changed as f64)?;
    let wal_per_row = measured.wal_bytes as f64 / changed;
    let at_work = f64::from(knobs.workers.get()) * changed / (measured.time_us.max(1.0) / 1e6);
    let ceilings = [
        (Held::Workers, Some(at_work)),
        (Held::MaxRowsPerSecond, knobs.max_rows_per_s.map(|rows| rows.get() as f64)),
        (
            Held::MaxWalPerSecond,
            knobs.max_wal_bytes_per_s.map(|bytes| bytes.get() as f64 / wal_per_row.max(1.0)),
        ),
    ];
    let (held_by, rows_per_s) = ceilings
        .into_iter()
        .filter_map(|(held_by, speed)| Some((held_by, speed?)))
        .min_by(|(_, one), (_, other)| one.total_cmp(other))?;
    Some(Estimate {
        rows,
        rows_per_s,
        held_by,
        duration_s: rows as f64 / rows_per_s.max(f64::MIN_POSITIVE),
        wal_bytes: rows as f64 * wal_per_row,
        wal_bytes_per_s: rows_per_s * wal_per_row,
        growth_bytes: rows as f64 * measured.growth_bytes as f64 / changed,
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

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

    #[test]
    fn without_a_ceiling_the_workers_decide() {
        let estimate = estimate(2_000_000, &measured(), &Knobs::default()).unwrap();
        assert_eq!((estimate.held_by, estimate.rows_per_s), (Held::Workers, 200_000.0));
        assert_eq!((estimate.duration_s, estimate.wal_bytes, estimate.growth_bytes), (10.0, 4e8, 2e8));
    }

    #[test]
    fn the_lowest_ceiling_decides() {
        let rows = Knobs { max_rows_per_s: NonZeroU64::new(1_000), ..Knobs::default() };
        let estimated = estimate(2_000_000, &measured(), &rows).unwrap();
        assert_eq!((estimated.held_by, estimated.duration_s), (Held::MaxRowsPerSecond, 2_000.0));
        let wal = Knobs { max_wal_bytes_per_s: NonZeroU64::new(100_000), ..rows };
        let estimated = estimate(2_000_000, &measured(), &wal).unwrap();
        assert_eq!((estimated.held_by, estimated.rows_per_s), (Held::MaxWalPerSecond, 500.0));
    }

    #[test]
    fn a_slice_without_a_changed_row_tells_nothing() {
        assert_eq!(estimate(1, &Measured::default(), &Knobs::default()), None);
    }
}
