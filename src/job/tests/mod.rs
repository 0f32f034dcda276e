//! Claims about whole jobs: what is read, what is stored, what makes two of them the same.

mod messages;
mod samples;

use proptest::prelude::*;

use super::*;

fn name() -> JobName {
    JobName::new("x").unwrap()
}

fn read(text: &str) -> Result<Job, JobErrors> {
    Job::from_toml(name(), "jobs/x.toml", text)
}

fn job(text: &str) -> Job {
    read(text).unwrap_or_else(|errors| panic!("{errors}"))
}

const FULL: &str = r#"
description = "the text form of status"
table = 'App."Odd.Name"'
key = "id"
where = "status_v2 IS NULL"
from = "users AS u"
on = "u.legacy_id = orders.legacy_user_id"

[set]
z = "CASE status WHEN 0 THEN 'new' END"
"a.b" = """
1 +
  "x\\y"
"""

[pace]
mode = "full"
workers = 8
batch_time = "200ms"
min_rows_per_batch = 10
max_rows_per_batch = 0x3E8
max_rows_per_second = 1_000
max_wal_per_second = "16MiB"

[limits]
lock_timeout = "150ms"
statement_timeout = "5s"
retries = 3
max_bad_rows = 7
"#;

#[test]
fn every_key_of_a_job_file_is_read() {
    let job = job(FULL);
    assert_eq!(job.table.to_string(), r#"app."Odd.Name""#);
    assert_eq!(job.key, ["id"]);
    assert_eq!(job.lookup.as_ref().unwrap().from, "users AS u");
    assert_eq!(job.pace.knobs.mode, Mode::Full);
    assert_eq!(job.pace.knobs.max_rows_per_batch.get(), 1000);
    assert_eq!(job.pace.knobs.max_wal_bytes_per_s.unwrap().get(), 16 << 20);
    assert_eq!(job.limits.statement_timeout_ms.unwrap().get(), 5000);
    assert_eq!((job.limits.retries, job.limits.max_bad_rows), (3, 7));
}

#[test]
fn the_order_of_set_is_the_order_of_the_file() {
    let job = job("table = 'o'\nset.z = '1'\nset.a = '2'\nset.m = '3'\n");
    let columns: Vec<_> = job.set.iter().map(|a| a.column.as_str()).collect();
    assert_eq!(columns, ["z", "a", "m"]);
}

#[test]
fn a_job_of_two_lines_gets_the_defaults() {
    let job = job("table = 'orders'\nset.a = '1'\n");
    assert_eq!(job.pace, Pace::default());
    assert_eq!(job.limits, Limits::default());
    assert!(job.key.is_empty() && job.filter.is_none() && job.lookup.is_none());
}

#[test]
fn the_text_of_a_job_is_stable_and_readable() {
    insta::assert_snapshot!(job(FULL).text(), @r#"
        description = "the text form of status"
        table = 'app."Odd.Name"'
        key = ["id"]
        where = "status_v2 IS NULL"
        from = "users AS u"
        on = "u.legacy_id = orders.legacy_user_id"
        set.z = "CASE status WHEN 0 THEN 'new' END"
        set."a.b" = '''
        1 +
          "x\y"
        '''

        [undo]
        values = "auto"

        [pace]
        mode = "full"
        workers = 8
        batch_time = "200ms"
        min_rows_per_batch = 10
        max_rows_per_batch = 1000
        max_rows_per_second = 1000
        max_wal_per_second = "16MiB"

        [limits]
        lock_timeout = "150ms"
        statement_timeout = "5s"
        retries = 3
        max_bad_rows = 7

        [order]
        quiet = true

        [scan]
        order = "auto"
        proof = "60s"
        touch = false
        "#);
}

#[test]
fn the_definition_leaves_out_what_does_not_decide_the_result() {
    insta::assert_snapshot!(job("description = 'd'\ntable = 'orders'\nset.a = 'b'\npace.workers = 3\n").definition(), @r#"
    table = "orders"
    set.a = "b"
    "#);
}

fn parts(set: &[&str]) -> JobParts {
    JobParts {
        table: "App.Orders".into(),
        set: set.iter().map(ToString::to_string).collect(),
        ..JobParts::default()
    }
}

#[test]
fn a_job_from_flags_is_the_job_of_the_file() {
    let flags = Job::from_parts(parts(&["status_v2 = a = b", r#""Odd=" = 1"#])).unwrap();
    assert_eq!(flags.name.as_str(), "orders_status_v2_Odd_");
    let file = job("table = 'app.orders'\nset.status_v2 = 'a = b'\nset.'Odd=' = '1'\n");
    assert_eq!(flags.text(), file.text());
    assert_eq!(flags.fingerprint(), file.fingerprint());
}

#[test]
fn only_what_decides_the_result_changes_the_fingerprint() {
    let base = "table = 'orders'\nset.a = 'b'\n";
    let same = job(base).fingerprint();
    let with = |more: &str| job(&format!("{base}{more}")).fingerprint();
    assert_eq!(with("description = 'd'\npace.workers = 3\nlimits.retries = 0"), same);
    for more in ["key = 'id'", "where = 'c'", "from = 'u'\non = 'v'", "set.c = 'd'"] {
        assert_ne!(with(more), same, "{more}");
    }
    assert_eq!(same.len(), 64);
}

/// A run that was begun by an earlier version goes on only if its job has the fingerprint that is written
/// down: what a job may say from now on is fed to the hash only where it is said.
#[test]
fn the_fingerprint_of_a_job_stays_what_it_was() {
    let all = "table = 'app.orders'\nkey = ['a', 'b']\nset.c = 'd + 1'\nwhere = 'e'\nfrom = 'f'\non = 'g'\n";
    assert_eq!(
        job("table = 'orders'\nset.a = 'b'\n").fingerprint(),
        "da9ccc619b241db20aa37c18f18589452595977af5ee30e6b19cde62dbee806b"
    );
    assert_eq!(job(all).fingerprint(), "b7a3fa627f4f56d0f7f6bb79f8bb2c346ffc8be0a20909ed78258d909e5d87a4");
}

#[test]
fn parts_that_run_together_do_not_collide() {
    let fingerprint = |set: &str| job(&format!("table = 'o'\n{set}")).fingerprint();
    assert_ne!(fingerprint("set.ab = 'c'"), fingerprint("set.a = 'bc'"));
    assert_ne!(
        job("table = 'a.b'\nset.a = '1'").fingerprint(),
        job("table = '\"a.b\"'\nset.a = '1'").fingerprint()
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in ".*") {
        let _ = read(&text).map_err(|errors| errors.to_string());
    }

    #[test]
    fn any_broken_job_file_is_refused_without_a_panic(at in 0..FULL.len(), len in 0usize..30, junk in ".{0,6}") {
        let mut text = FULL.to_owned();
        let end = (at + len).min(text.len());
        text.replace_range(at..end, &junk);
        let _ = read(&text).map_err(|errors| errors.to_string());
    }

    #[test]
    fn the_text_of_a_job_reads_back_as_an_equal_job(
        description in proptest::option::of(word()),
        table in proptest::collection::vec("[^\0]{1,10}", 1..=2),
        key in proptest::collection::hash_set("k[^\0]{0,8}", 0..=4),
        columns in proptest::collection::hash_set("s[^\0=\"]{0,8}s", 1..=3),
        expression in word(),
        filter in proptest::option::of(word()),
        lookup in proptest::option::of((word(), word())),
        workers in 1u32..=64,
        wal in proptest::option::of(1u64..=units::COUNT_MAX),
        bad_rows in 0..=units::COUNT_MAX,
    ) {
        let mut parts = JobParts {
            name: Some(name()),
            description,
            table: table.iter().map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect::<Vec<_>>().join("."),
            key: key.into_iter().collect(),
            set: columns.iter().map(|column| format!("{column} = {expression}")).collect(),
            filter,
            ..JobParts::default()
        };
        (parts.from, parts.on) = lookup.unzip();
        parts.pace.knobs.workers = workers.try_into().unwrap();
        parts.pace.knobs.max_wal_bytes_per_s = wal.and_then(|wal| wal.try_into().ok());
        parts.limits.max_bad_rows = bad_rows;
        let job = Job::from_parts(parts).unwrap();
        let again = read(&job.text()).unwrap_or_else(|errors| panic!("{errors}\n{}", job.text()));
        prop_assert_eq!(&again, &job);
        prop_assert_eq!(again.fingerprint(), job.fingerprint());
    }
}

/// A text that is not blank: letters, quotes, back-slashes, line feeds and whatever else there is.
fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[^\0]{0,20}x", "[\"'\\\\\r\n\t a]{0,12}x[\"'\\\\\n]{0,3}"]
}
