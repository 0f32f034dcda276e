//! Numbers as people read them.
//!
//! Must not know: what they count.

use std::time::Duration;

use bytesize::ByteSize;

/// `1,234,567`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `7 rows`: a count with its noun.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// `65.3 k rows/s`.
#[must_use]
pub fn rate(rows_per_s: f64) -> String {
    // Each bound is where rounding to the digits shown would reach the next unit.
    match rows_per_s {
        rate if rate < 9.95 => format!("{rate:.1} rows/s"),
        rate if rate < 999.5 => format!("{rate:.0} rows/s"),
        rate if rate < 999_950.0 => format!("{:.1} k rows/s", rate / 1e3),
        rate => format!("{:.1} M rows/s", rate / 1e6),
    }
}

/// `450 ms`, `4 s`, `3 min 07 s`, `1 h 02 min`, `2 d 03 h`: two units at most, cut and not rounded.
#[must_use]
pub fn duration(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {:02} min", s / 3600, s / 60 % 60),
        _ => format!("{} d {:02} h", s / 86_400, s / 3600 % 24),
    }
}

/// Like [`duration`], for a time that a person may divide by: `8.5 s` below a minute.
#[must_use]
pub fn elapsed(time: Duration) -> String {
    // Cut like the rest, so that `59.96 s` does not become a minute of 60 seconds.
    match time.as_millis() {
        ms @ 1000..60_000 => format!("{}.{} s", ms / 1000, ms / 100 % 10),
        _ => duration(time),
    }
}

/// `5.0 GiB`: an amount of bytes.
#[must_use]
pub fn bytes(amount: u64) -> String {
    ByteSize(amount).display().iec().to_string()
}

/// Hundredths of the total, for a run that is not complete: at most 99, because the total is an estimate and
/// only the run itself knows that it is done. None while the total is unknown.
#[must_use]
pub fn percent(passed: u64, total: u64) -> Option<u64> {
    let hundredths = u128::from(passed) * 100 / u128::from((total > 0).then_some(total)?);
    Some(hundredths.min(99) as u64)
}

/// A text of others (a server's message, a reason) on one line, without anything that could move the cursor.
#[must_use]
pub fn one_line(text: &str) -> String {
    let cleaned: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cleaned.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let shown = [0, 999, 1000, 1_234_567, u64::MAX].map(count);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567", "18,446,744,073,709,551,615"]);
        assert_eq!(counted(1, "row", "rows"), "1 row");
    }

    #[test]
    fn a_rate_has_three_digits_and_never_a_thousand_of_its_unit() {
        let shown = [0.0, 3.44, 9.96, 998.4, 999.6, 65_300.0, 999_960.0].map(rate);
        insta::assert_snapshot!(shown.join(", "), @"0.0 rows/s, 3.4 rows/s, 10 rows/s, 998 rows/s, 1.0 k rows/s, 65.3 k rows/s, 1.0 M rows/s");
    }

    #[test]
    fn a_duration_has_two_units_at_most() {
        let shown = [0, 450, 4_900, 59_999, 187_000, 3_720_000, 183_600_000]
            .map(|ms| duration(Duration::from_millis(ms)));
        insta::assert_snapshot!(shown.join(", "), @"0 ms, 450 ms, 4 s, 59 s, 3 min 07 s, 1 h 02 min, 2 d 03 h");
    }

    #[test]
    fn an_elapsed_time_below_a_minute_has_tenths() {
        let shown = [450, 8_520, 59_960, 60_000].map(|ms| elapsed(Duration::from_millis(ms)));
        assert_eq!(shown, ["450 ms", "8.5 s", "59.9 s", "1 min 00 s"]);
    }

    #[test]
    fn before_completion_there_is_no_hundred_percent() {
        assert_eq!(percent(1, 0), None);
        assert_eq!(percent(0, 5), Some(0));
        assert_eq!(percent(999, 1000), Some(99));
        assert_eq!(percent(2000, 1000), Some(99));
        assert_eq!(percent(u64::MAX, u64::MAX), Some(99));
    }

    #[test]
    fn a_message_of_the_server_cannot_break_the_line() {
        assert_eq!(one_line("a\n\tb\u{1b}[2J  c\r\n"), "a b [2J c");
    }
}
