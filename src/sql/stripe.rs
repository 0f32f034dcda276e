//! The condition that selects one stripe.
//!
//! Must not know: how many stripes are good.

use super::Target;
use crate::key::KeyType;
use crate::stripe::{StripeBy, Striping};

/// One stripe of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripe {
    /// How the range is striped.
    pub striping: Striping,
    /// Which of its stripes, from 0.
    pub number: u32,
}

/// `((id >> 1) & 7) = 3`, or the same of a hash; none if there is only one stripe.
///
/// A hash may differ between major versions. A server that was upgraded has another system identifier, and a run does not go on
/// there.
pub(super) fn condition(target: &Target, stripe: Stripe) -> Option<String> {
    let mask = stripe.striping.stripes().get() - 1;
    let value = match stripe.striping.by() {
        _ if mask == 0 => return None,
        StripeBy::Bits { shift } => format!("({} >> {shift})", target.columns().first()?),
        StripeBy::Hash => hash(target),
    };
    Some(format!("({value} & {mask}) = {}", stripe.number))
}

/// Equal keys have equal hashes under the settings of a batch, which are the same in every process of a run.
fn hash(target: &Target) -> String {
    let columns = target.columns();
    match (columns.as_slice(), target.key.first().map(|column| column.ty)) {
        ([one], Some(KeyType::Uuid)) => format!("uuid_hash_extended({one}, 0)"),
        ([one], Some(KeyType::SmallInt | KeyType::Integer | KeyType::BigInt)) => {
            format!("hashint8extended({one}, 0)")
        }
        ([one], _) => format!("hashtextextended({one}::text COLLATE \"C\", 0)"),
        (many, _) => format!("hashtextextended(concat_ws('|', {}) COLLATE \"C\", 0)", many.join(", ")),
    }
}
