//! The pace that holds for as long as nothing better is known: measuring for all and obeying both go by it.
//!
//! Must not know: who measures, who obeys.

use std::time::Duration;

/// The least, in batch-seconds a second: what is left where it cannot be told how much the application would
/// bear.
pub const FLOOR: f64 = 0.05;

/// Until it was measured how much the application bears, in batch-seconds a second. One whole worker was
/// measured to hurt: with 2 cores, at 30 % of what the application can do, its p99 went from 1 ms to 5 to 9
/// ms.
pub const START: f64 = 0.25;

/// A batch beside an application, up to where all workers work. Measured beside 200 transactions a second:
/// one worker made 163 thousand rows/s with batches of 500 rows (3 ms), 297 with 2,000 (7 ms).
pub const BATCH_BESIDE: Duration = Duration::from_millis(8);

/// What was read of the server is believed for so long.
pub const READING_VALID: Duration = Duration::from_secs(5);
