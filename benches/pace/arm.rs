//! The ways to run a backfill beside an application.
//!
//! Must not know: the application.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Ceilings of the grid, in rows per second.
const RATES: [u32; 5] = [5_000, 10_000, 20_000, 40_000, 80_000];

const SET: &str = "table = 'orders'\nset.filled = 'filled + 1'\n";
/// What the harness compares must not be held by the guard.
const UNGUARDED: &str = "[guard]\nreplica_lag_slow = 'off'\nreplica_lag_stop = 'off'\nwal_fill_slow = 'off'\nmaintenance_slow = 'off'\n";
/// The same, but for a replica that is too late: what others do goes on at full speed until then, and not at
/// all from then on.
const STOPPED_BY_LAG: &str =
    "[guard]\nreplica_lag_slow = 'off'\nwal_fill_slow = 'off'\nmaintenance_slow = 'off'\n";

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arm {
    /// The application alone.
    Nothing,
    /// As fast as it can.
    Full,
    /// A ceiling, which somebody would have to know.
    Rate(u32),
    /// As fast as it can until a replica is a second behind: what others do.
    StopAndGo,
    /// The controller.
    Auto,
}

impl Arm {
    pub(crate) fn all() -> Vec<Self> {
        let rates = RATES.into_iter().map(Self::Rate);
        [Self::Nothing, Self::Full, Self::StopAndGo].into_iter().chain(rates).chain([Self::Auto]).collect()
    }

    /// The job file.
    pub(crate) fn job(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Full => Some(format!("{SET}[pace]\nmode = 'full'\n{UNGUARDED}")),
            Self::Rate(rate) => {
                Some(format!("{SET}[pace]\nmode = 'full'\nmax_rows_per_second = {rate}\n{UNGUARDED}"))
            }
            Self::StopAndGo => Some(format!("{SET}[pace]\nmode = 'full'\n{STOPPED_BY_LAG}")),
            Self::Auto => Some(auto()),
        }
    }
}

/// As it is by default.
pub(crate) fn auto() -> String {
    SET.to_owned()
}

/// Nothing but the heartbeat, the guard and its latency probes: the window of the run is closed.
pub(crate) fn floor() -> String {
    let now = Timestamp::now().to_zoned(TimeZone::UTC).time();
    let in_hours = |hours: i64| now.wrapping_add(Span::new().hours(hours)).strftime("%H:%M").to_string();
    format!("{SET}[pace]\nwindow = '{}-{} UTC'\n", in_hours(2), in_hours(3))
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.pad("nothing"),
            Self::Full => f.pad("full"),
            Self::Rate(rate) => f.pad(&format!("{rate} rows/s")),
            Self::StopAndGo => f.pad("stop/go on lag"),
            Self::Auto => f.pad("auto"),
        }
    }
}
