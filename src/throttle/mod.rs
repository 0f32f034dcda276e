//! What each process may do: one question, `may I go?`, and one list of reasons why not.
//!
//! What is measured for all is elsewhere (`monitor`); the two meet at the row `pgbackfill.guard`.
//!
//! Must not know: batches, ranges, how signals are read.

mod account;
mod ceilings;
mod counters;
mod custom_signals;
mod gate;
mod hold_log;
mod judge;
mod level;
mod pacer;
mod reason;
mod standbys;
mod team;
#[allow(clippy::module_inception)] // It holds the type that the room is named after.
mod throttle;

pub use account::Account;
pub use ceilings::{Ceilings, Debt, Share};
pub use counters::Counters;
pub use custom_signals::CustomSignals;
pub use hold_log::HoldLog;
pub use judge::{CustomReading, Judge, Seen, Verdict};
pub use level::Level;
pub use reason::{Reason, Why};
pub use team::Team;
pub use throttle::{Go, Throttle};
