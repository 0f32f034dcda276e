//! Keys of every type with the values at the ends of the type and other odd ones.
//!
//! Must not know: how keys are compared.

use pgbackfill::event::Outcome;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::{Place, World, each, job};
use crate::support::oracle::{assert_once, assert_run};

/// Numerics from version 14 on; dates are written otherwise.
const INFINITE: &str = "Infinity";
const MINUS_INFINITE: &str = "-Infinity";

/// A key column: its type in the table, the type that its texts are cast to, and the texts.
#[derive(Clone, Debug)]
struct Kind {
    declared: &'static str,
    cast: &'static str,
    values: BoxedStrategy<String>,
}

#[derive(Clone, Debug)]
struct Case {
    /// Types as declared and as cast to.
    columns: Vec<(&'static str, &'static str)>,
    rows: Vec<Vec<String>>,
    batch_rows: u32,
    stripes: u32,
    odd: bool,
    /// Whether the server has looked at the rows before.
    analyzed: bool,
}

fn kind(declared: &'static str, cast: &'static str, values: impl Strategy<Value = String> + 'static) -> Kind {
    Kind { declared, cast, values: values.boxed() }
}

fn texts(all: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(all).prop_map(str::to_owned)
}

/// Neighbours of the ends, of zero, and anything.
fn integers(min: i64, max: i64) -> impl Strategy<Value = String> {
    let near = (select(vec![min, -20, 0, max - 40]), 0_i64..=40).prop_map(|(base, more)| base + more);
    prop_oneof![3 => near, 1 => min..=max].prop_map(|n| n.to_string())
}

const ODD_TEXTS: &[&str] = &[
    "",
    " ",
    "  ",
    "'",
    "''",
    "\"",
    "\\",
    "\\\\",
    "\\'",
    "\n",
    "\r\n",
    "\t",
    "{}",
    "{NULL}",
    "NULL",
    "null",
    ",",
    "a,b",
    "$1",
    "%",
    "--",
    "/*",
    "\u{1}",
    "\u{7f}",
    "\u{85}",
    "😀",
    "é",
    "e\u{301}",
    "ﬁ",
    "ß",
    "SS",
    "ss",
    "İ",
    "\u{200b}",
    "\u{feff}",
    "\u{10ffff}",
    "a",
    "A",
    "ä",
    "Ä",
    "a ",
    "z",
    "Z",
    "0",
    "-1",
    "infinity",
    "(a,b)",
    "|",
    "a|",
    "|a",
];

fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => texts(ODD_TEXTS),
        2 => "\\PC{0,8}",
        2 => "[\u{1}-\u{7f}]{0,8}",
        // About as long as an index takes.
        1 => "[a-z]{4}".prop_map(|text| text.repeat(600)),
    ]
}

fn short(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    text.prop_map(|text| text.chars().take(10).collect())
}

fn day() -> impl Strategy<Value = String> {
    day_until(9999)
}

fn day_until(year: u32) -> impl Strategy<Value = String> {
    (1_u32..=year, 1_u32..=12, 1_u32..=28)
        .prop_map(|(year, month, day)| format!("{year:04}-{month:02}-{day:02}"))
}

fn moment() -> impl Strategy<Value = String> {
    // Time begins in 4714 BC.
    (day_until(4713), 0_u32..24, 0_u32..60, 0_u32..1_000_000, select(vec!["", " BC"])).prop_map(
        |(day, hour, minute, micros, era)| format!("{day} {hour:02}:{minute:02}:59.{micros:06}{era}"),
    )
}

fn zoned() -> impl Strategy<Value = String> {
    (day(), 0_u32..24, 0_u32..1_000_000, select(vec!["+00", "-11:30", "+05:45", "+14"]))
        .prop_map(|(day, hour, micros, zone)| format!("{day} {hour:02}:00:00.{micros:06}{zone}"))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        (any::<i64>(), any::<u64>()).prop_map(|(whole, fraction)| format!("{whole}.{fraction}")),
        (-99_i32..=99, -300_i32..=300).prop_map(|(digits, power)| format!("{digits}e{power}")),
    ]
}

fn kinds() -> Vec<Kind> {
    let numerics = texts(&[
        "NaN",
        MINUS_INFINITE,
        INFINITE,
        "0",
        "-0.0",
        "0.10",
        "0.1",
        "-1",
        "1e1000",
        "-1e1000",
        "1e-1000",
    ]);
    let days = texts(&[
        "infinity",
        "-infinity",
        "4714-11-24 BC",
        "5874897-12-31",
        "0001-12-31 BC",
        "0001-01-01",
        "10000-01-01",
        "2000-02-29",
    ]);
    let moments = || {
        texts(&[
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00 BC",
            "294276-12-31 23:59:59.999999",
            "1999-12-31 23:59:59.999999",
            "2000-01-01",
        ])
    };
    let zoned_moments = || {
        texts(&[
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00+00 BC",
            "294276-12-31 23:59:59.999999+00",
            "2024-03-31 01:59:59.999999+01",
        ])
    };
    let uuids = texts(&[
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "7fffffff-ffff-ffff-ffff-ffffffffffff",
    ]);
    // Rounded up, the last moments are past the end of time: the server takes them, but nobody can read them
    // again.
    let rounded = prop_oneof![texts(&["infinity", "-infinity", "4714-11-24 00:00:00+00 BC"]), zoned()];
    vec![
        kind("smallint", "smallint", integers(i16::MIN.into(), i16::MAX.into())),
        kind("integer", "integer", integers(i32::MIN.into(), i32::MAX.into())),
        kind("bigint", "bigint", integers(i64::MIN, i64::MAX)),
        kind("whole", "bigint", integers(i64::MIN, i64::MAX)),
        kind("numeric", "numeric", prop_oneof![numerics, number()]),
        kind("uuid", "uuid", prop_oneof![uuids, any::<u128>().prop_map(|bits| format!("{bits:032x}"))]),
        kind("text", "text", odd_text()),
        kind("text COLLATE \"C\"", "text", odd_text()),
        kind("text COLLATE \"en-x-icu\"", "text", odd_text()),
        kind("text COLLATE \"no case\"", "text", odd_text()),
        kind("varchar(10)", "varchar", short(odd_text())),
        kind("date", "date", prop_oneof![days, day()]),
        kind("timestamp", "timestamp", prop_oneof![moments(), moment()]),
        kind("timestamptz", "timestamptz", prop_oneof![zoned_moments(), zoned()]),
        kind("timestamptz(0)", "timestamptz", rounded),
    ]
}

/// A table with a key of one to three columns.
fn cases() -> impl Strategy<Value = Case> {
    let any_kind = || select((0..kinds().len()).collect::<Vec<_>>());
    let columns = Union::new_weighted(vec![
        (6, proptest::collection::vec(any_kind(), 1).boxed()),
        (3, proptest::collection::vec(any_kind(), 2..=3).boxed()),
    ]);
    columns.prop_flat_map(move |chosen| {
        let chosen: Vec<_> = chosen.into_iter().map(|i| kinds()[i].clone()).collect();
        let columns: Vec<_> = chosen.iter().map(|kind| (kind.declared, kind.cast)).collect();
        let row: Vec<_> = chosen.into_iter().map(|kind| kind.values).collect();
        let rows = proptest::collection::vec(row, 0..50);
        (rows, 1_u32..=4, select(vec![1_u32, 1, 2, 8]), any::<bool>(), any::<bool>()).prop_map(
            move |(rows, batch_rows, stripes, odd, analyzed)| Case {
                columns: columns.clone(),
                rows,
                batch_rows,
                stripes,
                odd,
                analyzed,
            },
        )
    })
}

async fn world() -> World {
    let world = World::new().await;
    for place in &world.places {
        let types = "
            CREATE DOMAIN whole AS bigint;
            CREATE COLLATION \"no case\" (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
        place.execute(types).await;
    }
    world
}

/// Makes the table, and gives the number of its rows: values that are equal are one.
async fn fill(place: &Place, table: &str, case: &Case) -> i64 {
    let names: Vec<_> = (0..case.columns.len()).map(|i| format!("k{i}")).collect();
    let declared: Vec<_> =
        names.iter().zip(&case.columns).map(|(name, (ty, _))| format!("{name} {ty}")).collect();
    let key = names.join(", ");
    let make = format!(
        "CREATE TABLE {table} ({}, n int NOT NULL DEFAULT 0, m int NOT NULL DEFAULT 0, PRIMARY KEY ({key})); CREATE INDEX ON {table} (m)",
        declared.join(", ")
    );
    place.execute(&make).await;
    let values: Vec<_> =
        case.columns.iter().enumerate().map(|(i, (_, cast))| format!("$1[{}]::{cast}", i + 1)).collect();
    let insert = format!("INSERT INTO {table} ({key}) VALUES ({}) ON CONFLICT DO NOTHING", values.join(", "));
    let insert =
        place.client.prepare_typed(&insert, &[tokio_postgres::types::Type::TEXT_ARRAY]).await.unwrap();
    let version = place.count("SELECT current_setting('server_version_num')::bigint").await;
    let known = |row: &&Vec<String>| {
        version >= 140_000 || !row.iter().any(|text| [INFINITE, MINUS_INFINITE].contains(&text.as_str()))
    };
    for row in case.rows.iter().filter(known) {
        place.client.execute(&insert, &[row]).await.unwrap_or_else(|error| panic!("{row:?}\n{error:?}"));
    }
    if case.analyzed {
        place.execute(&format!("VACUUM ANALYZE {table}")).await;
    }
    place.count(&format!("SELECT count(*) FROM {table}")).await
}

async fn changed_once(world: &World, case: Case) {
    let (number, place) = (world.number(), world.place(case.odd));
    let table = format!("t_{number}");
    let rows = fill(place, &table, &case).await;
    let toml = format!(
        "table = '{table}'\nset.n = 'n + 1'\npace.mode = 'full'\npace.max_rows_per_batch = {}\norder.stripes = {}\n",
        case.batch_rows, case.stripes
    );
    let ran = place.run(&job(number, &toml).unwrap()).await.unwrap();
    assert_eq!(ran.summary.outcome, Outcome::Complete, "{:?}", ran.summary.reason);
    assert_once(&place.client, &table, rows).await;
    assert_run(&place.client, ran.summary.run, rows, rows).await;
}

#[test]
fn odd_values_of_every_key_type_are_changed_once() {
    each(48, &cases(), world, changed_once);
}

#[test]
fn a_key_of_another_type_is_refused_by_name() {
    let types = [
        "bytea",
        "real",
        "float8",
        "interval",
        "boolean",
        "char(3)",
        "name",
        "inet",
        "int4range",
        "int[]",
        "jsonb",
    ];
    each(types.len() as u32, &select(types.to_vec()), world, async |world, ty| {
        let (number, place) = (world.number(), world.place(false));
        place.execute(&format!("CREATE TABLE t_{number} (id {ty} PRIMARY KEY, n int)")).await;
        let errors =
            place.run(&job(number, &format!("table = 't_{number}'\nset.n = 'n + 1'\n")).unwrap()).await;
        let Err(pgbackfill::engine::EngineError::Job(errors)) = errors else { panic!("{ty} was taken") };
        super::assert_placed(&errors);
        assert!(errors.to_string().contains("which cannot be a key"), "{errors}");
    });
}
