//! The ceilings that a person sets, over all processes of the run.
//!
//! A quota of `governor` cannot be changed later, so each ceiling has one limiter of fixed speed, and what
//! changes is the price: an amount costs `amount / target` seconds of it.
//!
//! Must not know: batches, workers, the database.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::run::Knobs;

/// Units that a limiter gives out in a second.
const UNITS_PER_S: u32 = 10_000_000;
/// The most units at once: a fifth of a second, so that a ceiling holds to 2 % over ten seconds whatever came
/// before.
const BURST_UNITS: u32 = UNITS_PER_S / 5;
/// Units that are paid at once. Much less than the burst: a task that is woken too late, by up to the
/// difference, finds the units of that time still there, while a payment of the whole burst would have to
/// wait for each of them again.
const SLICE_UNITS: u32 = BURST_UNITS / 10;

/// What a batch used and has not paid for yet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Debt {
    /// Rows changed.
    pub rows: f64,
    /// Bytes of WAL.
    pub wal_bytes: f64,
}

impl Debt {
    /// Nothing is owed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.rows <= 0.0 && self.wal_bytes <= 0.0
    }
}

/// This process's part of the ceilings: what is left of them after the other processes' shares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// Changed rows per second; none: no ceiling.
    pub rows_per_s: Option<f64>,
    /// Bytes of WAL per second; none: no ceiling.
    pub wal_bytes_per_s: Option<f64>,
}

impl Share {
    /// The part of `here` workers where `elsewhere` others are alive.
    #[must_use]
    pub fn of(knobs: &Knobs, here: u32, elsewhere: u32) -> Self {
        let part = f64::from(here.max(1)) / f64::from(here.max(1) + elsewhere);
        Self {
            rows_per_s: knobs.max_rows_per_s.map(|rows| rows.get() as f64 * part),
            wal_bytes_per_s: knobs.max_wal_bytes_per_s.map(|bytes| bytes.get() as f64 * part),
        }
    }

    /// True if nothing is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.rows_per_s.is_none() && self.wal_bytes_per_s.is_none()
    }
}

/// The ceilings of one process; its workers share them.
#[derive(Debug)]
pub struct Ceilings {
    rows: DefaultDirectRateLimiter,
    wal: DefaultDirectRateLimiter,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self { rows: limiter(), wal: limiter() }
    }
}

fn limiter() -> DefaultDirectRateLimiter {
    let units = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    RateLimiter::direct(Quota::per_second(units(UNITS_PER_S)).allow_burst(units(BURST_UNITS)))
}

impl Ceilings {
    /// Waits until `debt` is paid. Can be dropped at any time: what was paid by then is no longer in `debt`.
    pub async fn settle(&self, debt: &mut Debt, share: Share) {
        pay(&self.rows, &mut debt.rows, share.rows_per_s).await;
        pay(&self.wal, &mut debt.wal_bytes, share.wal_bytes_per_s).await;
    }
}

async fn pay(limiter: &DefaultDirectRateLimiter, owed: &mut f64, per_s: Option<f64>) {
    let Some(per_s) = per_s else {
        *owed = 0.0;
        return;
    };
    while *owed > 0.0 {
        let units = (*owed / per_s * f64::from(UNITS_PER_S)).ceil().min(f64::from(SLICE_UNITS));
        let slice = NonZeroU32::new(units as u32).unwrap_or(NonZeroU32::MIN);
        // The slice is never larger than the burst, so the limiter can always give it.
        let _ = limiter.until_n_ready(slice).await;
        *owed -= f64::from(slice.get()) / f64::from(UNITS_PER_S) * per_s;
    }
    *owed = owed.max(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    fn knobs(rows_per_s: u64) -> Knobs {
        Knobs { max_rows_per_s: NonZeroU64::new(rows_per_s), ..Knobs::default() }
    }

    #[test]
    fn the_shares_of_all_processes_add_up_to_the_ceiling() {
        let workers = [2, 4, 1];
        let all: u32 = workers.iter().sum();
        let sum: f64 = workers.iter().filter_map(|n| Share::of(&knobs(1000), *n, all - n).rows_per_s).sum();
        assert!((sum - 1000.0).abs() < 1e-6, "{sum}");
    }

    #[test]
    fn without_a_ceiling_nothing_is_limited() {
        assert!(Share::of(&Knobs::default(), 2, 5).is_unlimited());
    }

    #[tokio::test]
    async fn a_debt_without_a_ceiling_is_forgiven() {
        let mut debt = Debt { rows: 1e9, wal_bytes: 1e12 };
        Ceilings::default().settle(&mut debt, Share::default()).await;
        assert!(debt.is_settled());
    }

    #[tokio::test]
    async fn a_debt_is_paid_in_slices_and_ends_at_nothing() {
        let mut debt = Debt { rows: 300.0, wal_bytes: 0.0 };
        let share = Share { rows_per_s: Some(10_000.0), wal_bytes_per_s: Some(1.0) };
        Ceilings::default().settle(&mut debt, share).await;
        assert_eq!(debt, Debt::default());
    }
}
