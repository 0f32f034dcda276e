//! Every SQL statement of the project: the fixed ones as `.sql` files, those with a table's or a user's text in them
//! built by pure functions, and the one way to quote a name.
//!
//! Must not know: connections, who runs a statement and when.

mod canary;
mod check;
pub mod fixed;
mod grant;
mod grid;
mod name;
mod review;
mod settings;
mod stripe;
mod target;

pub use canary::{canary, own_signal};
pub use check::{Check, Clause, checks, signal_checks};
pub use grant::{Rights, grants};
pub use grid::{count, grid, max_key, neighbours};
pub use name::{Ident, Qualified};
pub use review::{VALUE, key_at, measured_in_full, reads, sample, volatile};
pub use settings::settings;
pub use stripe::{LOOKING_UP, RUN, Stripe, is_name_of_runs};
pub use target::{
    Change, Target, exists, exists_in, lock, lock_bad_row, measured, settle_bad_row, update, update_one,
};

/// Which bounds of `(after, through]` a statement has parameters for.
///
/// Parameters come in this order: the columns of `through`, then those of `after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// From the first key on: there is no `after`.
    Through,
    /// Both ends.
    AfterAndThrough,
}

impl Bounds {
    /// How many parameters they are for a key of `columns` columns.
    #[must_use]
    pub fn parameters(self, columns: usize) -> usize {
        match self {
            Self::Through => columns,
            Self::AfterAndThrough => 2 * columns,
        }
    }
}
