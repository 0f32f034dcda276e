//! How a run stands: what is shown of it, on a terminal as on a page.
//!
//! Must not know: who looks, how it is laid out; it reads what the processes left in the database.

mod find;
mod sentence;
mod view;

pub use find::{FindError, current, latest};
pub use sentence::{
    guard, held, kept, pace, process, progress, proof, rate, standing, step, stripes, verification,
};
pub use view::{View, view};
