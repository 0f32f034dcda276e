//! The steps before and after a run: what a step makes, whether the catalog has it already, and how its lock
//! is got without keeping the application waiting.
//!
//! Must not know: the terminal, batches, the pace.

mod door;
mod error;
mod expected;
mod holder;
mod index;
mod long;
mod news;
mod next;
mod partitioned;
mod phase;
mod target;

pub use error::StepError;
pub use news::{StepNews, Tell};
pub use phase::{Made, Maker, make};
