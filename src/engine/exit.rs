//! Why and when the workers of a process leave.
//!
//! Must not know: what a worker does.

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::run::RunState;

/// Why a worker left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The run is complete.
    Complete,
    /// The caller wants to stop.
    Stopped,
    /// There are more workers than wanted.
    Surplus,
    /// The server has no connection left for this one, and others of this process have theirs.
    NoConnectionLeft(String),
    /// This process has changed as many rows as it may.
    MaxRows,
    /// The run was blocked or cancelled elsewhere.
    Halted(RunState),
    /// This worker blocked the run.
    Blocked(String),
    /// The database cannot be reached.
    Unreachable(String),
}

/// Tells all tasks of a process when to leave.
#[derive(Debug)]
pub(super) struct Exit {
    /// Cancelled by the caller.
    stop: CancellationToken,
    /// Cancelled by the caller, by the first reason of a worker, and when the address leads to another
    /// server.
    leave: CancellationToken,
    reason: Mutex<Option<End>>,
}

impl Exit {
    /// Of a process that leaves when `stop` is cancelled.
    pub(super) fn new(stop: &CancellationToken) -> Self {
        Self { stop: stop.clone(), leave: stop.child_token(), reason: Mutex::default() }
    }

    /// The caller wants to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Until the caller wants to stop.
    pub(super) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// All workers are to leave.
    pub(super) fn is_leaving(&self) -> bool {
        self.leave.is_cancelled()
    }

    /// Cancelled when all workers are to leave.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.leave
    }

    /// All workers leave, for the first of such reasons.
    pub(super) fn leave(&self, end: End) {
        self.reason.lock().get_or_insert(end);
        self.leave.cancel();
    }

    /// Why all leave, if a worker said so.
    pub(super) fn reason(&self) -> Option<End> {
        self.reason.lock().clone()
    }
}
