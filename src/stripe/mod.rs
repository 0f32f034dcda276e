//! Stripes: which 1/k of a range's rows a batch changes.
//!
//! PostgreSQL can keep a new row version on its page (HOT) only if the page has room. Changing 1/k of a
//! page's rows at a time lets each visit reuse the room of versions that died since the last one.
//!
//! Must not know: SQL, ranges, who wants how many.

mod bands;
mod fit;

pub use bands::Bands;
pub use fit::{Neighbour, Wanted, fit, hashed, rows_together};

use std::num::NonZeroU32;

/// The most stripes of a range.
pub const STRIPES_MAX: u32 = 32;
/// The highest bit that may be the lowest that counts: five more are needed for the most stripes, and one is
/// the sign.
pub const SHIFT_MAX: u32 = 57;

/// What tells a key's stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripeBy {
    /// The bits of an integer from this one on: a band of `1 << shift` values is in one stripe, the next band
    /// is in the next.
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

    /// None unless `stripes` is a power of two up to [`STRIPES_MAX`], and the shift at most [`SHIFT_MAX`].
    #[must_use]
    pub fn new(stripes: u32, by: StripeBy) -> Option<Self> {
        let shift_fits = !matches!(by, StripeBy::Bits { shift } if shift > SHIFT_MAX);
        (stripes.is_power_of_two() && stripes <= STRIPES_MAX && shift_fits).then_some(Self { stripes, by })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_powers_of_two_are_stripes() {
        for stripes in [0, 3, 33, 64] {
            assert_eq!(Striping::new(stripes, StripeBy::Hash), None);
        }
        assert_eq!(Striping::new(8, StripeBy::Bits { shift: SHIFT_MAX + 1 }), None);
    }

    proptest! {
        #[test]
        fn every_integer_is_in_exactly_one_stripe(key: i64, power in 0_u32..6, shift in 0_u32..=SHIFT_MAX) {
            let striping = Striping::new(1 << power, StripeBy::Bits { shift }).unwrap();
            prop_assert!(striping.of_integer(key).unwrap() < 1 << power);
        }
    }
}
