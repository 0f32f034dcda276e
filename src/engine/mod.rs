//! Runs a job: joins its run, keeps workers at it, and leaves when there is nothing left or the caller says
//! so.
//!
//! Must not know: the terminal, the environment, how events are shown.

mod api;
mod attend;
mod batch;
mod batch_size;
mod blockers;
mod claimed;
mod complete;
mod create;
mod error_policy;
mod exit;
mod follow;
mod heartbeat;
mod inflight;
mod join;
mod lease;
mod leave;
mod part;
mod partitions;
mod passes;
mod proof;
mod quarantine;
mod range_strategy;
mod retry_bad_rows;
mod speed;
mod subject;
mod supervisor;
mod suspects;
mod undo_part;
mod undo_preview;
mod worker;

pub use api::{EngineError, Options, Which, connections_beside};
pub use follow::run;
pub use retry_bad_rows::{Fate, Retried, RetrySummary, retry_bad_rows};
pub use undo_preview::{UndoPreview, preview_undo};
