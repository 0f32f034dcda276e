//! The control schema: what is stored of runs, leaves, ranges, processes and events, and the moves between
//! their states.
//!
//! Functions that end in `_in_txn` take an open transaction and never open one.
//!
//! Must not know: batches' contents, pace, who watches.

use std::time::Duration;

mod bad_row;
mod guard;
mod leaf;
mod listed;
mod others;
mod process;
mod proof;
mod range;
mod run;
mod schema;
mod step;
mod undo;
mod verification;
mod waiters;

pub use bad_row::{
    BadKey, BadRow, BadRowFence, add_bad_row_in_txn, bad_row_again_in_txn, bad_rows, bad_rows_count,
    bad_rows_of_leaf_in_txn, drop_bad_row_in_txn, forget_bad_rows_in_txn, has_bad_row_in_txn, is_bad_row,
    lock_and_count_bad_rows_in_txn, lock_bad_row, next_bad_rows, settle_bad_row_in_txn,
};
pub use guard::{Lead, Learned, Led, Published, QuietTime, Read, guard_now, leave_guard, read_guard};
pub use leaf::{
    Again, LeafNo, LockedLeaf, OpenLeaf, PassedLeaf, StoredLeaf, Swept, add_leaf_in_txn, end_sweeps_in_txn,
    extend_leaf_in_txn, leaf_bounds, leaves, lock_leaf_in_txn, move_frontier_in_txn, next_leaf_in_txn,
    passed_leaves_in_txn, walk_again_in_txn,
};
pub use listed::{Listed, Recorded, history, list};
pub use others::{OthersSeen, others_seen};
pub use process::{Assignment, Beat, Heard, Process, beat, leave, live};
pub use proof::{Proof, lock_proof_in_txn, note_proof_in_txn, proof};
pub use range::{
    Checkpoint, Claim, Fence, Hint, NewRange, Position, RangeCounters, RangeState, StripesNow,
    add_range_in_txn, claim, keep, latest_stripes, lock_range, open_work, release, rest,
};
pub use run::{
    Ask, NewRun, Run, StoreError, adopt_pace_in_txn, create_in_txn, current, latest, lock_in_txn,
    lock_table_in_txn, move_in_txn, note, request, set_knobs_in_txn, totals,
};
pub use schema::{SCHEMA_VERSION, SchemaError, ensure, installed, up_to_date};
pub use step::{
    STEP_SILENCE_S_MAX, StepClaim, StoredStep, ask_for_way, claim_step, job_state, note_step, run_in_state_s,
    step_is_done, step_is_undone, steps, was_in_step,
};
pub use undo::{
    KeptValues, Later, Left, drop_old_values, forget_key, is_undone, keep_old_values_in_txn, kept_values,
    key_of_job, later_backfills, left_by_undo, settle_in_txn,
};
pub use verification::{
    Looked, NewVerification, Suspect, Verification, WrongRow, add_suspects_in_txn, begin_repair_in_txn,
    begin_verification_in_txn, end_verification_in_txn, next_suspect, pending_suspects, settle_suspect,
    unverified, verification, wrong_rows,
};
pub use waiters::{Waiter, Waiters};

/// How long a process may be silent before it no longer counts, in seconds. It beats twice a second.
pub const SILENCE_S_MAX: f64 = 3.0;

/// Version of the protocol between processes of one run. Two binaries may share a run only if they agree on
/// it.
pub const PROTOCOL: i32 = 1;

/// The longest wait for the answer to a quick change: its `statement_timeout`, and the way there and back.
const ANSWER_MAX: Duration = Duration::from_secs(12);
