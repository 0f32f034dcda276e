//! What the engine tells those who watch it: plain facts, in the order in which they happened.
//!
//! Must not know: who listens, how it is shown.

use serde::Serialize;

use crate::run::{Hold, Knobs, RangeNo, RunId, RunState, Times};

/// Version of the JSON form of [`Event`]. It grows when a field changes its meaning or goes; a new field or a new
/// event does not change it, so a reader must pass over what it does not know.
pub const SCHEMA_VERSION: u32 = 1;

/// How this process came to the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// It created the run.
    Started,
    /// The run was there with live workers; this process helps.
    Joined,
    /// The run was there without anybody; this process goes on from its checkpoint.
    Resumed,
}

/// One fact about a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// This process is part of the run from now on.
    Entered {
        /// The run.
        run: RunId,
        /// The job's name.
        job: String,
        /// The target table, as PostgreSQL would quote it.
        table: String,
        /// How this process came to it.
        entry: Entry,
        /// The knobs in force.
        knobs: Knobs,
    },
    /// A range was planned and claimed.
    RangePlanned {
        /// Which range.
        range: RangeNo,
        /// The leaf table it belongs to.
        table: String,
        /// Its stripes: 1 is key order.
        stripes: u32,
        /// Why so many.
        why: String,
    },
    /// One batch was committed together with its checkpoint.
    BatchCommitted {
        /// Which worker of this process, from 0.
        worker: u32,
        /// The range it belongs to.
        range: RangeNo,
        /// Rows the UPDATE changed.
        rows_changed: u64,
        /// Rows of the key that the batch passed, changed or not.
        rows_passed: u64,
        /// From BEGIN to the answer to COMMIT, in microseconds.
        micros: u64,
        /// Bytes by which the batch made the WAL grow; known only while a WAL ceiling is set.
        wal_bytes: Option<u64>,
    },
    /// The last batch of a range was committed.
    RangeDone {
        /// Which range.
        range: RangeNo,
    },
    /// A batch failed and will be tried again.
    Retrying {
        /// Which worker of this process, from 0; none for the control connection.
        worker: Option<u32>,
        /// Five characters, where the server gave one.
        sqlstate: Option<String>,
        /// What the server or the connection said.
        message: String,
        /// Pause before the next attempt, in milliseconds.
        wait_ms: u64,
    },
    /// A row was put into the quarantine.
    BadRow {
        /// The key's columns as text.
        key: Vec<String>,
        /// Five characters.
        sqlstate: String,
        /// What the server said.
        message: String,
    },
    /// The run's state changed, by anyone.
    StateChanged {
        /// The state from now on.
        state: RunState,
        /// Why, in words; none while it is running.
        reason: Option<String>,
    },
    /// Someone turned a knob.
    KnobsChanged {
        /// The knobs from now on.
        knobs: Knobs,
    },
    /// The state of the whole run, over all processes, about twice a second.
    Progress(Progress),
    /// This process is held back from now on, or for another reason than before.
    Held {
        /// How.
        hold: Hold,
        /// Why, in words.
        reason: String,
    },
    /// This process works as it can again.
    Released {
        /// How it was held back.
        hold: Hold,
        /// For how long, in milliseconds.
        held_ms: u64,
    },
    /// Something that a person should know and that stops nothing.
    Notice {
        /// One sentence.
        message: String,
    },
    /// This process leaves the run. Always the last event.
    Left(Summary),
}

/// The whole run at one moment, over all processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Rows that the run's UPDATEs changed.
    pub rows_changed: u64,
    /// Rows of the key that are behind the cursors, changed or not.
    pub rows_passed: u64,
    /// Rows of the key in all: from the server's statistics, so an estimate.
    pub rows_total: u64,
    /// Ranges done.
    pub ranges_done: u64,
    /// Ranges planned and not yet done.
    pub ranges_open: u64,
    /// Rows in the quarantine.
    pub bad_rows: u64,
    /// Workers seen alive in the last seconds, over all processes.
    pub workers: u32,
    /// Processes seen alive in the last seconds.
    pub processes: u32,
    /// What this process is waiting for, if it is waiting: `paused by ada@host at 03:10:04 UTC`, `the rate ceiling of
    /// 1000 rows/s`, ….
    pub waiting: Option<String>,
    /// How this process is held back, if it is.
    pub hold: Option<Hold>,
    /// For how long it has been, in milliseconds.
    pub held_ms: Option<u64>,
    /// What the workers of all processes, those that have left among them, spent their time on.
    pub times: Times,
    /// True while nothing may be done at all (paused, blocked, no connection): such time does not count for the ETA.
    pub halted: bool,
}

/// Why this process left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every range is done, and no row is in the quarantine.
    Complete,
    /// Every range is done; some rows are in the quarantine.
    CompleteWithBadRows,
    /// The run was complete before we came.
    AlreadyComplete,
    /// A signal, or the wish of the caller.
    Stopped,
    /// `--max-rows` was reached.
    MaxRows,
    /// A person cancelled the run.
    Cancelled,
    /// The run needs a person.
    Blocked,
}

/// The last word about one process's part in a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The run.
    pub run: RunId,
    /// The job's name.
    pub job: String,
    /// Why this process left.
    pub outcome: Outcome,
    /// The reason in words, where there is one.
    pub reason: Option<String>,
    /// Rows changed by this process.
    pub rows_changed_here: u64,
    /// Batches committed by this process.
    pub batches_here: u64,
    /// Batches of this process that were tried again.
    pub retries_here: u64,
    /// Time this process was part of the run, in milliseconds.
    pub elapsed_ms: u64,
    /// Of it, time in which nothing might be done (paused, no connection), in milliseconds.
    pub halted_ms: u64,
    /// The whole run when this process left.
    pub progress: Progress,
}
