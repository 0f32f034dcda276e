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
    /// Its runs of keys, where looking each of them up is less work than reading all rows to find those of the stripe; only with
    /// both bounds and a key of one integer.
    pub runs: Option<Runs>,
}

impl Stripe {
    /// All rows.
    pub const ALL: Self = Self { striping: Striping::WHOLE, number: 0, runs: None };
}

/// What has to hold where runs are looked up. A table of which only single runs are asked for can be read as a whole or by the
/// index, run by run; the server takes a run for half a percent of the table, so on a large one it might choose wrongly.
pub const LOOKING_UP: &str = "SET LOCAL enable_seqscan = off";

/// What the FROM item of runs is called.
pub const RUN: &str = "pgbackfill_run";
const FIRST: &str = "pgbackfill_first";
const LAST: &str = "pgbackfill_last";

/// Whether a table or a column of this name could not be told from the runs.
#[must_use]
pub fn is_name_of_runs(name: &str) -> bool {
    [RUN, FIRST, LAST].contains(&name)
}

/// The FROM item that gives the runs within `($2, $1]`, under names that the table does not have. Parameters after
/// the bounds: where the first run begins, and where the last may.
///
/// The bounds are not conditions on the table: with them the server could read all rows between them and compare each with each
/// run (115 ms for 1,248 rows where looking up takes 2).
pub(super) fn source(runs: Runs) -> String {
    format!(
        "(SELECT greatest(lo, $2 + 1), least(lo + {}, $1)\n      FROM generate_series($3::bigint, $4::bigint, {}) AS run (lo)\n     ) \
         AS {RUN} ({FIRST}, {LAST})",
        // The end of a run is named by its last value: the one after it may be past the end of `bigint`.
        runs.length - 1,
        runs.step
    )
}

/// The condition that selects the rows of the runs, and no others.
pub(super) fn within(target: &Target) -> String {
    let column = target.columns().concat();
    format!("{column} >= {FIRST}\nAND {column} <= {LAST}")
}

/// The condition that selects one stripe among all rows: `((id::bigint >> 1) & 7) = 3`, or the same of a hash; none if there is only one.
///
/// A hash may differ between major versions. A server that was upgraded has another system identifier, and a run does not go on
/// there.
pub(super) fn condition(target: &Target, stripe: Stripe) -> Option<String> {
    let mask = stripe.striping.stripes().get() - 1;
    if mask == 0 {
        return None;
    }
    let columns = target.columns();
    let value = match stripe.striping.by() {
        // As a bigint, because an integer shifted by 32 or more is shifted by 32 less.
        StripeBy::Bits { shift } => format!("({}::bigint >> {shift})", columns.first()?),
        StripeBy::Hash => hash(target),
    };
    Some(format!("({value} & {mask}) = {}", stripe.number))
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
