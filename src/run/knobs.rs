//! The knobs of a run: what a person may set while it is live.
//!
//! Must not know: how they are written in a job file.

use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

use crate::signal::Guard;
use crate::window::Window;

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
