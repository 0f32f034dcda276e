//! The control schema: what is stored of runs, leaves, ranges, processes and events, and the moves between their states.
//!
//! Functions that end in `_in_txn` take an open transaction and never open one.
//!
//! Must not know: batches' contents, pace, who watches.

use std::time::Duration;

mod bad_row;
mod guard;
mod leaf;
mod process;
mod range;
mod run;
mod schema;

pub use bad_row::{
    BadKey, BadRow, BadRowFence, bad_row_again_in_txn, bad_row_fence, bad_row_in_txn, bad_rows,
    bad_rows_count, bad_rows_hold_in_txn, drop_bad_row_in_txn, is_bad_row, next_bad_rows,
};
pub use guard::{
    Blocked, GUARD_ANSWER_MAX, Lead, Led, Published, Quiet, Read, blocked_by, guard_now, leave_guard,
    read_guard,
};
pub use leaf::{
    LeafNo, OpenLeaf, StoredLeaf, add_leaf_in_txn, leaves, move_frontier_in_txn, next_leaf_in_txn,
};
pub use process::{Beat, Orders, Process, Told, beat, leave, live};
pub use range::{
    Checkpoint, Claim, Counters, Fence, Hint, NewRange, Ordered, Position, RangeState, add_range_in_txn,
    claim, fence, keep, latest_order, open_work, release, rest,
};
pub use run::{
    Listed, NewRun, Past, Run, StoreError, Totals, Turn, adopt_pace_in_txn, create_in_txn, history, latest,
    list, lock_in_txn, lock_table_in_txn, move_in_txn, note, request, totals, turn_knobs_in_txn,
};
pub use schema::{SCHEMA_VERSION, SchemaError, ensure, installed, up_to_date};

/// How long a process may be silent before it no longer counts, in seconds. It beats twice a second.
pub const SILENCE_S_MAX: f64 = 3.0;

/// Version of the protocol between processes of one run. Two binaries may share a run only if they agree on it.
pub const PROTOCOL: i32 = 1;

/// Settings of a quick change that nobody misses if a crash takes it back: it is soon made again, or another one in its place.
const PASSING: &str = "SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '10s'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// Settings of a quick change that has to last.
const LASTING: &str = "SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '10s'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// The same `statement_timeout`, and the way there and back.
const ANSWER_MAX: Duration = Duration::from_secs(12);
