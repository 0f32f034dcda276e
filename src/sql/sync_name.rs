//! The names of what keeps the columns of a job in step.
//!
//! Must not know: what it does.

use super::{Ident, Qualified, uncut_name};

pub(super) fn ours(prefix: &str, job: &str) -> Qualified {
    Qualified { schema: Ident("pgbackfill".to_owned()), name: Ident(uncut_name(prefix, job, "")) }
}

/// The function of a job's trigger.
#[must_use]
pub fn sync_function(job: &str) -> Qualified {
    ours("sync_", job)
}

/// Its triggers, which fire after all others: those of a kind fire in the order of their names.
#[must_use]
pub fn sync_triggers(job: &str) -> [Ident; 2] {
    ["zz_pgbackfill_insert_", "zz_pgbackfill_update_"].map(|start| Ident(uncut_name(start, job, "")))
}
