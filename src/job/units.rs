//! Numbers with units as people write them: `200ms`, `16MiB`, `1000`.
//!
//! Must not know: which setting they are for.

use std::num::{NonZeroU32, NonZeroU64};
use std::ops::RangeInclusive;

use bytesize::ByteSize;
use jiff::SignedDuration;

/// The largest count and the most bytes: what a `bigint` of the control schema holds.
pub const COUNT_MAX: u64 = i64::MAX as u64;

const UNITS: [(&str, u64); 4] =
    [("TiB", bytesize::TIB), ("GiB", bytesize::GIB), ("MiB", bytesize::MIB), ("KiB", bytesize::KIB)];

/// A duration such as `200ms` or `1m 30s`, in milliseconds, within `allowed` milliseconds.
pub fn parse_duration_ms(text: &str, allowed: &RangeInclusive<u32>) -> Result<NonZeroU32, String> {
    let duration: SignedDuration = text
        .trim()
        .parse()
        .map_err(|_| format!("`{}` is not a duration such as `200ms` or `5s`", text.escape_debug()))?;
    if duration.subsec_nanos() % 1_000_000 != 0 {
        return Err(format!("`{text}` is not a whole number of milliseconds such as `200ms`"));
    }
    u32::try_from(duration.as_millis())
        .ok()
        .filter(|ms| allowed.contains(ms))
        .and_then(NonZeroU32::new)
        .ok_or_else(|| {
            let (from, to) = (plain_duration(*allowed.start()), plain_duration(*allowed.end()));
            format!("`{text}` is not between {from} and {to}")
        })
}

/// The longest time in days, such as how long a column is kept.
const DAYS_MAX: u64 = 3_650;

/// A time in days such as `14d`, or a duration such as `12h`, in seconds.
pub fn parse_long_s(text: &str) -> Result<u64, String> {
    let days = text.trim().strip_suffix('d').and_then(|days| days.trim().parse::<u64>().ok());
    let of_days = days.filter(|days| *days <= DAYS_MAX).map(|days| days * 86_400);
    let other = || parse_duration_ms(text, &(1..=u32::MAX)).ok().map(|ms| u64::from(ms.get()) / 1000);
    of_days
        .or_else(other)
        .ok_or_else(|| format!("`{}` is not a duration such as `14d` or `12h`", text.escape_debug()))
}

/// An amount of bytes such as `16MiB` or `16777216`; at least 1.
pub fn parse_bytes(text: &str) -> Result<NonZeroU64, String> {
    let seen = text.escape_debug();
    let bytes: ByteSize =
        text.trim().parse().map_err(|_| format!("`{seen}` is not an amount of bytes such as `16MiB`"))?;
    NonZeroU64::new(bytes.as_u64())
        .filter(|bytes| bytes.get() <= COUNT_MAX)
        .ok_or_else(|| format!("`{seen}` is not between 1 byte and 8 EiB"))
}

/// A whole number such as `1000` within `allowed`.
pub fn parse_count(text: &str, allowed: &RangeInclusive<u64>) -> Result<u64, String> {
    let (from, to) = (allowed.start(), allowed.end());
    let seen = text.escape_debug();
    let digits = text.trim().replace('_', "");
    match digits.parse::<u64>() {
        Ok(count) if allowed.contains(&count) => Ok(count),
        // `-1` and numbers beyond 64 bits are numbers all the same.
        _ if is_number(&digits) => Err(format!("`{seen}` is not between {from} and {to}")),
        _ => Err(format!("`{seen}` is not a whole number such as `{}`", 1000.clamp(*from, *to))),
    }
}

/// Like [`parse_count`], for counts that are never 0 and fit 32 bits.
pub fn parse_positive(text: &str, allowed: &RangeInclusive<u32>) -> Result<NonZeroU32, String> {
    let (from, to) = (u64::from(*allowed.start()), u64::from(*allowed.end()));
    let count = parse_count(text, &(from..=to))?;
    u32::try_from(count)
        .ok()
        .and_then(NonZeroU32::new)
        .ok_or_else(|| format!("`{text}` is not between 1 and {to}"))
}

/// The duration as [`parse_duration_ms`] reads it.
#[must_use]
pub fn format_duration_ms(ms: NonZeroU32) -> String {
    plain_duration(ms.get())
}

/// The amount as [`parse_bytes`] reads it, exact: with a unit only where the unit divides it.
#[must_use]
pub fn format_bytes(bytes: NonZeroU64) -> String {
    let bytes = bytes.get();
    let unit = UNITS.into_iter().find(|(_, size)| bytes.is_multiple_of(*size));
    unit.map_or_else(|| bytes.to_string(), |(name, size)| format!("{}{name}", bytes / size))
}

fn plain_duration(ms: u32) -> String {
    match ms {
        ms if ms >= 3_600_000 && ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        ms if ms >= 1000 && ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_outside_its_bounds_names_the_bounds() {
        let why = |text| parse_duration_ms(text, &(1..=10_000)).unwrap_err();
        insta::assert_snapshot!(why("1m"), @"`1m` is not between 1ms and 10s");
        insta::assert_snapshot!(why("-5ms"), @"`-5ms` is not between 1ms and 10s");
        insta::assert_snapshot!(why("0s"), @"`0s` is not between 1ms and 10s");
        insta::assert_snapshot!(why("1500us"), @"`1500us` is not a whole number of milliseconds such as `200ms`");
        insta::assert_snapshot!(why("100"), @"`100` is not a duration such as `200ms` or `5s`");
        assert_eq!(parse_duration_ms("1.5s", &(1..=10_000)).unwrap().get(), 1500);
    }

    #[test]
    fn bytes_are_read_with_and_without_a_unit() {
        assert_eq!(parse_bytes("16MiB").unwrap().get(), 16 << 20);
        assert_eq!(parse_bytes("16 MB").unwrap().get(), 16_000_000);
        assert_eq!(parse_bytes("4096").unwrap().get(), 4096);
        insta::assert_snapshot!(parse_bytes("0").unwrap_err(), @"`0` is not between 1 byte and 8 EiB");
        insta::assert_snapshot!(parse_bytes("99999999999EiB").unwrap_err(), @"`99999999999EiB` is not between 1 byte and 8 EiB");
        insta::assert_snapshot!(parse_bytes("lots").unwrap_err(), @"`lots` is not an amount of bytes such as `16MiB`");
    }

    #[test]
    fn a_count_tells_a_wrong_number_from_no_number() {
        insta::assert_snapshot!(parse_count("-1", &(1..=64)).unwrap_err(), @"`-1` is not between 1 and 64");
        insta::assert_snapshot!(parse_count("two", &(1..=64)).unwrap_err(), @"`two` is not a whole number such as `64`");
        assert_eq!(parse_count("50_000", &(1..=1_000_000)), Ok(50_000));
    }

    proptest! {
        #[test]
        fn what_is_formatted_is_read_back(ms in 1u32.., bytes in 1u64..=COUNT_MAX) {
            let (ms, bytes) = (NonZeroU32::new(ms).unwrap(), NonZeroU64::new(bytes).unwrap());
            prop_assert_eq!(parse_duration_ms(&format_duration_ms(ms), &(1..=u32::MAX)), Ok(ms));
            prop_assert_eq!(parse_bytes(&format_bytes(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in ".*") {
            let _ = (parse_duration_ms(&text, &(1..=9)), parse_bytes(&text), parse_count(&text, &(0..=9)));
        }
    }
}
