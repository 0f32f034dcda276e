//! The settings of `[guard]`: what slows a run down and what stops it, and the signals that a job brings
//! along.
//!
//! Must not know: how a signal is read, which run is live.

use std::ops::RangeInclusive;

use super::settings::{Kind, Settings, unknown_setting};
use super::units::{
    COUNT_MAX, format_bytes, format_duration_ms, parse_bytes, parse_count, parse_duration_ms,
};
use crate::signal::{Bounds, Guard, Signal, Unit};

/// Takes a bound away.
const OFF: &str = "off";
const TIME_MS: RangeInclusive<u32> = 1..=7 * 86_400_000;
const WAITED_MS: RangeInclusive<u32> = 10..=60_000;
const ADDED_MS: RangeInclusive<u32> = 1..=10_000;
const DEADLINE_MS: RangeInclusive<u32> = 6_000..=600_000;

/// A signal of the job's own: a query that gives one number, and the number that stops the run.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomSignal {
    /// How it is called in reasons.
    pub name: String,
    /// A query of one row and one column that is a number.
    pub query: String,
    /// The run stops while the number is larger.
    pub limit: f64,
}

/// Which of a signal's two bounds a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Slow,
    Stop,
}

/// `replica_lag_stop` as a signal and a side.
fn bound(setting: &str) -> Option<(Signal, Side)> {
    let (name, side) = setting.rsplit_once('_')?;
    let side = match side {
        "slow" => Side::Slow,
        "stop" => Side::Stop,
        _ => return None,
    };
    Some((Signal::ALL.into_iter().find(|signal| signal.as_str() == name)?, side))
}

impl Settings for Guard {
    const ALL: &'static [(&'static str, Kind)] = &[
        ("replica_lag_slow", Kind::Duration),
        ("replica_lag_stop", Kind::Duration),
        ("standbys", Kind::Names),
        ("slot_wal_slow", Kind::Bytes),
        ("slot_wal_stop", Kind::Bytes),
        ("archive_backlog_slow", Kind::CountOrOff),
        ("archive_backlog_stop", Kind::CountOrOff),
        ("old_snapshot_slow", Kind::Duration),
        ("old_snapshot_stop", Kind::Duration),
        ("dead_rows_slow", Kind::CountOrOff),
        ("dead_rows_stop", Kind::CountOrOff),
        ("maintenance_slow", Kind::Duration),
        ("maintenance_stop", Kind::Duration),
        ("ddl_waiting_slow", Kind::Duration),
        ("ddl_waiting_stop", Kind::Duration),
        ("active_sessions_slow", Kind::CountOrOff),
        ("active_sessions_stop", Kind::CountOrOff),
        ("wal_fill_slow", Kind::CountOrOff),
        ("wal_fill_stop", Kind::CountOrOff),
        ("blocked_sessions", Kind::Duration),
        ("added_latency", Kind::Duration),
        ("deadline", Kind::Duration),
    ];

    fn set(&mut self, setting: &str, value: &str) -> Result<(), String> {
        if let Some((signal, side)) = bound(setting) {
            return self.set_bound(signal, side, value);
        }
        match setting {
            "standbys" => self.standbys = Some(names(value)),
            "blocked_sessions" => self.blocked_sessions_ms = time_or_off(value, &WAITED_MS)?,
            "added_latency" => self.added_latency_ms = parse_duration_ms(value, &ADDED_MS)?.get(),
            "deadline" => self.deadline_ms = parse_duration_ms(value, &DEADLINE_MS)?.get(),
            unknown => return Err(unknown_setting(unknown, Self::names())),
        }
        Ok(())
    }

    /// What differs from the usual.
    fn written(&self) -> Vec<(&'static str, String)> {
        let usual = Self::default();
        Self::names()
            .filter_map(|name| Some((name, self.value(name)?)))
            .filter(|(name, value)| usual.value(name).as_ref() != Some(value))
            .collect()
    }
}

impl Guard {
    fn set_bound(&mut self, signal: Signal, side: Side, value: &str) -> Result<(), String> {
        let mut bounds = self.bounds(signal);
        let bound = parse_bound(signal.unit(), value)?;
        match side {
            Side::Slow => bounds.slow = bound,
            Side::Stop => bounds.stop = bound,
        }
        // What is usual is not written down, so that a job is the same however its file says so.
        if bounds == signal.usual() {
            self.bounds.remove(&signal);
        } else {
            self.bounds.insert(signal, bounds);
        }
        Ok(())
    }

    /// A setting as a person writes it; none for a list that was not written.
    fn value(&self, setting: &str) -> Option<String> {
        if let Some((signal, side)) = bound(setting) {
            let Bounds { slow, stop } = self.bounds(signal);
            let bound = if side == Side::Slow { slow } else { stop };
            return Some(bound.map_or_else(|| OFF.to_owned(), |bound| written_bound(signal.unit(), bound)));
        }
        match setting {
            "standbys" => self.standbys.as_ref().map(|names| names.join(", ")),
            "blocked_sessions" => Some(
                self.blocked_sessions_ms
                    .map_or_else(|| OFF.to_owned(), |ms| written_bound(Unit::Time, ms.into())),
            ),
            "added_latency" => Some(written_bound(Unit::Time, self.added_latency_ms.into())),
            "deadline" => Some(written_bound(Unit::Time, self.deadline_ms.into())),
            _ => None,
        }
    }

    /// Every setting as a person writes it, for a comparison.
    pub(super) fn all(&self) -> Vec<(&'static str, String)> {
        Self::names()
            .map(|name| (name, self.value(name).unwrap_or_else(|| "all that are seen".to_owned())))
            .collect()
    }
}

/// What no single setting can say: that a signal stops before it slows.
pub(super) fn check_guard(guard: &Guard) -> Result<(), String> {
    for signal in Signal::ALL {
        if let Bounds { slow: Some(slow), stop: Some(stop) } = guard.bounds(signal)
            && slow > stop
        {
            let (name, unit) = (signal.as_str(), signal.unit());
            let (slow, stop) = (written_bound(unit, slow), written_bound(unit, stop));
            return Err(format!("{name}_slow is {slow}, more than {name}_stop, which is {stop}"));
        }
    }
    Ok(())
}

fn parse_bound(unit: Unit, value: &str) -> Result<Option<u64>, String> {
    if value == OFF {
        return Ok(None);
    }
    match unit {
        // The one bound that makes sense at nothing: as soon as there is any.
        Unit::Time if value == "0s" || value == "0ms" => Ok(Some(0)),
        Unit::Time => Ok(Some(parse_duration_ms(value, &TIME_MS)?.get().into())),
        Unit::Bytes => Ok(Some(parse_bytes(value)?.get())),
        Unit::Count => Ok(Some(parse_count(value, &(0..=COUNT_MAX))?)),
    }
}

fn written_bound(unit: Unit, bound: u64) -> String {
    let ms = u32::try_from(bound).ok().and_then(|ms| ms.try_into().ok());
    match unit {
        Unit::Time => ms.map_or_else(|| "0s".to_owned(), format_duration_ms),
        Unit::Bytes => bound.try_into().map_or_else(|_| "0".to_owned(), format_bytes),
        Unit::Count => bound.to_string(),
    }
}

fn time_or_off(value: &str, allowed: &RangeInclusive<u32>) -> Result<Option<u32>, String> {
    if value == OFF { Ok(None) } else { parse_duration_ms(value, allowed).map(|ms| Some(ms.get())) }
}

/// `r1, r2`; an empty list is one: then no standby is waited for.
fn names(value: &str) -> Vec<String> {
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_is_set_to_what_is_usual_is_no_other_job() {
        let mut guard = Guard::default();
        guard.set("dead_rows_stop", "off").unwrap();
        assert_eq!(guard, Guard::default());
    }

    #[test]
    fn a_bound_is_set_by_the_name_of_its_signal_and_its_side() {
        let mut guard = Guard::default();
        guard.set("replica_lag_stop", "5s").unwrap();
        guard.set("slot_wal_slow", "off").unwrap();
        assert_eq!(guard.bounds(Signal::ReplicaLag), Bounds { slow: Some(500), stop: Some(5000) });
        assert_eq!(guard.bounds(Signal::SlotWal), Bounds { slow: None, stop: Some(16 << 30) });
    }

    #[test]
    fn only_what_differs_from_the_usual_is_written_and_it_is_read_back() {
        let mut guard = Guard::default();
        assert_eq!(guard.written(), []);
        let set = [
            ("standbys", "r1, r2"),
            ("dead_rows_slow", "off"),
            ("deadline", "20s"),
            ("ddl_waiting_stop", "3s"),
        ];
        for (setting, value) in set {
            guard.set(setting, value).unwrap();
        }
        let mut read = Guard::default();
        for (setting, value) in guard.written() {
            read.set(setting, &value).unwrap();
        }
        assert_eq!(guard.written().len(), set.len());
        assert_eq!(read.written(), guard.written());
    }

    #[test]
    fn every_setting_has_a_value_to_show() {
        let shown = Guard::default().all();
        assert_eq!(shown.len(), Guard::ALL.len());
        assert!(shown.iter().all(|(_, value)| !value.is_empty()), "{shown:?}");
        assert_eq!(shown[0], ("replica_lag_slow", "500ms".to_owned()));
        assert_eq!(shown[2].1, "all that are seen");
    }

    #[test]
    fn every_signal_has_both_of_its_settings() {
        for signal in Signal::ALL {
            for side in ["slow", "stop"] {
                let name = format!("{}_{side}", signal.as_str());
                assert!(Guard::kind(&name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn a_signal_that_stops_before_it_slows_is_refused() {
        let mut guard = Guard::default();
        guard.set("replica_lag_slow", "5s").unwrap();
        insta::assert_snapshot!(check_guard(&guard).unwrap_err(), @"replica_lag_slow is 5s, more than replica_lag_stop, which is 1s");
    }
}
