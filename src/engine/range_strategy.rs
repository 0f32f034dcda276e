//! How the next range is cut and striped, and what is learned from those that are done.
//!
//! Must not know: workers.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::catalog::{Checkpoints, Holder, OrderFacts};
use crate::scan::{self, Choice, Observed, Strategy};
use crate::store::RangeCounters;
use crate::stripe::Striping;

/// What the workers of one process know about it.
pub(super) struct RangeStrategy {
    stripes: Mutex<Strategy>,
    checkpoints: Checkpoints,
    wal_bytes_per_s: AtomicU64,
}

impl RangeStrategy {
    pub(super) fn new(facts: &OrderFacts, forced: Option<NonZeroU32>, checkpoints: Checkpoints) -> Self {
        let stripes = Mutex::new(Strategy::new(facts, forced));
        Self { stripes, checkpoints, wal_bytes_per_s: AtomicU64::new(0) }
    }

    /// How the next range is to be striped.
    pub(super) fn choice(&self) -> Choice {
        self.stripes.lock().choice()
    }

    /// The WAL of the server, all that others write included, grew at this speed since the last heartbeat.
    pub(super) fn wal_grows(&self, wal_bytes_per_s: f64) {
        self.wal_bytes_per_s.store(wal_bytes_per_s as u64, Ordering::Relaxed);
    }

    /// The longest time for all stripes of a range.
    pub(super) fn cycle_max(&self) -> Duration {
        scan::cycle_max(&self.checkpoints, self.wal_bytes_per_s.load(Ordering::Relaxed) as f64)
    }

    /// A range is done: what its updates were decides about the next ones.
    pub(super) fn learn(&self, striping: Striping, counters: RangeCounters) {
        let stripes = striping.stripes().get();
        let RangeCounters { rows_changed, rows_hot } = counters;
        self.stripes.lock().learn(Observed { stripes, rows_changed, rows_hot });
    }

    /// Whether the snapshot that makes stripes useless is to be looked for.
    pub(super) fn seeks_holder(&self) -> bool {
        self.stripes.lock().is_futile()
    }

    /// This holds the snapshot; gives the reason, for a person.
    pub(super) fn name_holder(&self, holder: &Holder) -> String {
        let mut stripes = self.stripes.lock();
        stripes.name_holder(holder);
        stripes.choice().why
    }
}
