//! The states of a run, and the moves between them.
//!
//! Must not know: who asks for a move, where a state is stored.

use std::fmt;

use serde::{Deserialize, Serialize};

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
            // The process that found every range done says so, and no other may.
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

    /// The state with its reason, as one sentence: `blocked: …`; a reason that begins with the state says it
    /// all.
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
