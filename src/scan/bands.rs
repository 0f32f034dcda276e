//! How a statement finds the rows of one stripe: band by band, or by a condition on every row.
//!
//! Must not know: how many stripes are good.

use crate::key::{KeyColumn, KeyType};
use crate::stripe::{Bands, StripeBy, Striping};

/// One stripe of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripe {
    /// How the range is striped.
    pub striping: Striping,
    /// Which of its stripes, from 0.
    pub number: u32,
}

impl Stripe {
    /// All rows.
    pub const ALL: Self = Self { striping: Striping::WHOLE, number: 0 };
}

/// What the FROM item of bands is called.
pub const BAND: &str = "pgbackfill_band";
const FIRST: &str = "pgbackfill_first";
const LAST: &str = "pgbackfill_last";

/// Whether a table or a column of this name could not be told from the bands.
#[must_use]
pub fn is_name_of_bands(name: &str) -> bool {
    [BAND, FIRST, LAST].contains(&name)
}

/// The FROM item that gives the bands within `($2, $1]`, under names that the table does not have. Parameters
/// after the bounds: where the first band begins, and where the last may.
///
/// The bounds are not conditions on the table: with them the server could read all rows between them and
/// compare each with each band (115 ms for 1,248 rows where looking up takes 2).
pub(super) fn from_item(bands: Bands) -> String {
    format!(
        "(SELECT greatest(lo, $2 + 1), least(lo + {}, $1)\n      FROM generate_series($3::bigint, $4::bigint, {}) AS band (lo)\n     ) \
         AS {BAND} ({FIRST}, {LAST})",
        // The end of a band is named by its last value: the one after it may be past the end of `bigint`.
        bands.length - 1,
        bands.step
    )
}

/// The condition that selects the rows of the bands of this column, and no others.
pub(super) fn within(column: &str) -> String {
    format!("{column} >= {FIRST}\nAND {column} <= {LAST}")
}

/// The condition that selects one stripe among all rows: `((id::bigint >> 1) & 7) = 3`, or the like with a
/// hash of the key; none if there is only one.
///
/// A hash may differ between major versions. A server that was upgraded has another system identifier, and a
/// run does not go on there.
pub(super) fn condition(columns: &[String], key: &[KeyColumn], stripe: Stripe) -> Option<String> {
    let mask = stripe.striping.stripes().get() - 1;
    if mask == 0 {
        return None;
    }
    let value = match stripe.striping.by() {
        // As a bigint, because an integer shifted by 32 or more is shifted by 32 less.
        StripeBy::Bits { shift } => format!("({}::bigint >> {shift})", columns.first()?),
        StripeBy::Hash => hash(columns, key),
    };
    Some(format!("({value} & {mask}) = {}", stripe.number))
}

/// Equal keys have equal hashes under the settings of a batch, which are the same in every process of a run.
fn hash(columns: &[String], key: &[KeyColumn]) -> String {
    match (columns, key.first().map(|column| column.ty)) {
        ([one], Some(KeyType::Uuid)) => format!("uuid_hash_extended({one}, 0)"),
        ([one], Some(ty)) if ty.is_integer() => format!("hashint8extended({one}, 0)"),
        ([one], _) => format!("hashtextextended({one}::text COLLATE \"C\", 0)"),
        (many, _) => format!("hashtextextended(concat_ws('|', {}) COLLATE \"C\", 0)", many.join(", ")),
    }
}
