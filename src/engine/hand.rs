//! The batches in hand: which session each worker runs one on, so that it can be cancelled, and which of them keep others waiting.
//!
//! Must not know: what a batch does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::db::{Canceller, OpenTransaction};

#[derive(Clone)]
struct Hand {
    canceller: Canceller,
    batch: OpenTransaction,
    rows: u32,
    /// Why its batch was cancelled by us.
    why: Option<String>,
}

/// The workers' hands.
#[derive(Default)]
pub(super) struct Hands(Mutex<BTreeMap<u32, Hand>>);

/// A batch that has been running for a while.
#[derive(Clone)]
pub(super) struct Old {
    pub(super) worker: u32,
    pub(super) backend: i32,
    pub(super) canceller: Canceller,
}

impl Hands {
    /// The worker runs its batches on this session from now on.
    pub(super) fn take(&self, worker: u32, canceller: Canceller, batch: OpenTransaction) {
        self.0.lock().insert(worker, Hand { canceller, batch, rows: 0, why: None });
    }

    /// Its next batch has so many rows.
    pub(super) fn batch(&self, worker: u32, rows: u32) {
        if let Some(hand) = self.0.lock().get_mut(&worker) {
            (hand.rows, hand.why) = (rows, None);
        }
    }

    pub(super) fn drop(&self, worker: u32) {
        self.0.lock().remove(&worker);
    }

    /// Handles to cancel every batch in hand.
    pub(super) fn cancellers(&self) -> Vec<Canceller> {
        self.0.lock().values().map(|hand| hand.canceller.clone()).collect()
    }

    /// The batches that have been running for so long and could be smaller.
    pub(super) fn older_than(&self, time: Duration, now: Instant) -> Vec<Old> {
        let old = |(worker, hand): (&u32, &Hand)| {
            let (backend, began) = hand.batch.backend()?;
            let is_old = hand.rows > 1 && now.saturating_duration_since(began) >= time;
            is_old.then(|| Old { worker: *worker, backend, canceller: hand.canceller.clone() })
        };
        self.0.lock().iter().filter_map(old).collect()
    }

    /// The worker's batch is about to be cancelled.
    pub(super) fn blame(&self, worker: u32, why: &str) {
        if let Some(hand) = self.0.lock().get_mut(&worker) {
            hand.why = Some(why.to_owned());
        }
    }

    /// Why we cancelled the worker's batch, if we did; told once.
    pub(super) fn why_cancelled(&self, worker: u32) -> Option<String> {
        self.0.lock().get_mut(&worker)?.why.take()
    }
}
