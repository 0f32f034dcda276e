//! The ways to run a backfill beside an application.
//!
//! Must not know: the application.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::load::Load;

/// Ceilings of the grid, in rows per second.
const RATES: [u32; 5] = [10_000, 20_000, 40_000, 80_000, 160_000];
/// Rows per batch of the grid; none: as many as take the usual time.
const BATCHES: [Option<u32>; 3] = [Some(500), Some(2_000), None];

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
    /// So many workers with batches of so many rows under a ceiling, which somebody would have to know.
    Fixed { workers: u32, batch: Option<u32>, rate: Option<u32> },
    /// As fast as it can until a replica is a second behind: what others do.
    StopAndGo,
    /// The controller, with what may be added in milliseconds, or as it is by default.
    Auto { added_ms: Option<u32> },
}

impl Arm {
    /// As it is by default.
    pub(crate) const AUTO: Self = Self::Auto { added_ms: None };

    /// Those that are compared every time.
    pub(crate) fn some() -> Vec<Self> {
        let fixed = |workers, batch, rate| Self::Fixed { workers, batch, rate };
        vec![
            Self::Nothing,
            Self::Full,
            Self::StopAndGo,
            fixed(1, Some(500), None),
            fixed(1, Some(2_000), None),
            fixed(2, Some(2_000), None),
            fixed(2, None, Some(40_000)),
            Self::AUTO,
            Self::Auto { added_ms: Some(1) },
        ]
    }

    /// Whether it is compared at this load.
    pub(crate) fn is_for(self, load: Load) -> bool {
        !matches!(self, Self::Auto { added_ms: Some(_) }) || load == Load::PerSecond(200)
    }

    /// All of them.
    pub(crate) fn grid() -> Vec<Self> {
        let rates = || std::iter::once(None).chain(RATES.into_iter().map(Some));
        let of = |workers| {
            BATCHES
                .into_iter()
                .flat_map(move |batch| rates().map(move |rate| Self::Fixed { workers, batch, rate }))
        };
        [Self::Nothing].into_iter().chain(of(1)).chain(of(2)).chain([Self::AUTO]).collect()
    }

    /// The job file; none: there is no backfill.
    pub(crate) fn job(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Full => Some(format!("{SET}[pace]\nmode = 'full'\n{UNGUARDED}")),
            Self::Fixed { workers, batch, rate } => {
                let batch = batch.map(|rows| format!("max_rows_per_batch = {rows}\n")).unwrap_or_default();
                let rate = rate.map(|rate| format!("max_rows_per_second = {rate}\n")).unwrap_or_default();
                Some(format!("{SET}[pace]\nmode = 'full'\nworkers = {workers}\n{batch}{rate}{UNGUARDED}"))
            }
            Self::StopAndGo => Some(format!("{SET}[pace]\nmode = 'full'\n{STOPPED_BY_LAG}")),
            // A standby on the same cores holds back whatever obeys its lag.
            Self::Auto { added_ms } => {
                let added = added_ms.map(|ms| format!("added_latency = '{ms}ms'\n")).unwrap_or_default();
                Some(format!("{SET}{UNGUARDED}{added}"))
            }
        }
    }
}

/// Nothing but the heartbeat, the guard and what it measures: the window of the run is closed.
pub(crate) fn outside_its_window() -> String {
    let now = Timestamp::now().to_zoned(TimeZone::UTC).time();
    let in_hours = |hours: i64| now.wrapping_add(Span::new().hours(hours)).strftime("%H:%M").to_string();
    format!("{SET}[pace]\nwindow = '{}-{} UTC'\n", in_hours(2), in_hours(3))
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.pad("nothing"),
            Self::Full => f.pad("full"),
            Self::Fixed { workers, batch, rate } => {
                let batch = batch.map(|rows| format!(" × {rows}")).unwrap_or_default();
                let rate = rate.map(|rate| format!(", {} k/s", rate / 1000)).unwrap_or_default();
                f.pad(&format!("{workers}{batch}{rate}"))
            }
            Self::StopAndGo => f.pad("stop/go on lag"),
            Self::Auto { added_ms: None } => f.pad("auto"),
            Self::Auto { added_ms: Some(ms) } => f.pad(&format!("auto, {ms} ms")),
        }
    }
}
