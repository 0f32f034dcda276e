//! How fast the run may go: the ceilings that a person sets, what the guard's signals allow, and what the application feels.
//!
//! Everything here is a decision over numbers: who reads them, and who obeys, is elsewhere.
//!
//! Must not know: batches, workers, the database.

mod brake;
mod canary;
mod ceilings;
mod controller;
mod level;
mod standbys;

pub use brake::{Brake, Cause, OwnReading, Seen, Verdict};
pub use canary::Canary;
pub use ceilings::{Ceilings, Debt, Share};
pub use controller::{CANARY_EVERY, Controller, Steering};
pub use level::Level;

/// What is left of the pace where nobody can say how much the application would bear, in batch-seconds a second.
pub const FLOOR: f64 = 0.05;
