//! What a worker has at hand, and what interrupts it.
//!
//! Must not know: what follows an interruption.

use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBackoff;

use super::super::batch_size::BatchSize;
use super::super::claimed::{ClaimedRange, NextBatch};
use super::super::error_policy::{self, Failures};
use super::super::exit::End;
use super::super::lease::BatchError;
use super::super::part::Part;
use crate::db::{Error, Session};
use crate::store::{Hint, StoreError};
use crate::throttle::Debt;

/// How often a worker that waits looks again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What interrupts a worker.
pub(super) enum Interruption {
    /// It leaves.
    Leave(End),
    /// A batch was not committed.
    Batch(BatchError),
    /// There is no connection.
    NoConnection(Error),
    /// There is nothing to do just now.
    Idle,
}

impl From<Error> for Interruption {
    fn from(error: Error) -> Self {
        Self::Batch(BatchError::Failed(error))
    }
}

impl From<BatchError> for Interruption {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}

impl From<StoreError> for Interruption {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database(error) => error.into(),
            other => Self::Batch(BatchError::TableChanged(other.to_string())),
        }
    }
}

/// A worker.
pub(super) struct Worker {
    pub(super) part: Arc<Part>,
    pub(super) index: u32,
    pub(super) session: Option<Session>,
    pub(super) range: Option<ClaimedRange>,
    /// The batch that is under way.
    pub(super) batch: Option<NextBatch>,
    pub(super) size: BatchSize,
    /// What the size was before locks of others were in the way.
    pub(super) usual_size: Option<BatchSize>,
    pub(super) debt: Debt,
    pub(super) failures: Failures,
    pub(super) back_off: ExponentialBackoff,
}

impl Worker {
    pub(super) fn new(part: Arc<Part>, index: u32) -> Self {
        let size = BatchSize::first(part.facts.run.kind);
        Self {
            part,
            index,
            session: None,
            range: None,
            batch: None,
            size,
            usual_size: None,
            debt: Debt::default(),
            failures: Failures::default(),
            back_off: error_policy::back_off(),
        }
    }

    /// How long it would like to keep its range after a batch of so many rows.
    pub(super) fn hint(&self, rows: u32) -> Hint {
        self.part.hint(self.index, rows)
    }
}
