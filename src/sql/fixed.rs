//! The fixed statements, each a file beside this one.
//!
//! Must not know: who runs them.

/// `bad_row_again.sql`
pub const BAD_ROW_AGAIN: &str = include_str!("bad_row_again.sql");
/// `bad_row_count.sql`
pub const BAD_ROW_COUNT: &str = include_str!("bad_row_count.sql");
/// `bad_row_delete.sql`
pub const BAD_ROW_DELETE: &str = include_str!("bad_row_delete.sql");
/// `bad_row_exists.sql`
pub const BAD_ROW_EXISTS: &str = include_str!("bad_row_exists.sql");
/// `bad_row_forget.sql`
pub const BAD_ROW_FORGET: &str = include_str!("bad_row_forget.sql");
/// `bad_row_insert.sql`
pub const BAD_ROW_INSERT: &str = include_str!("bad_row_insert.sql");
/// `bad_row_leaf.sql`
pub const BAD_ROW_LEAF: &str = include_str!("bad_row_leaf.sql");
/// `bad_row_list.sql`
pub const BAD_ROW_LIST: &str = include_str!("bad_row_list.sql");
/// `bad_row_lock.sql`
pub const BAD_ROW_LOCK: &str = include_str!("bad_row_lock.sql");
/// `bad_row_next.sql`
pub const BAD_ROW_NEXT: &str = include_str!("bad_row_next.sql");
/// `bad_row_settle.sql`
pub const BAD_ROW_SETTLE: &str = include_str!("bad_row_settle.sql");
/// `blocked_by.sql`
pub const BLOCKED_BY: &str = include_str!("blocked_by.sql");
/// `door_facts.sql`
pub const DOOR_FACTS: &str = include_str!("door_facts.sql");
/// `door_look.sql`
pub const DOOR_LOOK: &str = include_str!("door_look.sql");
/// `door_replayed.sql`
pub const DOOR_REPLAYED: &str = include_str!("door_replayed.sql");
/// `door_unlimited.sql`
pub const DOOR_UNLIMITED: &str = include_str!("door_unlimited.sql");
/// `event_insert.sql`
pub const EVENT_INSERT: &str = include_str!("event_insert.sql");
/// `event_list.sql`
pub const EVENT_LIST: &str = include_str!("event_list.sql");
/// `forget_key.sql`
pub const FORGET_KEY: &str = include_str!("forget_key.sql");
/// `guard_leave.sql`
pub const GUARD_LEAVE: &str = include_str!("guard_leave.sql");
/// `guard_now.sql`
pub const GUARD_NOW: &str = include_str!("guard_now.sql");
/// `guard_read.sql`
pub const GUARD_READ: &str = include_str!("guard_read.sql");
/// `heap_facts.sql`
pub const HEAP_FACTS: &str = include_str!("heap_facts.sql");
/// `horizon.sql`
pub const HORIZON: &str = include_str!("horizon.sql");
/// `identity.sql`
pub const IDENTITY: &str = include_str!("identity.sql");
/// `job_state.sql`
pub const JOB_STATE: &str = include_str!("job_state.sql");
/// `job_unverified.sql`
pub const JOB_UNVERIFIED: &str = include_str!("job_unverified.sql");
/// `leaf_again.sql`
pub const LEAF_AGAIN: &str = include_str!("leaf_again.sql");
/// `leaf_all.sql`
pub const LEAF_ALL: &str = include_str!("leaf_all.sql");
/// `leaf_bounds.sql`
pub const LEAF_BOUNDS: &str = include_str!("leaf_bounds.sql");
/// `leaf_extend.sql`
pub const LEAF_EXTEND: &str = include_str!("leaf_extend.sql");
/// `leaf_frontier.sql`
pub const LEAF_FRONTIER: &str = include_str!("leaf_frontier.sql");
/// `leaf_insert.sql`
pub const LEAF_INSERT: &str = include_str!("leaf_insert.sql");
/// `leaf_lock.sql`
pub const LEAF_LOCK: &str = include_str!("leaf_lock.sql");
/// `leaf_next.sql`
pub const LEAF_NEXT: &str = include_str!("leaf_next.sql");
/// `leaf_passed.sql`
pub const LEAF_PASSED: &str = include_str!("leaf_passed.sql");
/// `leaf_swept.sql`
pub const LEAF_SWEPT: &str = include_str!("leaf_swept.sql");
/// `leaves.sql`
pub const LEAVES: &str = include_str!("leaves.sql");
/// `order_facts.sql`
pub const ORDER_FACTS: &str = include_str!("order_facts.sql");
/// `others_seen.sql`
pub const OTHERS_SEEN: &str = include_str!("others_seen.sql");
/// `process_beat.sql`
pub const PROCESS_BEAT: &str = include_str!("process_beat.sql");
/// `process_leave.sql`
pub const PROCESS_LEAVE: &str = include_str!("process_leave.sql");
/// `process_live.sql`
pub const PROCESS_LIVE: &str = include_str!("process_live.sql");
/// `proof_lock.sql`
pub const PROOF_LOCK: &str = include_str!("proof_lock.sql");
/// `range_checkpoint.sql`
pub const RANGE_CHECKPOINT: &str = include_str!("range_checkpoint.sql");
/// `range_claim.sql`
pub const RANGE_CLAIM: &str = include_str!("range_claim.sql");
/// `range_close.sql`
pub const RANGE_CLOSE: &str = include_str!("range_close.sql");
/// `range_hint.sql`
pub const RANGE_HINT: &str = include_str!("range_hint.sql");
/// `range_insert.sql`
pub const RANGE_INSERT: &str = include_str!("range_insert.sql");
/// `range_latest.sql`
pub const RANGE_LATEST: &str = include_str!("range_latest.sql");
/// `range_lock.sql`
pub const RANGE_LOCK: &str = include_str!("range_lock.sql");
/// `range_open_count.sql`
pub const RANGE_OPEN_COUNT: &str = include_str!("range_open_count.sql");
/// `relation_bytes.sql`
pub const RELATION_BYTES: &str = include_str!("relation_bytes.sql");
/// `repair_insert.sql`
pub const REPAIR_INSERT: &str = include_str!("repair_insert.sql");
/// `review_reads.sql`
pub const REVIEW_READS: &str = include_str!("review_reads.sql");
/// `review_server.sql`
pub const REVIEW_SERVER: &str = include_str!("review_server.sql");
/// `review_table.sql`
pub const REVIEW_TABLE: &str = include_str!("review_table.sql");
/// `row_changes.sql`
pub const ROW_CHANGES: &str = include_str!("row_changes.sql");
/// `run_complete_since.sql`
pub const RUN_COMPLETE_SINCE: &str = include_str!("run_complete_since.sql");
/// `run_forget.sql`
pub const RUN_FORGET: &str = include_str!("run_forget.sql");
/// `run_hold.sql`
pub const RUN_HOLD: &str = include_str!("run_hold.sql");
/// `run_insert.sql`
pub const RUN_INSERT: &str = include_str!("run_insert.sql");
/// `run_keeps.sql`
pub const RUN_KEEPS: &str = include_str!("run_keeps.sql");
/// `run_knobs.sql`
pub const RUN_KNOBS: &str = include_str!("run_knobs.sql");
/// `run_latest.sql`
pub const RUN_LATEST: &str = include_str!("run_latest.sql");
/// `run_list.sql`
pub const RUN_LIST: &str = include_str!("run_list.sql");
/// `run_lock.sql`
pub const RUN_LOCK: &str = include_str!("run_lock.sql");
/// `run_pace.sql`
pub const RUN_PACE: &str = include_str!("run_pace.sql");
/// `run_proof.sql`
pub const RUN_PROOF: &str = include_str!("run_proof.sql");
/// `run_proven.sql`
pub const RUN_PROVEN: &str = include_str!("run_proven.sql");
/// `run_settle.sql`
pub const RUN_SETTLE: &str = include_str!("run_settle.sql");
/// `run_state.sql`
pub const RUN_STATE: &str = include_str!("run_state.sql");
/// `run_table_lock.sql`
pub const RUN_TABLE_LOCK: &str = include_str!("run_table_lock.sql");
/// `run_totals.sql`
pub const RUN_TOTALS: &str = include_str!("run_totals.sql");
/// `run_undone.sql`
pub const RUN_UNDONE: &str = include_str!("run_undone.sql");
/// `schema_create.sql`
pub const SCHEMA_CREATE: &str = include_str!("schema_create.sql");
/// `server.sql`
pub const SERVER: &str = include_str!("server.sql");
/// `session_kind.sql`
pub const SESSION_KIND: &str = include_str!("session_kind.sql");
/// `step_aside.sql`
pub const STEP_ASIDE: &str = include_str!("step_aside.sql");
/// `step_check.sql`
pub const STEP_CHECK: &str = include_str!("step_check.sql");
/// `step_claim.sql`
pub const STEP_CLAIM: &str = include_str!("step_claim.sql");
/// `step_columns.sql`
pub const STEP_COLUMNS: &str = include_str!("step_columns.sql");
/// `step_copy.sql`
pub const STEP_COPY: &str = include_str!("step_copy.sql");
/// `step_dependants.sql`
pub const STEP_DEPENDANTS: &str = include_str!("step_dependants.sql");
/// `step_done.sql`
pub const STEP_DONE: &str = include_str!("step_done.sql");
/// `step_foreign.sql`
pub const STEP_FOREIGN: &str = include_str!("step_foreign.sql");
/// `step_held.sql`
pub const STEP_HELD: &str = include_str!("step_held.sql");
/// `step_index.sql`
pub const STEP_INDEX: &str = include_str!("step_index.sql");
/// `step_indexes.sql`
pub const STEP_INDEXES: &str = include_str!("step_indexes.sql");
/// `step_list.sql`
pub const STEP_LIST: &str = include_str!("step_list.sql");
/// `step_not_null.sql`
pub const STEP_NOT_NULL: &str = include_str!("step_not_null.sql");
/// `step_note.sql`
pub const STEP_NOTE: &str = include_str!("step_note.sql");
/// `step_progress.sql`
pub const STEP_PROGRESS: &str = include_str!("step_progress.sql");
/// `step_reads.sql`
pub const STEP_READS: &str = include_str!("step_reads.sql");
/// `step_since.sql`
pub const STEP_SINCE: &str = include_str!("step_since.sql");
/// `step_swap.sql`
pub const STEP_SWAP: &str = include_str!("step_swap.sql");
/// `step_sync.sql`
pub const STEP_SYNC: &str = include_str!("step_sync.sql");
/// `step_tree.sql`
pub const STEP_TREE: &str = include_str!("step_tree.sql");
/// `step_type.sql`
pub const STEP_TYPE: &str = include_str!("step_type.sql");
/// `step_undone.sql`
pub const STEP_UNDONE: &str = include_str!("step_undone.sql");
/// `suspect_add.sql`
pub const SUSPECT_ADD: &str = include_str!("suspect_add.sql");
/// `suspect_list.sql`
pub const SUSPECT_LIST: &str = include_str!("suspect_list.sql");
/// `suspect_next.sql`
pub const SUSPECT_NEXT: &str = include_str!("suspect_next.sql");
/// `suspect_pending.sql`
pub const SUSPECT_PENDING: &str = include_str!("suspect_pending.sql");
/// `suspect_settle.sql`
pub const SUSPECT_SETTLE: &str = include_str!("suspect_settle.sql");
/// `table_columns.sql`
pub const TABLE_COLUMNS: &str = include_str!("table_columns.sql");
/// `table_find.sql`
pub const TABLE_FIND: &str = include_str!("table_find.sql");
/// `table_keys.sql`
pub const TABLE_KEYS: &str = include_str!("table_keys.sql");
/// `table_names.sql`
pub const TABLE_NAMES: &str = include_str!("table_names.sql");
/// `transaction_end.sql`
pub const TRANSACTION_END: &str = include_str!("transaction_end.sql");
/// `transaction_mark.sql`
pub const TRANSACTION_MARK: &str = include_str!("transaction_mark.sql");
/// `transaction_timeout_off.sql`
pub const TRANSACTION_TIMEOUT_OFF: &str = include_str!("transaction_timeout_off.sql");
/// `undo_arrays.sql`
pub const UNDO_ARRAYS: &str = include_str!("undo_arrays.sql");
/// `undo_compression.sql`
pub const UNDO_COMPRESSION: &str = include_str!("undo_compression.sql");
/// `undo_kept.sql`
pub const UNDO_KEPT: &str = include_str!("undo_kept.sql");
/// `undo_later.sql`
pub const UNDO_LATER: &str = include_str!("undo_later.sql");
/// `undo_left.sql`
pub const UNDO_LEFT: &str = include_str!("undo_left.sql");
/// `undo_writers.sql`
pub const UNDO_WRITERS: &str = include_str!("undo_writers.sql");
/// `verification_end.sql`
pub const VERIFICATION_END: &str = include_str!("verification_end.sql");
/// `verification_insert.sql`
pub const VERIFICATION_INSERT: &str = include_str!("verification_insert.sql");
/// `verification_latest.sql`
pub const VERIFICATION_LATEST: &str = include_str!("verification_latest.sql");
/// `version_add.sql`
pub const VERSION_ADD: &str = include_str!("version_add.sql");
/// `version_found.sql`
pub const VERSION_FOUND: &str = include_str!("version_found.sql");
/// `version_lock.sql`
pub const VERSION_LOCK: &str = include_str!("version_lock.sql");
/// `version_max.sql`
pub const VERSION_MAX: &str = include_str!("version_max.sql");

/// The steps of the control schema: step `n` leads to version `n`. Only ever appended to.
pub const SCHEMA_STEPS: [&str; 14] = [
    include_str!("schema/001_control_schema.sql"),
    include_str!("schema/002_assert_complete.sql"),
    include_str!("schema/003_stripes.sql"),
    include_str!("schema/004_done_has_cursor.sql"),
    include_str!("schema/005_range_why.sql"),
    include_str!("schema/006_guard.sql"),
    include_str!("schema/007_retries.sql"),
    include_str!("schema/008_range_and_speed.sql"),
    include_str!("schema/009_pace.sql"),
    include_str!("schema/010_heap.sql"),
    include_str!("schema/011_state.sql"),
    include_str!("schema/012_step.sql"),
    include_str!("schema/013_verify.sql"),
    include_str!("schema/014_undo.sql"),
];
