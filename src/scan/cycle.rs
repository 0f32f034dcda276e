//! How long a range may take from its first stripe to its last.
//!
//! After a checkpoint the first change of a page writes a full-page image to the WAL. A range whose pages are
//! visited before and after one pays that twice, so its stripes should be done in a small part of the time
//! between two of them.
//!
//! Must not know: how fast rows are changed.

use std::time::Duration;

use crate::catalog::Checkpoints;

/// The part of the time between two checkpoints: then at most an eighth of the pages are written twice.
const PART: f64 = 0.125;
/// Shorter, and looking up the range costs more than the pages that are written twice.
const SHORTEST_S: f64 = 0.25;

/// The longest cycle while the server's WAL grows at this speed.
#[must_use]
pub fn cycle_max(checkpoints: &Checkpoints, wal_bytes_per_s: f64) -> Duration {
    let by_wal_s = checkpoints.wal_bytes / wal_bytes_per_s.max(1.0);
    Duration::from_secs_f64((checkpoints.timeout_s.min(by_wal_s) * PART).max(SHORTEST_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Checkpoints = Checkpoints { timeout_s: 300.0, wal_bytes: 565e6 };

    #[test]
    fn on_a_quiet_server_the_clock_makes_checkpoints() {
        assert_eq!(cycle_max(&USUAL, 0.0), Duration::from_secs_f64(37.5));
    }

    #[test]
    fn at_full_speed_the_wal_makes_them() {
        let cycle = cycle_max(&USUAL, 100e6);
        assert!((0.70..0.71).contains(&cycle.as_secs_f64()), "{cycle:?}");
    }

    #[test]
    fn a_tiny_max_wal_size_does_not_make_ranges_tiny() {
        assert_eq!(cycle_max(&USUAL, 1e12), Duration::from_millis(250));
    }
}
