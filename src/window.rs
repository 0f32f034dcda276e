//! A daily window: from one time of day to another, in a time zone, over midnight if it likes.
//!
//! The zones come with the program, so that it means the same on every host. Where a clock is put forward
//! over one of the times, the window opens or closes at that moment; a time that a clock shows twice counts
//! when it is shown first.
//!
//! Must not know: what is done in it; a clock: the caller says when.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// `22:00-06:00 Europe/Berlin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    opens: Time,
    closes: Time,
    zone: TimeZone,
    text: String,
}

/// Where a moment lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In the window, which closes then.
    Open {
        /// When it closes.
        until: Timestamp,
    },
    /// Outside of it; it opens then.
    Closed {
        /// When it opens.
        until: Timestamp,
    },
}

/// Why a text is no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// It is written otherwise.
    #[error("`{0}` is not a window such as `22:00-06:00 Europe/Berlin`")]
    Form(String),
    /// It is closed all day, or open all day.
    #[error("`{0}` begins and ends at the same time; leave it out to work all day")]
    Empty(String),
    /// The zone is not known.
    #[error("`{0}` is not a time zone such as `Europe/Berlin`")]
    Zone(String),
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let form = || WindowError::Form(text.escape_debug().to_string());
        let mut words = text.split_whitespace();
        let (opens, closes) = words.next().and_then(|times| times.split_once('-')).ok_or_else(form)?;
        let zone = words.next().unwrap_or("UTC");
        if words.next().is_some() {
            return Err(form());
        }
        let (opens, closes) = (time(opens).ok_or_else(form)?, end(closes).ok_or_else(form)?);
        if opens == closes {
            return Err(WindowError::Empty(text.to_owned()));
        }
        let zone = TimeZoneDatabase::bundled()
            .get(zone)
            .map_err(|_| WindowError::Zone(zone.escape_debug().to_string()))?;
        let name = zone.iana_name().unwrap_or("UTC");
        let until = if closes == Time::midnight() {
            "24:00".to_owned()
        } else {
            closes.strftime("%H:%M").to_string()
        };
        let text = format!("{}-{until} {name}", opens.strftime("%H:%M"));
        Ok(Self { opens, closes, zone, text })
    }
}

/// `22:00`, and nothing shorter, because `2:00-6` would be guessed at.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two = |digits: &str| (digits.len() == 2).then(|| digits.parse::<i8>().ok()).flatten();
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

/// The end of a day can be written as one.
fn end(text: &str) -> Option<Time> {
    if text == "24:00" { Some(Time::midnight()) } else { time(text) }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.text
    }
}

impl TryFrom<String> for Window {
    type Error = WindowError;

    fn try_from(text: String) -> Result<Self, WindowError> {
        text.parse()
    }
}

impl Window {
    /// The names of all time zones.
    #[must_use]
    pub fn zones() -> Vec<String> {
        TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect()
    }

    /// How long it is open on a day on which no clock is changed, in seconds.
    #[must_use]
    pub fn open_s(&self) -> f64 {
        self.closes.duration_since(self.opens).as_secs().rem_euclid(86_400) as f64
    }

    /// Where a moment lies. At the end of time it is closed for good.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        let today = now.to_zoned(self.zone.clone()).date();
        // Yesterday's may still be open; a day later one opens, whatever a clock does in between.
        for days in -1..=2 {
            let Some((from, until)) = self.of(today, days.days()) else { continue };
            if now < from {
                return Standing::Closed { until: from };
            }
            if now < until {
                return Standing::Open { until };
            }
        }
        Standing::Closed { until: Timestamp::MAX }
    }

    /// The window that opens on a day; none where a clock is put forward over the whole of it.
    fn of(&self, today: Date, days: Span) -> Option<(Timestamp, Timestamp)> {
        let day = today.checked_add(days).ok()?;
        let last = if self.closes <= self.opens { day.tomorrow().ok()? } else { day };
        let window = (self.moment(day, self.opens)?, self.moment(last, self.closes)?);
        (window.0 < window.1).then_some(window)
    }

    /// When the clock shows this time for the first time, or jumps over it.
    fn moment(&self, day: Date, time: Time) -> Option<Timestamp> {
        let civil = self.zone.to_ambiguous_timestamp(day.to_datetime(time));
        match civil.offset() {
            AmbiguousOffset::Gap { .. } => {
                let after = civil.compatible().ok()?;
                self.zone.preceding(after + 1.second()).next().map(|jump| jump.timestamp())
            }
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => civil.earlier().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(text: &str) -> Window {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn standing(text: &str, now: &str) -> Standing {
        window(text).standing(at(now))
    }

    #[test]
    fn a_window_over_midnight_is_open_on_both_sides_of_it() {
        let berlin = "22:00-06:00 Europe/Berlin";
        // Winter: one hour ahead of UTC.
        let until = at("2026-01-16T05:00:00Z");
        assert_eq!(standing(berlin, "2026-01-15T21:00:00Z"), Standing::Open { until });
        assert_eq!(standing(berlin, "2026-01-16T04:59:59Z"), Standing::Open { until });
        let next = at("2026-01-16T21:00:00Z");
        assert_eq!(standing(berlin, "2026-01-16T05:00:00Z"), Standing::Closed { until: next });
    }

    #[test]
    fn a_window_within_a_day_opens_once_a_day() {
        let day = "09:00-17:30";
        let opens = at("2026-03-02T09:00:00Z");
        assert_eq!(standing(day, "2026-03-01T17:30:00Z"), Standing::Closed { until: opens });
        assert_eq!(
            standing(day, "2026-03-02T09:00:00Z"),
            Standing::Open { until: at("2026-03-02T17:30:00Z") }
        );
    }

    #[test]
    fn in_summer_the_same_times_of_day_are_other_moments() {
        let berlin = "22:00-06:00 Europe/Berlin";
        assert_eq!(
            standing(berlin, "2026-07-15T20:00:00Z"),
            Standing::Open { until: at("2026-07-16T04:00:00Z") }
        );
        // The night in which the clock is put forward is an hour shorter: from 21:00 to 04:00 UTC.
        assert_eq!(
            standing(berlin, "2026-03-28T21:00:00Z"),
            Standing::Open { until: at("2026-03-29T04:00:00Z") }
        );
        // The one in which it is put back is an hour longer: from 20:00 to 05:00 UTC.
        assert_eq!(
            standing(berlin, "2026-10-24T20:00:00Z"),
            Standing::Open { until: at("2026-10-25T05:00:00Z") }
        );
    }

    #[test]
    fn a_time_that_does_not_exist_is_the_moment_of_the_jump() {
        // At 01:00 UTC the clock goes from 02:00 to 03:00.
        let jump = at("2026-03-29T01:00:00Z");
        assert_eq!(
            standing("00:00-02:30 Europe/Berlin", "2026-03-29T00:00:00Z"),
            Standing::Open { until: jump }
        );
        let closed = standing("02:30-05:00 Europe/Berlin", "2026-03-29T00:59:59Z");
        assert_eq!(closed, Standing::Closed { until: jump });
        // A window of which the clock shows nothing is left out for that day.
        let next = standing("02:10-02:40 Europe/Berlin", "2026-03-29T00:30:00Z");
        assert_eq!(next, Standing::Closed { until: at("2026-03-30T00:10:00Z") });
    }

    #[test]
    fn a_time_that_exists_twice_is_the_first_of_the_two() {
        // At 01:00 UTC the clock goes from 03:00 back to 02:00, so 02:30 is at 00:30 and at 01:30 UTC.
        let first = at("2026-10-25T00:30:00Z");
        assert_eq!(
            standing("00:00-02:30 Europe/Berlin", "2026-10-25T00:00:00Z"),
            Standing::Open { until: first }
        );
        assert_eq!(
            standing("02:30-05:00 Europe/Berlin", "2026-10-25T00:00:00Z"),
            Standing::Closed { until: first }
        );
    }

    #[test]
    fn a_window_knows_how_long_it_is_open() {
        let open_min = |text| (window(text).open_s() / 60.0) as u64;
        assert_eq!(["22:00-06:00", "09:00-17:30", "20:00-24:00"].map(open_min), [480, 510, 240]);
    }

    #[test]
    fn the_end_of_a_day_can_be_written_as_one() {
        assert_eq!(
            standing("20:00-24:00", "2026-01-01T23:59:59Z"),
            Standing::Open { until: at("2026-01-02T00:00:00Z") }
        );
        assert_eq!(window("20:00-24:00").to_string(), "20:00-24:00 UTC");
        assert!("00:00-24:00".parse::<Window>().is_err(), "all day is no window");
    }

    #[test]
    fn what_is_no_window_says_what_one_looks_like() {
        let why = |text: &str| text.parse::<Window>().unwrap_err().to_string();
        insta::assert_snapshot!(why("22-6"), @"`22-6` is not a window such as `22:00-06:00 Europe/Berlin`");
        insta::assert_snapshot!(why("22:00-25:00"), @"`22:00-25:00` is not a window such as `22:00-06:00 Europe/Berlin`");
        insta::assert_snapshot!(why("22:00-22:00"), @"`22:00-22:00` begins and ends at the same time; leave it out to work all day");
        insta::assert_snapshot!(why("22:00-06:00 Europa/Berlin"), @"`Europa/Berlin` is not a time zone such as `Europe/Berlin`");
    }

    proptest! {
        #[test]
        fn at_any_moment_it_is_open_or_closed_and_that_ends(
            (from, length) in (0u32..1440, 1u32..1440), s in 0i64..4_000_000_000, zone in 0usize..4
        ) {
            let zone = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"][zone];
            let clock = |minutes: u32| format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
            let window = window(&format!("{}-{} {zone}", clock(from), clock(from + length)));
            prop_assert_eq!(&window.to_string().parse::<Window>().unwrap(), &window);
            let now = Timestamp::from_second(s).unwrap();
            let (until, other) = match window.standing(now) {
                Standing::Open { until } => (until, false),
                Standing::Closed { until } => (until, true),
            };
            prop_assert!(until > now && until.as_second() - now.as_second() <= 50 * 3600, "{until} {now}");
            // At its end the other one begins, unless the clock jumps over what would be between.
            let then = matches!(window.standing(until), Standing::Open { .. });
            prop_assert!(then == other || length + 61 >= 1440 || length <= 60, "{window} {until}");
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in ".*") {
            let _ = text.parse::<Window>();
        }
    }
}
