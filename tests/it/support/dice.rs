//! Random moments that can be had again: the seed is printed, and a test that failed shows it.
//!
//! Must not know: what is decided by them.

use std::env;
use std::time::{Duration, UNIX_EPOCH};

/// Its value makes the dice fall as they did in an earlier test.
const SEED: &str = "PGBACKFILL_TEST_SEED";

/// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
pub(crate) struct Dice(u64);

impl Dice {
    /// With the seed of the environment, else with one from the clock.
    pub(crate) fn new() -> Self {
        let given = env::var(SEED).ok().map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or_else(|| UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
        // Caught by the harness, and shown if the test fails.
        println!("{SEED}={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Others for somebody else, who then cannot disturb these; they fall as the seed of these wants it.
    pub(crate) fn others(&mut self) -> Self {
        Self(self.next())
    }

    /// As many bytes as other generators want to begin with.
    pub(crate) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        seed.chunks_mut(8).for_each(|part| part.copy_from_slice(&self.next().to_le_bytes()));
        seed
    }

    /// One of `0..n`.
    pub(crate) fn index(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Any time up to `max`.
    pub(crate) fn time(&mut self, max: Duration) -> Duration {
        Duration::from_micros(self.next() % max.as_micros() as u64)
    }
}
