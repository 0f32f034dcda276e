//! What this process has done and how long it has taken.
//!
//! Must not know: who asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of this process.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rows_changed: AtomicU64,
    batches: AtomicU64,
    retries: AtomicU64,
    halted_ms: AtomicU64,
    busy_micros: AtomicU64,
}

impl Tally {
    /// A worker kept the server busy for so long.
    pub(super) fn busy(&self, took: Duration) {
        self.busy_micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    pub(super) fn committed(&self, rows_changed: u64) {
        self.rows_changed.fetch_add(rows_changed, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn halted(&self, time: Duration) {
        self.halted_ms.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    pub(super) fn rows_changed(&self) -> u64 {
        self.rows_changed.load(Ordering::Relaxed)
    }

    pub(super) fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    pub(super) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Time in which workers kept the server busy, in seconds.
    pub(super) fn busy_s(&self) -> f64 {
        self.busy_micros.load(Ordering::Relaxed) as f64 / 1e6
    }

    pub(super) fn halted_ms(&self) -> u64 {
        self.halted_ms.load(Ordering::Relaxed)
    }
}
