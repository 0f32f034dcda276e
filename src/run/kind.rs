//! What a run is for.
//!
//! Must not know: what is done to a row.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a run is for. Stored as text in the column `run.kind`; the spelling is part of the control schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// It makes the change of the job.
    #[default]
    Backfill,
    /// It reads what a backfill has made, and compares.
    Verify,
    /// It changes the rows that a verification has found.
    Repair,
    /// It puts back what a backfill has replaced.
    Undo,
}

impl RunKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Backfill, Self::Verify, Self::Repair, Self::Undo];

    /// The spelling in the control schema, in JSON and on the screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backfill => "backfill",
            Self::Verify => "verify",
            Self::Repair => "repair",
            Self::Undo => "undo",
        }
    }

    /// The kind with this spelling, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// What a run of this kind is called.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Backfill => "run",
            Self::Verify => "verification",
            Self::Repair => "repair",
            Self::Undo => "undo",
        }
    }

    /// What has happened to a row that it has counted.
    #[must_use]
    pub const fn counted(self) -> &'static str {
        match self {
            Self::Backfill | Self::Repair => "changed",
            Self::Verify => "compared",
            Self::Undo => "put back",
        }
    }

    /// The command that goes on with it.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::Backfill => "pgbackfill run",
            Self::Verify => "pgbackfill verify",
            Self::Repair => "pgbackfill verify --repair",
            Self::Undo => "pgbackfill undo",
        }
    }
}

impl fmt::Display for RunKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
