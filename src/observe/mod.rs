//! Events turned into what a person or a machine sees: a bar, lines, JSON, or silence.
//!
//! Must not know: the engine, the database, the job. It writes only where it is told to, and it never reads a clock on
//! its own: the caller says when.

pub mod bar;
pub mod eta;
pub mod json;
pub mod lines;
mod meter;
pub mod quiet;
mod repeats;
mod sentence;
pub mod summary;

use std::io;
use std::time::Instant;

use jiff::Timestamp;

use crate::event::Event;

pub use bar::Bar;
pub use json::Json;
pub use lines::Lines;
pub use quiet::Quiet;

/// The moment at which an event arrived: on the clock that never jumps, for rates, and on the one that people read.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For rates and pauses.
    pub instant: Instant,
    /// For people.
    pub utc: Timestamp,
}

impl Now {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        Self { instant: Instant::now(), utc: Timestamp::now() }
    }
}

/// Someone who watches a run. None of them prints the summary of [`Event::Left`] for a person: that is a result, and
/// [`summary::text`] gives it to the caller.
pub trait Observer {
    /// Takes one event. An error is one of the writer: the run itself is not concerned.
    fn on(&mut self, event: &Event, now: Now) -> io::Result<()>;
}
