//! What a run is: its ids, its states and the legal moves between them, and the knobs a person may turn while
//! it is live.
//!
//! Must not know: tokio, PostgreSQL, the terminal.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::human;
use crate::signal::Guard;
use crate::window::Window;

/// Number of a run, unique in one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub i64);

/// Number of a range within its run, in the order of planning, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RangeNo(pub i64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RangeNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a run stands. Stored as text in the column `run.state`; the spelling is part of the control schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Workers may claim.
    Running,
    /// A person stopped it for a while; processes stay connected and wait.
    Paused,
    /// Something needs a person (the reason says what); processes leave.
    Blocked,
    /// A person ended it; the checkpoint stays, so it can still be resumed.
    Cancelled,
    /// Every range is done.
    Complete,
}

/// What can happen to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// `pgbackfill pause`.
    Pause,
    /// `pgbackfill resume`, or `run` on a blocked run.
    Resume,
    /// A process met an error that no retry can mend.
    Block,
    /// `pgbackfill cancel`, or a new run that takes this one's place.
    Cancel,
    /// The last range was done.
    Complete,
}

/// A move that the state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {from} cannot {asked}")]
pub struct IllegalMove {
    /// The state found.
    pub from: RunState,
    /// The move asked for.
    pub asked: Move,
}

impl RunState {
    /// Every state, in the order in which a person meets them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Paused, Self::Blocked, Self::Cancelled, Self::Complete];

    /// The state after `asked`, or why there is none. Total: every pair is decided here.
    pub fn step(self, asked: Move) -> Result<Self, IllegalMove> {
        use RunState::{Blocked, Cancelled, Complete, Paused, Running};
        Ok(match (self, asked) {
            // Someone on call wants the database to be left alone.
            (Running, Move::Pause) => Paused,
            // The same person, or the next shift, lets it go on from its checkpoint.
            (Paused | Blocked | Cancelled, Move::Resume) => Running,
            // An error came that would come again; a paused run can meet it in the batch that was in hand.
            (Running | Paused, Move::Block) => Blocked,
            // A person ends it; whatever was committed stays.
            (Running | Paused | Blocked, Move::Cancel) => Cancelled,
            // The process that found every range done says so, and nobody else may.
            (Running, Move::Complete) => Complete,
            (from, asked) => return Err(IllegalMove { from, asked }),
        })
    }

    /// The spelling in the control schema, in JSON and on the screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
            Self::Cancelled => "cancelled",
            Self::Complete => "complete",
        }
    }

    /// The state with its reason, as one sentence: `blocked: …`; a reason that begins with the state says it all.
    #[must_use]
    pub fn sentence(self, reason: Option<&str>) -> String {
        match reason {
            Some(reason) if reason.starts_with(self.as_str()) => reason.to_owned(),
            Some(reason) => format!("{self}: {reason}"),
            None => self.to_string(),
        }
    }

    /// The state with this spelling, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "be paused",
            Self::Resume => "be resumed",
            Self::Block => "be blocked",
            Self::Cancel => "be cancelled",
            Self::Complete => "become complete",
        })
    }
}

/// How somebody is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Slower than it could be: a ceiling, or what the application feels.
    Throttled,
    /// Not at all for the moment: a person, the guard, the time of day.
    Paused,
    /// It would, and cannot: a lock of somebody else, an error that is tried again, no connection.
    Blocked,
}

impl Hold {
    /// As a person reads it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
        }
    }

    /// `paused 3 min 02 s: replica r1 is 4.2 s behind, limit 1.0 s`; a reason that begins with the word says it all.
    #[must_use]
    pub fn sentence(self, held: Duration, reason: &str) -> String {
        let time = if held < Duration::from_secs(1) { String::new() } else { human::duration(held) };
        match (reason.starts_with(self.as_str()), time.is_empty()) {
            (true, true) => reason.to_owned(),
            (true, false) => format!("{reason} ({time})"),
            (false, true) => format!("{}: {reason}", self.as_str()),
            (false, false) => format!("{} {time}: {reason}", self.as_str()),
        }
    }

    /// The hold with this spelling, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Throttled, Self::Paused, Self::Blocked].into_iter().find(|hold| hold.as_str() == text)
    }
}

/// What time went into, in milliseconds of workers: two workers spend two seconds in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// At work, or about to be.
    pub working_ms: u64,
    /// Held back by the pace.
    pub throttled_ms: u64,
    /// Paused.
    pub paused_ms: u64,
    /// Wanting to work, and unable to.
    pub blocked_ms: u64,
}

impl Times {
    /// `6 min 40 s working, 20 s throttled, 6 min 00 s paused, 0 ms blocked`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let told = [
            (self.working_ms, "working"),
            (self.throttled_ms, "throttled"),
            (self.paused_ms, "paused"),
            (self.blocked_ms, "blocked"),
        ];
        let told = told.map(|(ms, what)| format!("{} {what}", human::elapsed(Duration::from_millis(ms))));
        told.join(", ")
    }

    /// True if something other than work took a second or more.
    #[must_use]
    pub fn was_held(&self) -> bool {
        self.throttled_ms + self.paused_ms + self.blocked_ms >= 1000
    }
}

/// What a person may change while the run is live. They decide how fast, never what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knobs {
    /// Workers in each process.
    pub workers: NonZeroU32,
    /// How long one batch should take, in milliseconds.
    pub batch_time_ms: NonZeroU32,
    /// A batch never gets smaller than this many rows of the key, unless a single row is at fault.
    pub min_rows_per_batch: NonZeroU32,
    /// A batch never gets larger than this many rows of the key.
    pub max_rows_per_batch: NonZeroU32,
    /// Ceiling for changed rows per second, over all processes of the run.
    pub max_rows_per_s: Option<NonZeroU64>,
    /// Ceiling for bytes of WAL per second, over all processes of the run.
    pub max_wal_bytes_per_s: Option<NonZeroU64>,
    /// Who decides how fast, below the ceilings.
    #[serde(default)]
    pub mode: Mode,
    /// What slows down and what stops.
    #[serde(default)]
    pub guard: Guard,
    /// When anything may be done, every day; none: always.
    #[serde(default)]
    pub window: Option<Window>,
}

/// Who decides how fast: the controller under the ceilings, or the ceilings alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The controller watches what the application feels and makes way for it.
    #[default]
    Auto,
    /// As fast as the ceilings allow. What the guard stops, it stops here, too.
    Full,
}

impl Mode {
    /// The spelling in a job file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Full => "full",
        }
    }

    /// The mode with this spelling, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Auto, Self::Full].into_iter().find(|mode| mode.as_str() == text)
    }
}

impl Default for Knobs {
    fn default() -> Self {
        const fn n(value: u32) -> NonZeroU32 {
            match NonZeroU32::new(value) {
                Some(value) => value,
                None => NonZeroU32::MIN,
            }
        }
        Self {
            workers: n(2),
            batch_time_ms: n(100),
            min_rows_per_batch: n(1),
            max_rows_per_batch: n(50_000),
            max_rows_per_s: None,
            max_wal_bytes_per_s: None,
            mode: Mode::Auto,
            guard: Guard::default(),
            window: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_read_back_as_it_is_written() {
        for state in RunState::ALL {
            assert_eq!(RunState::parse(state.as_str()), Some(state));
        }
        assert_eq!(RunState::parse("done"), None);
    }

    #[test]
    fn a_hold_says_how_for_how_long_and_why() {
        let time = Duration::from_secs(182);
        let lag = "replica r1 is 4.2 s behind, limit 1.0 s";
        insta::assert_snapshot!(Hold::Paused.sentence(time, lag), @"paused 3 min 02 s: replica r1 is 4.2 s behind, limit 1.0 s");
        insta::assert_snapshot!(Hold::Paused.sentence(time, "paused by ada@db1"), @"paused by ada@db1 (3 min 02 s)");
        insta::assert_snapshot!(Hold::Blocked.sentence(Duration::ZERO, "no connection"), @"blocked: no connection");
    }

    #[test]
    fn times_are_told_in_the_order_of_their_worth() {
        let times = Times { working_ms: 400_000, throttled_ms: 20_000, paused_ms: 360_000, blocked_ms: 0 };
        insta::assert_snapshot!(times.sentence(), @"6 min 40 s working, 20.0 s throttled, 6 min 00 s paused, 0 ms blocked");
    }

    #[test]
    fn a_complete_run_never_moves_again() {
        for asked in [Move::Pause, Move::Resume, Move::Block, Move::Cancel, Move::Complete] {
            assert_eq!(RunState::Complete.step(asked), Err(IllegalMove { from: RunState::Complete, asked }));
        }
    }

    #[test]
    fn only_a_running_run_becomes_complete() {
        let able: Vec<_> = RunState::ALL.into_iter().filter(|s| s.step(Move::Complete).is_ok()).collect();
        assert_eq!(able, [RunState::Running]);
    }

    #[test]
    fn a_cancelled_run_keeps_its_checkpoint_and_can_be_resumed() {
        assert_eq!(RunState::Cancelled.step(Move::Resume), Ok(RunState::Running));
    }

    #[test]
    fn a_reason_that_begins_with_its_state_does_not_say_it_twice() {
        assert_eq!(RunState::Paused.sentence(Some("paused by ada@db1")), "paused by ada@db1");
        assert_eq!(RunState::Blocked.sentence(Some("disk full")), "blocked: disk full");
        assert_eq!(RunState::Running.sentence(None), "running");
    }

    #[test]
    fn an_illegal_move_reads_as_a_sentence() {
        let error = RunState::Complete.step(Move::Pause).unwrap_err();
        assert_eq!(error.to_string(), "a run that is complete cannot be paused");
    }
}
