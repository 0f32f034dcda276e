//! Names that have to be quoted, and names that are as long as names can be.
//!
//! Must not know: who quotes them.

use pgbackfill::engine::EngineError;
use pgbackfill::event::Outcome;
use pgbackfill::job::TableName;
use pgbackfill::sql::{Ident, Qualified};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Place, World, assert_placed, basic, each, job};
use crate::support::oracle::{assert_once, assert_run};
use crate::support::{JobFile, Pgbackfill};

/// What PostgreSQL keeps of a name.
const BYTES_MAX: usize = 63;

const ROWS: i64 = 40;

#[derive(Clone, Debug)]
struct Case {
    schema: String,
    table: String,
    /// The key, what is set, and one with an index.
    columns: Vec<String>,
    partitions: Vec<String>,
    by_table: bool,
    stripes: u32,
    odd: bool,
}

const ODD_NAMES: &[&str] = &[
    "select",
    "user",
    "Table",
    "order",
    "ORDER",
    " leading",
    "trailing ",
    "a b",
    "a.b",
    "a\"b",
    "\"",
    "\"\"",
    "a'b",
    "''",
    "a\\b",
    "\\",
    "a\nb",
    "a\r\nb",
    "a\tb",
    "%",
    "%s",
    "$1",
    "$$",
    "{}",
    "{a,b}",
    "--",
    "/*",
    "*/",
    "a;b",
    "; drop table t; --",
    "\");",
    "😀",
    "größe",
    "GRÖSSE",
    "\u{1}",
    "\u{7f}",
    "\u{202e}",
    "\u{feff}x",
    "e\u{301}",
    "1",
    "1e5",
    "null",
    "NULL",
    "true",
    "*",
    "?",
    "@",
    "#",
    ":a",
    "a=b",
    "=",
    "a,b",
    "(",
    ")",
    "[1]",
    "_",
    "excluded",
    "only",
    "as",
    "r",
    "l",
    "run",
    "lo",
    "hi",
    "grid",
    "step",
    "k1",
    "cell",
    "found",
    "pgbackfill",
    "pgbackfill_band",
    "pgbackfill_first",
    "pgbackfill_last",
    "pgbackfill_value",
    "range",
    "leaf",
    "job",
    "on",
    "set",
    "where",
    "from",
    "key",
    "public",
];

/// As many characters as fit.
fn fitting(name: &str) -> String {
    let mut bytes = 0;
    let fits = |c: &char| {
        bytes += c.len_utf8();
        bytes <= BYTES_MAX
    };
    name.chars().take_while(fits).collect()
}

fn name() -> impl Strategy<Value = String> {
    let letters = select("aZ_ 0\"'\\%$;.,-/*()=\n\t{}ß😀日".chars().collect::<Vec<_>>());
    let mixed = vec(letters, 1..70).prop_map(|letters| fitting(&letters.into_iter().collect::<String>()));
    let full = (0..4_usize, select(vec!["x", "\"", "ß", "日", "😀", "'"]))
        .prop_map(|(before, c)| fitting(&format!("{}{}", &"abc"[..before.min(3)], c.repeat(BYTES_MAX))));
    // A job file refuses blank names.
    prop_oneof![3 => select(ODD_NAMES).prop_map(str::to_owned), 2 => mixed, 1 => full]
        .prop_filter("blank", |name| !name.trim().is_empty())
}

fn unlike(names: &[String]) -> bool {
    names.iter().enumerate().all(|(i, name)| !names[..i].contains(name))
}

fn cases() -> impl Strategy<Value = Case> {
    let columns = vec(name(), 3).prop_filter("twice", |names| unlike(names));
    let tables = (name(), vec(name(), 2))
        .prop_filter("twice", |(table, parts)| unlike(parts) && !parts.contains(table));
    (name(), tables, columns, any::<bool>(), any::<bool>(), select(vec![1_u32, 8]), any::<bool>()).prop_map(
        |(schema, (table, partitions), columns, partitioned, by_table, stripes, odd)| Case {
            schema,
            table,
            columns,
            partitions: if partitioned { partitions } else { vec![] },
            by_table,
            stripes,
            odd,
        },
    )
}

async fn fill(place: &Place, schema: &str, case: &Case) {
    let table = Qualified::new(schema, &case.table);
    let [key, set, other] = [0, 1, 2].map(|i| Ident(case.columns[i].clone()));
    let by = if case.partitions.is_empty() { String::new() } else { format!("PARTITION BY RANGE ({key})") };
    let bounds = [("MINVALUE", "20"), ("20", "MAXVALUE")];
    let parts = case.partitions.iter().zip(bounds).map(|(name, (from, to))| {
        format!(
            "CREATE TABLE {} PARTITION OF {table} FOR VALUES FROM ({from}) TO ({to});",
            Qualified::new(schema, name)
        )
    });
    let parts: String = parts.collect();
    place
        .execute(&format!(
            "CREATE SCHEMA {schema};
             CREATE TABLE {table} ({key} int PRIMARY KEY, {set} int NOT NULL DEFAULT 0, {other} int) {by};
             {parts}
             CREATE INDEX ON {table} ({other});
             INSERT INTO {table} SELECT i, 0, i FROM generate_series(1, {ROWS}) AS i",
            schema = Ident(schema.to_owned()),
        ))
        .await;
}

async fn changed_once(world: &World, case: Case) {
    let (number, place) = (world.number(), world.place(case.odd));
    // Not one schema twice.
    let schema = format!("{number}{}", fitting(&case.schema).chars().take(10).collect::<String>());
    fill(place, &schema, &case).await;
    let (table, set) = (Qualified::new(schema.clone(), &case.table), Ident(case.columns[1].clone()));
    let value = if case.by_table { format!("{}.{set} + 1", table.name) } else { format!("{set} + 1") };
    let name = TableName { schema: Some(schema), name: case.table.clone() };
    let toml = format!(
        "table = {}\nset.{} = {}\npace.mode = 'full'\npace.max_rows_per_batch = 3\norder.stripes = {}\n",
        basic(&name.to_string()),
        basic(&case.columns[1]),
        basic(&value),
        case.stripes,
    );
    let ran = place.run(&job(number, &toml).unwrap()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ran.summary.outcome, Outcome::Complete, "{:?}", ran.summary.reason);
    let view = format!("v_{number}");
    place.execute(&format!("CREATE VIEW {view} AS SELECT {set} AS n FROM {table}")).await;
    assert_once(&place.client, &view, ROWS).await;
    assert_run(&place.client, ran.summary.run, ROWS, ROWS).await;
}

#[test]
fn odd_names_are_the_names_that_they_are() {
    each(48, &cases(), World::new, changed_once);
}

/// Each of them as the table, the key, what is set, and what an index has.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_our_own_statements_use_are_free_for_others() {
    let world = World::new().await;
    for name in ["pgbackfill_band", "pgbackfill_first", "pgbackfill_last", "pgbackfill_row", "grid", "step"] {
        for place in 0..4 {
            let mut names = ["t", "id", "n", "other"].map(str::to_owned);
            names[place] = name.to_owned();
            let [table, columns @ ..] = names;
            let case = Case {
                schema: "s".to_owned(),
                table,
                columns: columns.to_vec(),
                partitions: vec![],
                by_table: true,
                stripes: 8,
                odd: false,
            };
            Box::pin(changed_once(&world, case)).await;
        }
    }
}

/// A name of 63 bytes, and one that the server would cut to it.
fn long_names() -> [(String, String); 3] {
    ["x".repeat(63), "ß".repeat(31), format!("{}a", "日".repeat(20))].map(|name| {
        let longer = format!("{name}{}", "y".repeat(BYTES_MAX + 1 - name.len()));
        (name, longer)
    })
}

#[test]
fn a_name_that_the_server_would_cut_is_refused_and_the_shorter_one_is_left_alone() {
    let places = select(vec!["schema", "table", "set", "key"]);
    each(12, &(select(long_names().to_vec()), places), World::new, async |world, ((name, longer), which)| {
        let (number, place) = (world.number(), world.place(false));
        let kept = &name[..];
        let schema = format!("s_{number}");
        let [s, t, k, n] = ["schema", "table", "key", "set"].map(|part| {
            let usual = if part == "schema" { schema.as_str() } else { part };
            if part == which {
                (kept.to_owned(), longer.clone())
            } else {
                (usual.to_owned(), usual.to_owned())
            }
        });
        let table = Qualified::new(&s.0, &t.0);
        let [key, set] = [&k.0, &n.0].map(|name| Ident(name.clone()));
        place
            .execute(&format!(
                "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema};
                 CREATE TABLE {table} ({key} int PRIMARY KEY, {set} int); INSERT INTO {table} VALUES (1, 0)",
                schema = Ident(s.0.clone())
            ))
            .await;
        let name = TableName { schema: Some(s.1), name: t.1 }.to_string();
        let toml = format!("table = {}\nkey = {}\nset.{} = '1'\n", basic(&name), basic(&k.1), basic(&n.1));
        let errors = match job(number, &toml) {
            Err(errors) => errors,
            Ok(job) => match place.run(&job).await {
                Err(EngineError::Job(errors)) => errors,
                other => panic!("it was taken: {:?}", other.map(|ran| ran.summary)),
            },
        };
        assert_placed(&errors);
        assert_eq!(place.count(&format!("SELECT sum({set}) FROM {table}")).await, 0);
    });
}

#[test]
fn every_command_takes_odd_names() {
    let names =
        select(vec!["\"", "a'b\\", "a\nb", "%s $1", "pgbackfill_band", "; drop table victim; --", "😀"]);
    each(4, &names, World::new, async |world, name| {
        let (number, place) = (world.number(), world.place(true));
        let schema = format!("s_{number}");
        let columns = [name, "pgbackfill_first", "run"].map(str::to_owned).to_vec();
        let case = Case {
            schema: schema.clone(),
            table: name.to_owned(),
            columns,
            partitions: vec![],
            by_table: false,
            stripes: 1,
            odd: true,
        };
        fill(place, &schema, &case).await;
        let table = TableName { schema: Some(schema), name: name.to_owned() };
        let toml = format!(
            "table = {}\n[set]\npgbackfill_first = 'pgbackfill_first + 1'\n",
            basic(&table.to_string())
        );
        let file = JobFile::new(&toml);
        let said = async |args: &[&str]| {
            Pgbackfill::new(args.iter().copied()).on(&place.db).run().await.expect_code(0).stdout
        };
        let path = file.path();
        let path = path.to_str().unwrap();
        let planned = said(&["plan", path, "--output", "json"]).await;
        assert!(!planned.contains("\"failed-trial\""), "{planned}");
        said(&["run", path, "--new-run"]).await;
        for command in ["status", "history", "wait"] {
            said(&[command, "job"]).await;
        }
        said(&["list"]).await;
        assert_eq!(
            place
                .count(&format!(
                    "SELECT count(*) FROM {} WHERE pgbackfill_first = 1",
                    Qualified::new(format!("s_{number}"), name)
                ))
                .await,
            ROWS
        );
    });
}
