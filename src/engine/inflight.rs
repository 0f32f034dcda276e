//! The transactions in flight: which session each worker runs its batches on, so that they can be cancelled,
//! and which of them are old.
//!
//! Must not know: what a batch does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::db::{Canceller, OpenTransaction};

#[derive(Clone)]
struct Batch {
    canceller: Canceller,
    transaction: OpenTransaction,
    rows: u32,
    /// Why we cancelled it.
    cancelled_because: Option<String>,
}

/// The batches of the workers.
#[derive(Default)]
pub(super) struct InFlight(Mutex<BTreeMap<u32, Batch>>);

/// A batch that has been running for a while.
#[derive(Clone)]
pub(super) struct OldBatch {
    pub(super) worker: u32,
    pub(super) backend: i32,
    pub(super) canceller: Canceller,
}

impl InFlight {
    /// The worker runs its batches on this session from now on.
    pub(super) fn register(&self, worker: u32, canceller: Canceller, transaction: OpenTransaction) {
        let batch = Batch { canceller, transaction, rows: 0, cancelled_because: None };
        self.0.lock().insert(worker, batch);
    }

    /// The worker's next batch has so many rows.
    pub(super) fn start(&self, worker: u32, rows: u32) {
        if let Some(batch) = self.0.lock().get_mut(&worker) {
            (batch.rows, batch.cancelled_because) = (rows, None);
        }
    }

    /// The worker has left.
    pub(super) fn remove(&self, worker: u32) {
        self.0.lock().remove(&worker);
    }

    /// Handles to cancel every batch.
    pub(super) fn cancellers(&self) -> Vec<Canceller> {
        self.0.lock().values().map(|batch| batch.canceller.clone()).collect()
    }

    /// The batches that have been running for so long and could be smaller.
    pub(super) fn older_than(&self, time: Duration, now: Instant) -> Vec<OldBatch> {
        let old = |(worker, batch): (&u32, &Batch)| {
            let (backend, began) = batch.transaction.backend()?;
            let is_old = batch.rows > 1 && now.saturating_duration_since(began) >= time;
            is_old.then(|| OldBatch { worker: *worker, backend, canceller: batch.canceller.clone() })
        };
        self.0.lock().iter().filter_map(old).collect()
    }

    /// The worker's batch is about to be cancelled.
    pub(super) fn cancelling(&self, worker: u32, why: &str) {
        if let Some(batch) = self.0.lock().get_mut(&worker) {
            batch.cancelled_because = Some(why.to_owned());
        }
    }

    /// Why we cancelled the worker's batch, if we did; told once.
    pub(super) fn cancelled_because(&self, worker: u32) -> Option<String> {
        self.0.lock().get_mut(&worker)?.cancelled_because.take()
    }
}
