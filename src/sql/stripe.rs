//! How a statement finds the rows of one stripe.
//!
//! Must not know: how many stripes are good.

use super::Target;
use crate::key::KeyType;
use crate::stripe::{Runs, StripeBy, Striping};

/// One stripe of a range, and how a batch finds its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripe {
    /// How the range is striped.
    pub striping: Striping,
    /// Which of its stripes, from 0.
    pub number: u32,
    /// Its runs of keys, where looking each of them up is less work than reading all rows to find those of the stripe.
    pub runs: Option<Runs>,
}

/// What the runs are called: a name that no column of a user's is likely to have.
const RUN: &str = "pgbackfill_run (pgbackfill_lo)";

/// The FROM item that gives the beginning of each run. Parameters: the first and the last, from `$first` on.
pub(super) fn source(runs: Runs, first: usize) -> String {
    format!("generate_series(${first}::bigint, ${}::bigint, {}) AS {RUN}", first + 1, runs.step)
}

/// The condition that selects one stripe: its runs, or `((id::bigint >> 1) & 7) = 3`, or the same of a hash; none if there is only one.
///
/// A hash may differ between major versions. A server that was upgraded has another system identifier, and a run does not go on
/// there.
pub(super) fn condition(target: &Target, stripe: Stripe) -> Option<String> {
    let mask = stripe.striping.stripes().get() - 1;
    if mask == 0 {
        return None;
    }
    let columns = target.columns();
    let value = match (stripe.runs, stripe.striping.by()) {
        (Some(runs), _) => return Some(within(columns.first()?, runs)),
        // As a bigint, because an integer shifted by 32 or more is shifted by 32 less.
        (None, StripeBy::Bits { shift }) => format!("({}::bigint >> {shift})", columns.first()?),
        (None, StripeBy::Hash) => hash(target),
    };
    Some(format!("({value} & {mask}) = {}", stripe.number))
}

/// The end of a run is named by its last value: the one after it may be past the end of `bigint`.
fn within(column: &str, runs: Runs) -> String {
    format!("{column} >= pgbackfill_lo\nAND {column} <= pgbackfill_lo + {}", runs.length - 1)
}

/// Equal keys have equal hashes under the settings of a batch, which are the same in every process of a run.
fn hash(target: &Target) -> String {
    let columns = target.columns();
    match (columns.as_slice(), target.key.first().map(|column| column.ty)) {
        ([one], Some(KeyType::Uuid)) => format!("uuid_hash_extended({one}, 0)"),
        ([one], Some(ty)) if ty.is_integer() => format!("hashint8extended({one}, 0)"),
        ([one], _) => format!("hashtextextended({one}::text COLLATE \"C\", 0)"),
        (many, _) => format!("hashtextextended(concat_ws('|', {}) COLLATE \"C\", 0)", many.join(", ")),
    }
}
