//! Events turned into what a person or a machine sees: a bar, lines, JSON, or silence.
//!
//! Must not know: the engine, the database, the job. It writes only where it is told to, and it never reads a
//! clock on its own: the caller says when.

pub mod bar;
pub mod json;
pub mod lines;
mod meter;
pub mod quiet;
mod repeats;
mod sentence;
pub mod summary;

use std::io;
use std::time::Instant;

use crate::event::Told;

pub use bar::Bar;
pub use json::Json;
pub use lines::Lines;
pub use quiet::Quiet;

/// Someone who watches a run. None of them prints the summary of [`Event::Left`](crate::event::Event::Left)
/// for a person: that is a result, and [`summary::text`] gives it to the caller.
pub trait Observer {
    /// Takes one event, which arrived at this moment. An error is one of the writer: the run itself is not
    /// concerned.
    fn on(&mut self, told: &Told, now: Instant) -> io::Result<()>;
}
