//! What a run is: its numbers, its states and the legal moves between them, its counters, and the knobs that
//! a person may set while it is live.
//!
//! Must not know: tokio, PostgreSQL, the terminal.

mod hold;
mod ids;
mod kind;
mod knobs;
pub mod pace;
mod state;
mod totals;

pub use hold::Hold;
pub use ids::{RangeNo, RunId};
pub use kind::RunKind;
pub use knobs::{Knobs, Mode};
pub use state::{IllegalMove, Move, RunState};
pub use totals::{Times, Totals};
