//! What is done to a connection from outside of its session.
//!
//! Must not know: pools, transactions.

use tokio::task::AbortHandle;

use crate::connect::Canceller;

/// What stops a connection from outside.
#[derive(Clone)]
pub(super) struct Handles {
    pub(super) canceller: Canceller,
    /// Closes the connection at once, whatever is under way on it.
    pub(super) driver: AbortHandle,
}
