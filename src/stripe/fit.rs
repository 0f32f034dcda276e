//! Which striping suits rows that lie on pages like those of a sample: never guessed, the server is asked.
//!
//! Must not know: how the sample was read.

use std::collections::BTreeMap;

use super::{SHIFT_MAX, StripeBy, Striping};

/// A stripe may have this much more than its share of the sample; more, and the bits are lopsided.
const LOPSIDED: f64 = 1.25;
/// Bits spread a page's rows well enough if they do it nearly as a hash would.
const UNEVEN: f64 = 1.2;
/// With fewer rows a page in key order, walking the keys visits other pages in between by itself.
const SCATTERED: f64 = 2.0;

/// One of several rows that follow each other in the order of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The key, if it is one integer.
    pub key: Option<i64>,
    /// The page of the table that the row lies on.
    pub page: i64,
}

/// How many stripes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// So many, whatever the pages look like.
    Exactly(u32),
    /// So many, fewer if a page has fewer rows.
    AtMost(u32),
}

impl Wanted {
    /// The largest number that can come of it.
    #[must_use]
    pub fn most(self) -> u32 {
        match self {
            Self::Exactly(stripes) | Self::AtMost(stripes) => stripes,
        }
    }
}

/// The striping of a range whose rows lie like these neighbours.
#[must_use]
pub fn fit(sample: &[Neighbour], wanted: Wanted) -> Striping {
    let stripes = match wanted {
        Wanted::Exactly(stripes) => stripes,
        Wanted::AtMost(stripes) => at_most(stripes, rows_together(sample)),
    };
    let by = if stripes > 1 { by(sample, stripes) } else { StripeBy::Hash };
    Striping::new(stripes, by).unwrap_or(Striping::WHOLE)
}

/// The striping of rows that are told apart by a hash, of which so many lie on a page.
#[must_use]
pub fn hashed(wanted: Wanted, rows_together: f64) -> Striping {
    let stripes = match wanted {
        Wanted::Exactly(stripes) => stripes,
        Wanted::AtMost(stripes) => at_most(stripes, rows_together),
    };
    Striping::new(stripes, StripeBy::Hash).unwrap_or(Striping::WHOLE)
}

/// No more stripes than rows on a page: further ones would find nothing to do there.
fn at_most(stripes: u32, rows_together: f64) -> u32 {
    if rows_together < SCATTERED {
        return 1;
    }
    let mut fewer = stripes;
    while fewer > 1 && f64::from(fewer) > rows_together {
        fewer /= 2;
    }
    fewer
}

/// How many of the neighbours of a row lie on its page, itself included; 0 without a sample.
#[must_use]
pub fn rows_together(sample: &[Neighbour]) -> f64 {
    let mut pages: BTreeMap<i64, f64> = BTreeMap::new();
    for neighbour in sample {
        *pages.entry(neighbour.page).or_default() += 1.0;
    }
    pages.values().map(|rows| rows * rows).sum::<f64>() / (sample.len() as f64).max(1.0)
}

/// The longest bands of values that still spread each page's rows over the stripes nearly as well as a hash.
fn by(sample: &[Neighbour], stripes: u32) -> StripeBy {
    let pages = keys_of_pages(sample);
    let share = 1.0 / f64::from(stripes);
    let hash = share + (1.0 - share) / rows_together(sample).max(1.0);
    (0..=SHIFT_MAX)
        .rev()
        .filter_map(|shift| Striping::new(stripes, StripeBy::Bits { shift }))
        .find(|striping| is_balanced(&pages, *striping) && concentration(&pages, *striping) <= hash * UNEVEN)
        .map_or(StripeBy::Hash, Striping::by)
}

fn keys_of_pages(sample: &[Neighbour]) -> Vec<Vec<i64>> {
    let mut pages: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for neighbour in sample {
        pages.entry(neighbour.page).or_default().extend(neighbour.key);
    }
    pages.into_values().collect()
}

/// Which part of its page's rows a row's stripe has, on average: 1/k at best, 1 if each page is of one
/// stripe.
fn concentration(pages: &[Vec<i64>], striping: Striping) -> f64 {
    let rows: usize = pages.iter().map(Vec::len).sum();
    let squares: f64 = pages
        .iter()
        .filter(|page| !page.is_empty())
        .map(|page| counts(page, striping).map(|count| count * count).sum::<f64>() / page.len() as f64)
        .sum();
    if rows == 0 { 1.0 } else { squares / rows as f64 }
}

fn is_balanced(pages: &[Vec<i64>], striping: Striping) -> bool {
    let all: Vec<_> = pages.iter().flatten().copied().collect();
    let share = all.len() as f64 / f64::from(striping.stripes().get());
    // A small sample is uneven by chance: three standard deviations are allowed.
    let most = (share * LOPSIDED).max(share + 3.0 * share.sqrt());
    !all.is_empty() && counts(&all, striping).all(|count| count <= most)
}

/// How many of the keys each stripe has.
fn counts(keys: &[i64], striping: Striping) -> impl Iterator<Item = f64> {
    let mut counts = vec![0.0; striping.stripes().get() as usize];
    for stripe in keys.iter().filter_map(|key| striping.of_integer(*key)) {
        counts[stripe as usize] += 1.0;
    }
    counts.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows that lie in the order of their keys.
    fn laid(keys: impl IntoIterator<Item = i64>, rows_per_page: i64) -> Vec<Neighbour> {
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter()
            .zip(0..)
            .map(|(key, n)| Neighbour { key: Some(key), page: n / rows_per_page })
            .collect()
    }

    fn shift(sample: &[Neighbour]) -> Option<u32> {
        match fit(sample, Wanted::AtMost(8)).by() {
            StripeBy::Bits { shift } => Some(shift),
            StripeBy::Hash => None,
        }
    }

    #[test]
    fn sequential_keys_have_runs_of_an_eighth_of_a_page() {
        assert_eq!(shift(&laid(1..=512, 69)), Some(3));
        assert_eq!(shift(&laid(-512..=-1, 69)), Some(3));
        assert_eq!(shift(&laid(1..=512, 40)), Some(2));
    }

    #[test]
    fn gaps_make_runs_longer_in_values_not_in_rows() {
        assert_eq!(shift(&laid((1..=512).map(|i| i * 2), 69)), Some(4));
        assert_eq!(shift(&laid((1..=512).map(|i| i * 1000), 69)), Some(13));
    }

    #[test]
    fn keys_whose_bits_say_nothing_are_hashed() {
        // Milliseconds, worker, sequence: bursts of two ids a millisecond, all else constant, and a page for
        // each burst of 64.
        let bursts = (0..512_i64).map(|i| ((i / 64) << 60) | ((i % 64) / 32));
        assert_eq!(shift(&laid(bursts, 64)), None);
    }

    #[test]
    fn rows_that_lie_scattered_need_no_stripes() {
        let scattered: Vec<_> =
            (0..512).map(|n| Neighbour { key: Some(n), page: n * 7919 % 43_000 }).collect();
        assert_eq!(fit(&scattered, Wanted::AtMost(8)), Striping::WHOLE);
        assert_eq!(fit(&scattered, Wanted::Exactly(8)).stripes().get(), 8);
    }

    #[test]
    fn a_page_with_few_rows_has_few_stripes() {
        assert_eq!(fit(&laid(1..=512, 5), Wanted::AtMost(8)).stripes().get(), 4);
        assert_eq!(fit(&laid(1..=512, 1), Wanted::AtMost(8)), Striping::WHOLE);
        assert_eq!(fit(&[], Wanted::AtMost(8)), Striping::WHOLE);
    }

    #[test]
    fn keys_of_other_types_are_hashed() {
        let sample: Vec<_> = (0..512).map(|n| Neighbour { key: None, page: n / 60 }).collect();
        assert_eq!(fit(&sample, Wanted::AtMost(8)), Striping::new(8, StripeBy::Hash).unwrap());
    }

    /// Keys as they are met in tables, each kind with what varies about it.
    fn keys() -> impl Strategy<Value = Vec<i64>> {
        let kinds = (any::<i32>(), 1_i64..=1000, 2_i64..60, any::<u64>());
        (kinds, 0..6).prop_map(|((start, factor, burst, seed), kind)| {
            let start = i64::from(start);
            let mut state = seed | 1;
            let mut dice = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as i64
            };
            let key = |i: i64, dice: &mut dyn FnMut() -> i64| match kind {
                0 => start + i,
                1 => (start + i) * 2,
                2 => (start + i) * factor,
                // Bursts of neighbours, far apart.
                3 => (start + i / burst) * 1_000_003 + i % burst,
                // Milliseconds, worker, sequence.
                4 => ((1_700_000_000_000 + i * 3 + dice() % 3) << 22) | ((dice() % 4) << 12) | (dice() % 2),
                _ => (dice() << 32) ^ dice(),
            };
            (0..512).map(|i| key(i, &mut dice)).collect()
        })
    }

    proptest! {
        #[test]
        fn the_stripes_of_every_kind_of_key_are_balanced(keys in keys(), rows_per_page in 16_i64..200) {
            let sample = laid(keys, rows_per_page);
            let striping = fit(&sample, Wanted::AtMost(8));
            prop_assert_eq!(striping.stripes().get(), 8);
            // A hash is balanced by itself, and the server's own.
            if striping.by() != StripeBy::Hash {
                let pages = keys_of_pages(&sample);
                prop_assert!(is_balanced(&pages, striping));
                // On no page half of the rows are of one stripe, on average.
                prop_assert!(concentration(&pages, striping) < 0.3);
            }
        }

        #[test]
        fn sequential_even_and_multiplied_keys_need_no_hash(start: i32, factor in 1_i64..1000, rows_per_page in 16_i64..200) {
            let sample = laid((0..512).map(|i| (i64::from(start) + i) * factor), rows_per_page);
            prop_assert_ne!(fit(&sample, Wanted::AtMost(8)).by(), StripeBy::Hash);
        }

        #[test]
        fn random_keys_need_no_hash(keys in prop::collection::vec(any::<i64>(), 512), rows_per_page in 16_i64..200) {
            prop_assert_ne!(fit(&laid(keys, rows_per_page), Wanted::AtMost(8)).by(), StripeBy::Hash);
        }
    }
}
