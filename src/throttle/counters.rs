//! What this process has done and how long it has taken.
//!
//! Must not know: who asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of this process.
#[derive(Debug, Default)]
pub struct Counters {
    rows_changed: AtomicU64,
    rows_passed: AtomicU64,
    batches: AtomicU64,
    retries: AtomicU64,
    halted_ms: AtomicU64,
    busy_micros: AtomicU64,
}

impl Counters {
    /// A batch was committed.
    pub fn committed(&self, rows_changed: u64, rows_passed: u64) {
        self.rows_changed.fetch_add(rows_changed, Ordering::Relaxed);
        self.rows_passed.fetch_add(rows_passed, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// A worker kept the server busy for so long.
    pub fn busy(&self, took: Duration) {
        self.busy_micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// A batch has to be tried again.
    pub fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing might be done for so long.
    pub fn halted(&self, time: Duration) {
        self.halted_ms.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// Rows changed.
    #[must_use]
    pub fn rows_changed(&self) -> u64 {
        self.rows_changed.load(Ordering::Relaxed)
    }

    /// Rows passed, changed or not.
    #[must_use]
    pub fn rows_passed(&self) -> u64 {
        self.rows_passed.load(Ordering::Relaxed)
    }

    /// Batches committed.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// Batches that were tried again.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Time in which workers kept the server busy, in seconds.
    #[must_use]
    pub fn busy_s(&self) -> f64 {
        self.busy_micros.load(Ordering::Relaxed) as f64 / 1e6
    }

    /// Time in which nothing might be done, in milliseconds.
    #[must_use]
    pub fn halted_ms(&self) -> u64 {
        self.halted_ms.load(Ordering::Relaxed)
    }
}
