//! The keys of one stripe as bands of neighbouring values, so that a batch reads them alone and passes over
//! the others.
//!
//! Must not know: which values exist.

use super::{StripeBy, Striping};

/// With fewer rows in a band, finding it costs as much as reading the rows of the other stripes (measured
/// with 8 stripes: 455 k rows/s with one row a band and 485 k reading all rows, 755 k with eight).
const ROWS_PER_BAND_MIN: u64 = 2;

/// `first, first + step, … <= last` are where bands of `length` values begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bands {
    /// Where the first band begins; it may begin before the keys that are asked for.
    pub first: i64,
    /// No band begins after this.
    pub last: i64,
    /// From the beginning of a band to that of the next.
    pub step: i64,
    /// Values in a band.
    pub length: i64,
}

impl Bands {
    /// Whether they are few enough to hold `rows` rows that looking each up is less work than reading all
    /// rows.
    #[must_use]
    pub fn pay(self, rows: u32) -> bool {
        self.count() <= u64::from(rows) / ROWS_PER_BAND_MIN
    }

    /// How many bands there are.
    #[must_use]
    pub fn count(self) -> u64 {
        // `first <= last`, so the difference of two i64 fits a u64.
        self.last.abs_diff(self.first) / self.step.unsigned_abs() + 1
    }
}

impl Striping {
    /// The bands of `stripe` that have values in `(after, through]`; none if a hash decides or no band does.
    #[must_use]
    pub fn bands(self, stripe: u32, after: i64, through: i64) -> Option<Bands> {
        let StripeBy::Bits { shift } = self.by else { return None };
        let (stripes, length) = (i64::from(self.stripes), 1_i64 << shift);
        let block = after.checked_add(1)? >> shift;
        let to_ours = (i64::from(stripe) - block).rem_euclid(stripes);
        let first = block.checked_add(to_ours)?.checked_mul(length)?;
        (first <= through).then_some(Bands { first, last: through, step: stripes << shift, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn striping(stripes: u32, shift: u32) -> Striping {
        Striping::new(stripes, StripeBy::Bits { shift }).unwrap()
    }

    /// As the server walks them.
    fn values(bands: Bands, after: i64, through: i64) -> Vec<i64> {
        let begins = (0..bands.count() as i64).map(|n| bands.first + n * bands.step);
        begins
            .flat_map(|lo| lo..=(lo + (bands.length - 1)))
            .filter(|key| *key > after && *key <= through)
            .collect()
    }

    #[test]
    fn the_bands_of_a_stripe_are_a_period_apart() {
        let bands = striping(8, 3).bands(2, 0, 200).unwrap();
        assert_eq!(bands, Bands { first: 16, last: 200, step: 64, length: 8 });
        assert_eq!(bands.count(), 3);
    }

    #[test]
    fn the_ends_of_bigint_do_not_overflow() {
        let all = striping(32, 57).bands(31, i64::MIN, i64::MAX).unwrap();
        assert_eq!(all.count(), 4);
        for stripe in 0..8 {
            let near_the_end = striping(8, 3).bands(stripe, i64::MAX - 10, i64::MAX);
            assert!(near_the_end.is_none_or(|bands| bands.first.checked_add(bands.length - 1).is_some()));
        }
        assert_eq!(striping(8, 3).bands(0, i64::MAX, i64::MAX), None);
    }

    #[test]
    fn a_hash_has_no_bands() {
        assert_eq!(Striping::new(8, StripeBy::Hash).unwrap().bands(0, 0, 100), None);
    }

    proptest! {
        #[test]
        fn the_bands_of_a_stripe_hold_exactly_its_keys(
            after in -3000_i64..3000, keys in 0_i64..2000, power in 0_u32..6, shift in 0_u32..8,
        ) {
            let (striping, through) = (striping(1 << power, shift), after + keys);
            for stripe in 0..1 << power {
                let ours = striping.bands(stripe, after, through).map_or(vec![], |bands| values(bands, after, through));
                let expected: Vec<_> =
                    (after + 1..=through).filter(|key| striping.of_integer(*key) == Some(stripe)).collect();
                prop_assert_eq!(ours, expected);
            }
        }
    }
}
