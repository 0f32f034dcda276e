//! The names of what keeps the columns of a job in step.
//!
//! Must not know: what it does.

use super::{Ident, Qualified};

/// NAMEDATALEN - 1.
const NAME_BYTES_MAX: usize = 63;

/// A name that tells the job and is not cut by the server. A job's name has characters of one byte.
fn named(prefix: &str, job: &str) -> Ident {
    let mut name = format!("{prefix}{job}");
    if name.len() > NAME_BYTES_MAX {
        // Two long names that differ at their ends stay two.
        let sum = job.bytes().fold(5_381_u64, |sum, byte| sum.wrapping_mul(33) ^ u64::from(byte));
        name = format!("{prefix}{}_{sum:016x}", &job[..NAME_BYTES_MAX - prefix.len() - 17]);
    }
    Ident(name)
}

pub(super) fn ours(prefix: &str, job: &str) -> Qualified {
    Qualified { schema: Ident("pgbackfill".to_owned()), name: named(prefix, job) }
}

/// The function of a job's trigger.
#[must_use]
pub fn sync_function(job: &str) -> Qualified {
    ours("sync_", job)
}

/// Its triggers, which fire after all others: those of a kind fire in the order of their names.
#[must_use]
pub fn sync_triggers(job: &str) -> [Ident; 2] {
    [named("zz_pgbackfill_insert_", job), named("zz_pgbackfill_update_", job)]
}
