//! Random moments that can be had again: the seed is printed, and a test that failed shows it.
//!
//! Must not know: what is decided by them.

use std::env;
use std::time::{Duration, UNIX_EPOCH};

use fastrand::Rng;

/// Its value makes all that is random as it was in an earlier test.
const SEED: &str = "PGBACKFILL_TEST_SEED";

/// With the seed of the environment, else with one from the clock.
pub(crate) fn seeded() -> Rng {
    let given = env::var(SEED).ok().map(|seed| seed.parse().unwrap());
    let seed = given.unwrap_or_else(|| UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    // Caught by the harness, and shown if the test fails.
    println!("{SEED}={seed}");
    Rng::with_seed(seed)
}

/// Any time up to `max`.
pub(crate) fn time_up_to(max: Duration, rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.u64(..max.as_micros() as u64))
}
