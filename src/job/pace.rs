//! The settings of `[pace]` and `[limits]`: how fast, and how patient. None of them decides the result of a
//! job.
//!
//! Must not know: TOML, flags, which run is live.

use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::guard::check_guard;
use super::settings::{Kind, Settings, unknown_setting};
use super::suggest::did_you_mean;
use super::units::{
    COUNT_MAX, format_bytes, format_duration_ms, parse_bytes, parse_count, parse_duration_ms, parse_positive,
};
use crate::run::{Knobs, Mode};
use crate::signal::Guard;
use crate::window::{Window, WindowError};

/// Workers that one process may have: each holds a connection.
pub const WORKERS: RangeInclusive<u32> = 1..=64;
const BATCH_TIME_MS: RangeInclusive<u32> = 1..=10_000;
const ROWS_PER_BATCH: RangeInclusive<u32> = 1..=1_000_000;
const TIMEOUT_MS: RangeInclusive<u32> = 1..=3_600_000;
const RECONNECT_MS: RangeInclusive<u32> = 1..=86_400_000;
const RETRIES: RangeInclusive<u64> = 0..=1000;
const STALL_MS: RangeInclusive<u32> = 1..=10_000;
const PATIENCE_MS: RangeInclusive<u32> = 1..=604_800_000;

/// Takes a ceiling away.
const NO_CEILING: &str = "none";

/// How fast a job may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Where the knobs stand at the start of a run.
    pub knobs: Knobs,
}

/// How patient a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest wait for a row lock, in milliseconds.
    pub lock_timeout_ms: NonZeroU32,
    /// Longest statement, in milliseconds; none: the engine takes a multiple of the batch time.
    pub statement_timeout_ms: Option<NonZeroU32>,
    /// Failures of one batch in a row before the run blocks.
    pub retries: u32,
    /// How long a process looks for a server that it has lost, in milliseconds.
    pub reconnect_timeout_ms: NonZeroU32,
    /// Rows that may go into the quarantine before the run blocks.
    pub max_bad_rows: u64,
    /// How long a step of expand or contract may keep the application waiting at a time, in milliseconds.
    pub stall_ms: NonZeroU32,
    /// How long a step may wait for its turn, in milliseconds.
    pub patience_ms: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        const LOCK_TIMEOUT_MS: NonZeroU32 = NonZeroU32::new(200).unwrap();
        const RECONNECT_TIMEOUT_MS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();
        const STALL_MS: NonZeroU32 = NonZeroU32::new(200).unwrap();
        const PATIENCE_MS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();
        Self {
            lock_timeout_ms: LOCK_TIMEOUT_MS,
            statement_timeout_ms: None,
            retries: 10,
            reconnect_timeout_ms: RECONNECT_TIMEOUT_MS,
            max_bad_rows: 0,
            stall_ms: STALL_MS,
            patience_ms: PATIENCE_MS,
        }
    }
}

impl Limits {
    /// How long a process looks for a server that it has lost.
    #[must_use]
    pub fn reconnect_timeout(&self) -> Duration {
        Duration::from_millis(self.reconnect_timeout_ms.get().into())
    }
}

impl Settings for Pace {
    const ALL: &'static [(&'static str, Kind)] = &[
        ("mode", Kind::Word),
        ("workers", Kind::Count),
        ("batch_time", Kind::Duration),
        ("min_rows_per_batch", Kind::Count),
        ("max_rows_per_batch", Kind::Count),
        ("max_rows_per_second", Kind::Count),
        ("max_wal_per_second", Kind::Bytes),
        ("window", Kind::Word),
    ];

    fn set(&mut self, setting: &str, value: &str) -> Result<(), String> {
        set_one(&mut self.knobs, setting, value)
    }

    fn written(&self) -> Vec<(&'static str, String)> {
        written_knobs(&self.knobs).into_iter().filter(|(_, value)| value != NO_CEILING).collect()
    }
}

impl Settings for Limits {
    const ALL: &'static [(&'static str, Kind)] = &[
        ("lock_timeout", Kind::Duration),
        ("statement_timeout", Kind::Duration),
        ("retries", Kind::Count),
        ("reconnect_timeout", Kind::Duration),
        ("max_bad_rows", Kind::Count),
        ("stall", Kind::Duration),
        ("patience", Kind::Duration),
    ];

    fn set(&mut self, setting: &str, value: &str) -> Result<(), String> {
        match setting {
            "lock_timeout" => self.lock_timeout_ms = parse_duration_ms(value, &TIMEOUT_MS)?,
            "statement_timeout" => self.statement_timeout_ms = Some(parse_duration_ms(value, &TIMEOUT_MS)?),
            "retries" => self.retries = parse_count(value, &RETRIES)? as u32,
            "reconnect_timeout" => self.reconnect_timeout_ms = parse_duration_ms(value, &RECONNECT_MS)?,
            "max_bad_rows" => self.max_bad_rows = parse_count(value, &(0..=COUNT_MAX))?,
            "stall" => self.stall_ms = parse_duration_ms(value, &STALL_MS)?,
            "patience" => self.patience_ms = parse_duration_ms(value, &PATIENCE_MS)?,
            unknown => return Err(unknown_setting(unknown, Self::names())),
        }
        Ok(())
    }

    fn written(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![("lock_timeout", format_duration_ms(self.lock_timeout_ms))];
        all.extend(self.statement_timeout_ms.map(|ms| ("statement_timeout", format_duration_ms(ms))));
        all.push(("retries", self.retries.to_string()));
        let default = Self::default().reconnect_timeout_ms;
        let timeout = Some(self.reconnect_timeout_ms).filter(|timeout| *timeout != default);
        all.extend(timeout.map(|ms| ("reconnect_timeout", format_duration_ms(ms))));
        all.push(("max_bad_rows", self.max_bad_rows.to_string()));
        let (stall, patience) = (Self::default().stall_ms, Self::default().patience_ms);
        let changed = |value: NonZeroU32, default| (value != default).then(|| format_duration_ms(value));
        all.extend(changed(self.stall_ms, stall).map(|text| ("stall", text)));
        all.extend(changed(self.patience_ms, patience).map(|text| ("patience", text)));
        all
    }
}

/// Sets one of the limits by its name in a job file, `-` for `_` allowed. On an error the limits stay as they
/// were.
pub fn set_limit(limits: &mut Limits, limit: &str, value: &str) -> Result<(), String> {
    let limit = limit.replace('-', "_");
    limits.set(&limit, value).map_err(|why| format!("`{limit}`: {why}"))
}

/// Turns knobs of a live run, each a name and a value: `batch-time` or `batch_time` to `200ms`, a ceiling to
/// a number or `none`. On an error the knobs stay as they were; the error names the knob, the value and an
/// example.
pub fn set_knobs<'a>(
    knobs: &mut Knobs,
    turns: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), String> {
    let mut turned = knobs.clone();
    for (knob, value) in turns {
        let knob = knob.replace('-', "_");
        let turn = if Guard::kind(&knob).is_some() {
            turned.guard.set(&knob, value)
        } else {
            set_one(&mut turned, &knob, value)
        };
        turn.map_err(|why| match Pace::kind(&knob).or(Guard::kind(&knob)) {
            Some(_) => format!("`{knob}`: {why}"),
            None => why,
        })?;
    }
    // Only at the end: on the way from one pair of bounds to another they may contradict each other.
    check_knobs(&turned)?;
    *knobs = turned;
    Ok(())
}

/// Every knob of the pace as a person writes it, in the order of a job file; a ceiling that is not set is
/// `none`.
#[must_use]
pub fn written_knobs(knobs: &Knobs) -> Vec<(&'static str, String)> {
    let ceiling = |value: Option<NonZeroU64>, format: fn(NonZeroU64) -> String| {
        value.map_or_else(|| NO_CEILING.to_owned(), format)
    };
    vec![
        ("mode", knobs.mode.as_str().to_owned()),
        ("workers", knobs.workers.to_string()),
        ("batch_time", format_duration_ms(knobs.batch_time_ms)),
        ("min_rows_per_batch", knobs.min_rows_per_batch.to_string()),
        ("max_rows_per_batch", knobs.max_rows_per_batch.to_string()),
        ("max_rows_per_second", ceiling(knobs.max_rows_per_s, |rows| rows.to_string())),
        ("max_wal_per_second", ceiling(knobs.max_wal_bytes_per_s, format_bytes)),
        ("window", knobs.window.as_ref().map_or_else(|| NO_CEILING.to_owned(), Window::to_string)),
    ]
}

/// What differs in `after`, a knob each, as a person writes it: `workers 2 → 4`.
#[must_use]
pub fn knob_changes(before: &Knobs, after: &Knobs) -> Vec<String> {
    let all = |knobs: &Knobs| written_knobs(knobs).into_iter().chain(knobs.guard.all()).collect::<Vec<_>>();
    all(before)
        .into_iter()
        .zip(all(after))
        .filter(|((_, was), (_, is))| was != is)
        .map(|((knob, was), (_, is))| format!("{knob} {was} → {is}"))
        .collect()
}

/// What no single knob can say: that two of them contradict each other.
pub(super) fn check_knobs(knobs: &Knobs) -> Result<(), String> {
    let (min, max) = (knobs.min_rows_per_batch, knobs.max_rows_per_batch);
    if min > max {
        return Err(format!("min_rows_per_batch is {min}, more than max_rows_per_batch, which is {max}"));
    }
    check_guard(&knobs.guard)
}

fn set_one(knobs: &mut Knobs, knob: &str, value: &str) -> Result<(), String> {
    match knob {
        "mode" => {
            knobs.mode = Mode::parse(value)
                .ok_or_else(|| format!("`{}` is neither `auto` nor `full`", value.escape_debug()))?;
        }
        "workers" => knobs.workers = parse_positive(value, &WORKERS)?,
        "batch_time" => knobs.batch_time_ms = parse_duration_ms(value, &BATCH_TIME_MS)?,
        "min_rows_per_batch" => knobs.min_rows_per_batch = parse_positive(value, &ROWS_PER_BATCH)?,
        "max_rows_per_batch" => knobs.max_rows_per_batch = parse_positive(value, &ROWS_PER_BATCH)?,
        "max_rows_per_second" => knobs.max_rows_per_s = ceiling(value, parse_rows_per_s)?,
        "max_wal_per_second" => knobs.max_wal_bytes_per_s = ceiling(value, parse_bytes)?,
        "window" => knobs.window = if value == NO_CEILING { None } else { Some(window(value)?) },
        unknown => {
            return Err(unknown_setting(unknown, Pace::names().chain(Guard::names())));
        }
    }
    Ok(())
}

fn window(value: &str) -> Result<Window, String> {
    value.parse().map_err(|why| match &why {
        WindowError::Zone(zone) => {
            let zones = Window::zones();
            match did_you_mean(zone, zones.iter().map(String::as_str)) {
                Some(near) => format!("{why}, did you mean `{near}`?"),
                None => why.to_string(),
            }
        }
        _ => why.to_string(),
    })
}

type ParseCeiling = fn(&str) -> Result<NonZeroU64, String>;

fn ceiling(value: &str, parse: ParseCeiling) -> Result<Option<NonZeroU64>, String> {
    if value == NO_CEILING {
        return Ok(None);
    }
    parse(value).map(Some)
}

fn parse_rows_per_s(text: &str) -> Result<NonZeroU64, String> {
    let rows = parse_count(text, &(1..=COUNT_MAX))?;
    NonZeroU64::new(rows).ok_or_else(|| format!("`{text}` is not at least 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_knob_is_set_by_either_spelling() {
        let mut knobs = Knobs::default();
        set_knobs(&mut knobs, [("batch-time", "200ms"), ("max_rows_per_second", "1000")]).unwrap();
        assert_eq!(knobs.batch_time_ms.get(), 200);
        set_knobs(&mut knobs, [("max-rows-per-second", "none")]).unwrap();
        assert_eq!(knobs.max_rows_per_s, None);
    }

    #[test]
    fn a_refused_setting_leaves_the_knobs_as_they_were() {
        let mut knobs = Knobs::default();
        let why = set_knobs(&mut knobs, [("workers", "9"), ("min-rows-per-batch", "60000")]).unwrap_err();
        insta::assert_snapshot!(why, @"min_rows_per_batch is 60000, more than max_rows_per_batch, which is 50000");
        assert_eq!(knobs, Knobs::default());
    }

    #[test]
    fn bounds_that_pass_each_other_on_the_way_are_no_contradiction() {
        let mut knobs = Knobs::default();
        set_knobs(&mut knobs, [("min-rows-per-batch", "60000"), ("max-rows-per-batch", "100000")]).unwrap();
        assert_eq!((knobs.min_rows_per_batch.get(), knobs.max_rows_per_batch.get()), (60_000, 100_000));
    }

    #[test]
    fn a_value_that_is_none_names_its_knob() {
        let why = set_knobs(&mut Knobs::default(), [("batch-time", "100")]).unwrap_err();
        insta::assert_snapshot!(why, @"`batch_time`: `100` is not a duration such as `200ms` or `5s`");
    }

    #[test]
    fn what_changed_is_told_as_it_would_be_written() {
        let before = Knobs::default();
        let mut after = before.clone();
        let turns = [("batch-time", "1s"), ("max-wal-per-second", "16MiB"), ("workers", "4")];
        set_knobs(&mut after, turns).unwrap();
        let told = knob_changes(&before, &after).join(", ");
        insta::assert_snapshot!(told, @"workers 2 → 4, batch_time 100ms → 1s, max_wal_per_second none → 16MiB");
        assert!(knob_changes(&before, &before).is_empty());
    }

    #[test]
    fn a_window_is_turned_like_any_knob_and_taken_away_again() {
        let mut knobs = Knobs::default();
        set_knobs(&mut knobs, [("window", "22:00-06:00 Europe/Berlin")]).unwrap();
        assert_eq!(
            knobs.window.as_ref().map(Window::to_string).as_deref(),
            Some("22:00-06:00 Europe/Berlin")
        );
        let why = set_knobs(&mut knobs, [("window", "22:00-06:00 Europe/Berlim")]).unwrap_err();
        insta::assert_snapshot!(why, @"`window`: `Europe/Berlim` is not a time zone such as `Europe/Berlin`, did you mean `Europe/Berlin`?");
        set_knobs(&mut knobs, [("window", "none")]).unwrap();
        assert_eq!(knobs.window, None);
    }

    #[test]
    fn an_unknown_knob_names_the_nearest() {
        let why = set_knobs(&mut Knobs::default(), [("wokers", "2")]).unwrap_err();
        insta::assert_snapshot!(why, @"unknown setting `wokers`, did you mean `workers`?");
    }

    #[test]
    fn every_setting_that_is_written_is_one_that_is_known() {
        let names: Vec<_> = Limits::default().written().into_iter().map(|(name, _)| name).collect();
        assert!(names.iter().all(|name| Limits::kind(name).is_some()));
        let names: Vec<_> = Pace::default().written().into_iter().map(|(name, _)| name).collect();
        assert!(names.iter().all(|name| Pace::kind(name).is_some()));
    }
}
