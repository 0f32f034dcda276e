//! What the engine tells those who watch it: plain facts, in the order in which they happened.
//!
//! Must not know: who listens, how it is shown.

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::run::{Hold, Knobs, RangeNo, RunId, RunKind, RunState, Totals};

/// Version of the JSON form of [`Event`]. It grows when a field changes its meaning or goes; a new field or a
/// new event does not change it, so a reader must pass over what it does not know.
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
        /// What it is for.
        kind: RunKind,
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
        /// Which worker of this process, from 0; none for the process itself, which looks for the new
        /// primary.
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
    /// This process leaves the run. The last event.
    Left(Summary),
    /// This process could not take part in the run, or not to its end. The last event, in the place of
    /// [`Event::Left`].
    Failed {
        /// Why, and what to do about it.
        message: String,
    },
}

impl Event {
    /// True of the last event of a process.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Left(_) | Self::Failed { .. })
    }
}

/// An event with its time and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// When it happened, by this host's clock.
    pub at: Timestamp,
    /// The database of the run.
    pub database: String,
    /// The run; none: the process has not joined one.
    pub run: Option<RunId>,
    /// What happened.
    pub event: Event,
}

/// Where events go. Sending never waits, and it is no error if none listens.
#[derive(Clone, Debug)]
pub struct Emitter {
    sender: mpsc::UnboundedSender<Told>,
    database: String,
    run: Option<RunId>,
}

/// An emitter for runs of this database, and what receives its events.
#[must_use]
pub fn channel(database: &str) -> (Emitter, mpsc::UnboundedReceiver<Told>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Emitter { sender, database: database.to_owned(), run: None }, receiver)
}

impl Emitter {
    /// An emitter for events of this run.
    #[must_use]
    pub fn of_run(&self, run: RunId) -> Self {
        Self { run: Some(run), ..self.clone() }
    }

    /// Tells what happened now.
    pub fn emit(&self, event: Event) {
        match &event {
            Event::Progress(_) => tracing::trace!(?event, "progress"),
            Event::BatchCommitted { worker, range, rows_changed, micros, .. } => {
                tracing::debug!(worker, %range, rows_changed, micros, "batch committed");
            }
            other => tracing::info!(event = ?other, run = self.run.map(|run| run.0), "event"),
        }
        let told = Told { at: Timestamp::now(), database: self.database.clone(), run: self.run, event };
        let _ = self.sender.send(told);
    }

    /// Tells a person something that stops nothing.
    pub fn notice(&self, message: impl Into<String>) {
        self.emit(Event::Notice { message: message.into() });
    }
}

/// The whole run at one moment, over all processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// What the run is for.
    pub kind: RunKind,
    /// Its counters.
    #[serde(flatten)]
    pub totals: Totals,
    /// Workers seen alive in the last seconds, over all processes.
    pub workers: u32,
    /// Processes seen alive in the last seconds.
    pub processes: u32,
    /// What this process is waiting for, if it is waiting: `paused by ada@host at 03:10:04 UTC`, `held at
    /// max_rows_per_second = 1000`, ….
    pub waiting: Option<String>,
    /// How this process is held back, if it is.
    pub hold: Option<Hold>,
    /// For how long it has been, in milliseconds.
    pub held_ms: Option<u64>,
    /// Changed rows per second, over all processes, in the last seconds.
    pub rows_per_s: f64,
    /// Seconds until every row is passed at the present speed; none where that says nothing.
    pub eta_s: Option<u64>,
    /// True while nothing may be done at all (paused, blocked, no connection).
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
