//! What the leading process measures for all processes of a database: it reads the signals once a second,
//! times short transactions like the application's, decides how much the application bears, and publishes all
//! of it in the row `pgbackfill.guard`.
//!
//! Must not know: what a process does about what was published.

mod controller;
mod growth;
mod latency;
mod leader;
mod presence;
mod recent;
mod samples;
mod saturation;
mod statements;
mod turns;
mod wal_history;

pub use leader::{Asked, Leading, Monitor};
