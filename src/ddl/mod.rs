//! The steps before and after a run: what a step makes, whether the catalog has it already, and how its lock
//! is got without keeping the application waiting.
//!
//! Must not know: the terminal, batches, the pace.

mod back;
mod begin;
mod door;
mod error;
mod expected;
mod foreign;
mod free;
mod holder;
mod index;
mod long;
mod news;
mod next;
mod outline;
mod partitioned;
mod phase;
mod replace;
mod sync;
mod target;

pub use back::{drop_columns, undo_contract};
pub use begin::{Maker, keeps_in_step};
pub use error::StepError;
pub use news::{StepNews, Tell};
pub use outline::{OutlinedStatement, OutlinedStep, outline};
pub use phase::{Made, make};
