//! Job files of arbitrary bytes, and arbitrary values at every key.
//!
//! Must not know: what a key means.

use pgbackfill::job::Job;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{basic, job, runner};

/// Either a job that reads back as the same, or errors that each name a line and a column in the text. What
/// is missing has no place but the file.
fn assert_judged(text: &str) {
    let errors = match job(1, text) {
        Ok(read) => return assert_reads_back(&read),
        Err(errors) => errors,
    };
    assert!(errors.iter().next().is_some());
    for error in &errors {
        assert!(!error.message().is_empty() && !error.to_string().is_empty());
        let place = error.place().to_string();
        let Some((line, column)) = place.strip_prefix("job.toml:").and_then(|place| place.split_once(':'))
        else {
            assert!(error.message().ends_with(" is missing"), "no place: {error}");
            continue;
        };
        let (line, column): (usize, usize) = (line.parse().unwrap(), column.parse().unwrap());
        let found = text.split('\n').nth(line - 1).unwrap_or_else(|| panic!("no line {line}: {error}"));
        assert!(
            (1..=found.chars().count() + 1).contains(&column),
            "line {line} has no column {column}: {error}"
        );
    }
}

fn assert_reads_back(read: &Job) {
    let again = job(1, &read.text()).unwrap_or_else(|errors| panic!("{errors}\n{}", read.text()));
    assert_eq!(&again, read);
    assert_eq!(again.fingerprint(), read.fingerprint());
}

fn each<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value)) {
    let tried = runner(cases).run(strategy, |case| {
        test(case);
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn arbitrary_bytes_are_read_or_refused_at_their_place() {
    let bytes = vec(any::<u8>(), 0..200).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let signs = select("=[]{}\"'\\.#,\n\r\t -_0aexz+:T\u{0}\u{7f}ß日😀\u{feff}".chars().collect::<Vec<_>>());
    let signs = vec(signs, 0..40).prop_map(|signs| signs.into_iter().collect::<String>());
    each(2000, &prop_oneof![bytes, signs], |text| assert_judged(&text));
}

const KEYS: &[&str] = &[
    "description",
    "table",
    "key",
    "where",
    "from",
    "on",
    "set",
    "set.a",
    "set.\"\"",
    "set.b.c",
    "set.\"x y\"",
    "pace",
    "pace.mode",
    "pace.workers",
    "pace.batch_time",
    "pace.min_rows_per_batch",
    "pace.max_rows_per_batch",
    "pace.max_rows_per_second",
    "pace.max_wal_per_second",
    "pace.window",
    "limits",
    "limits.lock_timeout",
    "limits.statement_timeout",
    "limits.retries",
    "limits.max_bad_rows",
    "order",
    "order.stripes",
    "order.quiet",
    "guard",
    "guard.sql",
    "guard.standbys",
    "guard.replica_lag_slow",
    "guard.replica_lag_stop",
    "guard.slot_wal_slow",
    "guard.slot_wal_stop",
    "guard.archive_backlog_slow",
    "guard.dead_rows_stop",
    "guard.maintenance_stop",
    "guard.wal_fill_slow",
    "guard.blocked_sessions",
    "guard.added_latency",
    "guard.deadline",
    "guard.active_sessions_slow",
    "tabel",
    "x",
    "\"table\"",
    "\"\\u0000\"",
];

const VALUES: &[&str] = &[
    "0",
    "-1",
    "1",
    "+7",
    "64",
    "65",
    "4294967296",
    "9223372036854775808",
    "340282366920938463463374607431768211456",
    "0x10",
    "0xffffffffffffffffffffffffffffffffff",
    "0o17",
    "0b1",
    "1_000",
    "1.5",
    "-0.0",
    "1e400",
    "inf",
    "-inf",
    "nan",
    "true",
    "false",
    "[]",
    "[[]]",
    "{}",
    "''",
    "\" \"",
    "'a'",
    "'a.b'",
    "'A.\"B\"'",
    "'\"'",
    "'a.b.c'",
    "'off'",
    "'0s'",
    "'1ms'",
    "'100ms'",
    "'7d'",
    "'8d'",
    "'99999999999999999999s'",
    "'1.5s'",
    "'-1s'",
    "'1 s'",
    "'16MiB'",
    "'0MiB'",
    "'1e3MiB'",
    "'99999999999999999999GiB'",
    "'auto'",
    "'full'",
    "'22:00-06:00 UTC'",
    "'25:00-99:00'",
    "'24:00-00:00 Mars/Base'",
    "'a = b'",
    "\"\\u0000\"",
    "\"\\uD800\"",
    "'😀'",
    "1979-05-27",
    "1979-05-27T07:32:00Z",
    "07:32:00",
    "['a']",
    "['a', 'a']",
    "['a', 'b', 'c', 'd', 'e']",
    "['a,b', ' ']",
    "[1, 'a']",
    "[{}]",
    "[{ query = 'SELECT 1', limit = 1 }]",
    "[{ name = 'a', query = 'SELECT 1', limit = 1e308 }]",
    "[{ query = '', limit = nan }]",
    "[{ limit = 1, query = 3, x = 1 }]",
    "{ a = '1' }",
    "{ a = 1 }",
    "{ 'b' = '''x\ny''' }",
    "\"\"\"\nx\"\"\"",
    "'''",
    "\"",
    "",
    "= 1",
    "# x",
];

/// A text in quotes that nobody would write.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,70}", "[\u{1}-\u{ff}]{0,20}"].prop_map(|text| basic(&text))
}

#[test]
fn arbitrary_values_at_every_key_are_read_or_refused_at_their_place() {
    let value = || prop_oneof![3 => select(VALUES).prop_map(str::to_owned), 1 => any_text()];
    let line = (select(KEYS), value()).prop_map(|(key, value)| format!("{key} = {value}\n"));
    let usual = prop_oneof![Just("table = 'orders'\nset.a = '1'\n".to_owned()), Just(String::new())];
    let text = (usual, vec(line, 0..6)).prop_map(|(usual, lines)| usual + &lines.concat());
    each(6000, &text, |text| assert_judged(&text));
}
