//! What every statement is made of: the fixed ones as `.sql` files, the locks of a lease, settings, and the
//! one way to quote a name.
//!
//! Must not know: connections, who runs a statement and when.

mod clause;
pub mod ddl;
mod door;
mod fence;
pub mod fixed;
mod gate;
mod name;
mod old_values;
mod probe;
pub mod settings;
mod sync;
mod sync_name;
mod sync_parts;

pub use clause::{as_text, bare, dollar_quote, enclosed, parameters, row};
pub use door::{
    AFTER_ATTEMPT, Attempt, BEFORE_ATTEMPT, END_ALL, LockMode, note_attempt, share_update_exclusive,
};
pub use fence::{bad_row_lock, range_lock};
pub use gate::Gate;
pub use name::{Ident, Qualified, uncut_name};
pub use old_values::{Hashed, KeptColumn, NUMBER, OldValues, ROWS, WRITTEN};
pub use probe::{custom_signal, latency_probe};
pub use settings::literal;
pub use sync::{QUIET, SyncTrigger};
pub use sync_name::{sync_function, sync_triggers};
pub use sync_parts::{SyncSource, SyncTarget, Wins};
