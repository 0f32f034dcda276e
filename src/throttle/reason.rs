//! Why a worker or the process waits: one list of reasons, for people and for the decisions that hang on
//! them.
//!
//! Must not know: how a reason was found out.

use crate::run::Hold;
use crate::signal::Signal;

/// What holds back. Equal as long as it is the same cause, whatever its numbers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A person paused, blocked or cancelled the run.
    Person,
    /// It is outside of the daily window.
    Window,
    /// A signal of the server is over a bound.
    Signal(Signal),
    /// A signal that the job brings along is over its limit, or cannot be read.
    Custom(String),
    /// The signals have not been read for too long.
    Stale,
    /// A signal that a person relies on cannot be read by this role.
    Blind,
    /// A standby that should be connected is not.
    StandbyGone,
    /// The application would feel more.
    Latency,
    /// This process has a share of what all may spend.
    Share,
    /// The application is measured without us for a moment.
    Quiet,
    /// A ceiling that a person set.
    Ceiling,
    /// Another session waited for a batch of ours.
    BlockedSessions,
    /// A batch failed and will be tried again.
    Retry,
    /// The server needs a person: a full disk.
    Disk,
    /// There is no connection.
    Connection,
    /// The last ranges are with other workers.
    Idle,
}

impl Why {
    /// What comes and goes from batch to batch is shown and is no event: ceilings, shares, errors (which are
    /// events of their own).
    #[must_use]
    pub fn is_fleeting(&self) -> bool {
        matches!(self, Self::Ceiling | Self::Share | Self::Quiet | Self::Retry | Self::BlockedSessions)
    }
}

/// What a worker or the process waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The cause.
    pub why: Why,
    /// In words.
    pub text: String,
    /// How it holds back; none: it waits for other workers, which is part of the work.
    pub hold: Option<Hold>,
}

impl Reason {
    /// Something that holds back.
    #[must_use]
    pub fn new(hold: Hold, why: Why, text: impl Into<String>) -> Self {
        Self { why, text: text.into(), hold: Some(hold) }
    }

    /// A wait for other workers.
    #[must_use]
    pub fn idle(text: impl Into<String>) -> Self {
        Self { why: Why::Idle, text: text.into(), hold: None }
    }

    /// Whether nothing can be done meanwhile.
    #[must_use]
    pub fn is_halt(&self) -> bool {
        matches!(self.hold, Some(Hold::Paused | Hold::Blocked))
    }
}
