//! Stripes: which 1/k of a range's rows a batch changes.
//!
//! PostgreSQL can keep a new row version on its page (HOT) only if the page has room. Changing 1/k of a page's rows at a time
//! lets each visit reuse the room of versions that died since the last one.
//!
//! Must not know: SQL, ranges, who chooses k.

use std::num::NonZeroU32;

/// The most stripes of a range.
pub const STRIPES_MAX: u32 = 32;
/// A stripe may have this much more than its share of a sample; more, and the bits are not balanced.
const LOPSIDED: f64 = 1.25;
/// Shifts that are tried: ids that are all multiples of up to 2^20.
const SHIFT_MAX: u32 = 20;

/// What tells a key's stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripeBy {
    /// The bits of an integer from this one on: no cost, and neighbours are in different stripes.
    Bits {
        /// The lowest bit that counts.
        shift: u32,
    },
    /// A hash of the whole key: for all other types, and for integers whose bits are lopsided.
    Hash,
}

/// How a range is striped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Striping {
    stripes: u32,
    by: StripeBy,
}

impl Striping {
    /// One stripe: the whole range in key order.
    pub const WHOLE: Self = Self { stripes: 1, by: StripeBy::Hash };

    /// None unless `stripes` is a power of two up to [`STRIPES_MAX`].
    #[must_use]
    pub fn new(stripes: u32, by: StripeBy) -> Option<Self> {
        (stripes.is_power_of_two() && stripes <= STRIPES_MAX).then_some(Self { stripes, by })
    }

    /// How many stripes.
    #[must_use]
    pub fn stripes(self) -> NonZeroU32 {
        // A power of two is not zero.
        NonZeroU32::new(self.stripes).unwrap_or(NonZeroU32::MIN)
    }

    /// What tells the stripe.
    #[must_use]
    pub fn by(self) -> StripeBy {
        self.by
    }

    /// The stripe of an integer by its bits, as the server computes it; none if a hash decides.
    #[must_use]
    pub fn of_integer(self, key: i64) -> Option<u32> {
        match self.by {
            // An arithmetic shift keeps the order of negatives, and the mask makes the rest of them positive.
            StripeBy::Bits { shift } => Some(((key >> shift) & i64::from(self.stripes - 1)) as u32),
            StripeBy::Hash => None,
        }
    }
}

/// What tells the stripe of integers like those of the sample: the lowest bits that are balanced, else a hash.
#[must_use]
pub fn choose(sample: &[i64], stripes: u32) -> StripeBy {
    (0..=SHIFT_MAX)
        .map(|shift| StripeBy::Bits { shift })
        .find(|by| is_balanced(sample, stripes, *by))
        .unwrap_or(StripeBy::Hash)
}

fn is_balanced(sample: &[i64], stripes: u32, by: StripeBy) -> bool {
    let Some(striping) = Striping::new(stripes, by) else { return false };
    let mut counts = vec![0_u32; stripes as usize];
    for stripe in sample.iter().filter_map(|key| striping.of_integer(*key)) {
        counts[stripe as usize] += 1;
    }
    let share = sample.len() as f64 / f64::from(stripes);
    // A small sample is uneven by chance: three standard deviations are allowed.
    let most = (share * LOPSIDED).max(share + 3.0 * share.sqrt());
    counts.iter().all(|count| f64::from(*count) <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shift_of(keys: impl Iterator<Item = i64>) -> StripeBy {
        choose(&keys.collect::<Vec<_>>(), 8)
    }

    #[test]
    fn sequential_keys_take_the_lowest_bits() {
        assert_eq!(shift_of(1..=1000), StripeBy::Bits { shift: 0 });
        assert_eq!(shift_of(-1000..=-1), StripeBy::Bits { shift: 0 });
    }

    #[test]
    fn even_keys_pass_over_the_bit_that_never_changes() {
        assert_eq!(shift_of((1..=1000).map(|i| i * 2)), StripeBy::Bits { shift: 1 });
    }

    #[test]
    fn multiples_of_a_thousand_pass_over_three_bits() {
        assert_eq!(shift_of((1..=1000).map(|i| i * 1000)), StripeBy::Bits { shift: 3 });
    }

    #[test]
    fn clustered_and_snowflake_keys_are_balanced() {
        let clustered = (0..50).flat_map(|cluster| (0..20).map(move |i| cluster * 1_000_000 + i));
        assert!(is_balanced(&clustered.clone().collect::<Vec<_>>(), 8, shift_of(clustered)));
        // Milliseconds, worker, sequence: with one id a millisecond only the high bits change.
        let snowflakes = (0..1000_i64).map(|ms| (ms + 1_700_000_000_000) << 22 | 5 << 12);
        assert_eq!(shift_of(snowflakes), StripeBy::Hash);
    }

    #[test]
    fn keys_whose_bits_say_nothing_are_hashed() {
        assert_eq!(shift_of((0..1000).map(|i| i << 40)), StripeBy::Hash);
    }

    #[test]
    fn only_powers_of_two_are_stripes() {
        for stripes in [0, 3, 33, 64] {
            assert_eq!(Striping::new(stripes, StripeBy::Hash), None);
        }
    }

    proptest! {
        #[test]
        fn every_integer_is_in_exactly_one_stripe(key: i64, power in 0_u32..6, shift in 0_u32..=SHIFT_MAX) {
            let striping = Striping::new(1 << power, StripeBy::Bits { shift }).unwrap();
            prop_assert!(striping.of_integer(key).unwrap() < 1 << power);
        }

        #[test]
        fn random_keys_are_balanced_by_their_lowest_bits(seed in prop::collection::vec(any::<i64>(), 2000)) {
            prop_assert_ne!(choose(&seed, 8), StripeBy::Hash);
        }
    }
}
