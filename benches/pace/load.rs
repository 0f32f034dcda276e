//! How much the application does.
//!
//! Must not know: what runs beside it.

use std::fmt;

/// Transactions of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// So many a second.
    PerSecond(u32),
    /// A part of what it reaches alone.
    Percent(u32),
}

impl Load {
    pub(crate) const ALL: [Self; 5] =
        [Self::PerSecond(200), Self::Percent(10), Self::Percent(30), Self::Percent(50), Self::Percent(70)];

    /// Transactions a second.
    pub(crate) fn tps(self, peak_tps: f64) -> f64 {
        match self {
            Self::PerSecond(tps) => f64::from(tps),
            Self::Percent(percent) => peak_tps * f64::from(percent) / 100.0,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerSecond(tps) => f.pad(&format!("{tps}/s")),
            Self::Percent(percent) => f.pad(&format!("{percent} %")),
        }
    }
}
