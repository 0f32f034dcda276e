//! SQL in a job that tries to be more than the expression that it should be.
//!
//! Either the job is refused at the place of the text, or the text is one expression, and then it means what
//! it means alone.
//!
//! Must not know: how a text is checked.

use pgbackfill::catalog;
use pgbackfill::connect::ConnectParams;
use pgbackfill::db::Pool;
use pgbackfill::engine::EngineError;
use pgbackfill::event::Outcome;
use pgbackfill::job::Job;
use pgbackfill::plan::review::{Subject, judge, look};
use pgbackfill::plan::{self};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio_postgres::error::SqlState;

use super::{Place, World, assert_placed, basic, each, job};
use crate::support::oracle::assert_run;

const ROWS: i64 = 12;

#[derive(Clone, Debug)]
struct Case {
    set: String,
    filter: Option<String>,
    lookup: Option<(String, String)>,
    stripes: u32,
    wal_is_counted: bool,
    odd: bool,
}

/// What breaks out of quotes, parentheses, clauses, statements and transactions, if anything does.
const PIECES: &[&str] = &[
    "--",
    " -- x\n",
    "--\r",
    "/*",
    "*/",
    "/* */",
    "/* /* */ */",
    "/* /* */",
    "/*'*/",
    "(",
    ")",
    "()",
    ");",
    ";",
    "; COMMIT",
    "; COMMIT; --",
    "1; ROLLBACK",
    "); DROP TABLE victim; --",
    "1); DELETE FROM victim; COMMIT; --",
    "\n); DROP TABLE victim; (",
    "'",
    "''",
    "\"",
    "\"\"",
    "$$",
    "$a$ ) $a$",
    "$a$",
    "$1",
    "$2::int",
    "$1)",
    "E'\\\\'",
    "E'\\''",
    "'\\'",
    "'\\' || '",
    "E'\\x00'",
    "B'1'",
    "U&'\\0041'",
    "U&\"\\006E\"",
    "U&'!0041' UESCAPE '!'",
    "U&'\\0027'",
    "N'x'",
    ", 1",
    ", v = 7",
    ", c = 7",
    ", victim",
    ", victim AS o2",
    "x) RETURNING (1",
    " RETURNING 1",
    ") RETURNING 1 --",
    ") OR (true",
    ") OR true --",
    " OR true",
    " OR (true",
    " AND false",
    ") WHERE true --",
    " WHERE true",
    " FROM victim",
    "\nFROM victim",
    " UNION SELECT 1",
    " UNION ALL SELECT id FROM victim",
    " INTO evil",
    " ORDER BY 1",
    " LIMIT 1",
    " FOR UPDATE",
    " WINDOW w AS ()",
    " GROUP BY 1",
    " HAVING true",
    " OFFSET 1",
    " AS x",
    " x",
    "DISTINCT ",
    "ALL ",
    "*",
    "victim.*",
    "DEFAULT",
    "NULL",
    "true",
    "CURRENT OF x",
    " COLLATE \"C\"",
    "::int",
    "::text",
    "ROW(1)",
    "ROW(1, 2)",
    "(1, 2)",
    "ARRAY[1]",
    "'{1}'",
    "count(*)",
    "sum(v) OVER ()",
    "generate_series(1, 2)",
    "(SELECT max(id) FROM victim)",
    "(SELECT 1 UNION SELECT 2)",
    "(VALUES (1))",
    "(WITH d AS (DELETE FROM victim RETURNING id) SELECT count(*) FROM d)",
    "WITH d AS (DELETE FROM victim RETURNING id) SELECT 1 FROM d",
    "(SELECT id FROM victim FOR UPDATE LIMIT 1)",
    "DO $x$ BEGIN DROP TABLE victim; END $x$",
    "EXISTS (SELECT FROM victim)",
    "CALL x()",
    "id = 1",
    "v + 1",
    "c",
    "o.id",
    "tag",
    "length(tag)",
    "pgbackfill_band",
    "pgbackfill_first",
    "1",
    "'x'",
    "1/0",
    "1/(id - 3)",
    "now()",
    "+",
    "||",
    "=",
    " BETWEEN 1 AND",
    " IS NULL",
    " NOTNULL",
    "NOT ",
    "CASE WHEN true THEN 1",
    " END",
    "\n",
    "\r",
    "\t",
    "\u{b}",
    "\u{0}",
    "\u{feff}",
    "\u{a0}",
    "\u{2028}",
    "😀",
    "\\",
    "\\gexec",
    "\\.",
    ":x",
    "?",
    "{",
    "}",
    "[",
    "]",
    "@",
    "`",
    "%",
    "&&",
    "&",
    "|",
];

fn pieces(most: usize) -> impl Strategy<Value = String> {
    vec(select(PIECES).prop_map(str::to_owned), 1..=most).prop_map(|pieces| pieces.concat())
}

/// Something right with odd pieces around it, or odd pieces alone.
fn around(right: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (select(right), pieces(3)).prop_map(|(right, odd)| format!("{right}{odd}")),
        1 => (pieces(2), select(right), pieces(1)).prop_map(|(before, right, odd)| format!("{before}{right}{odd}")),
        1 => pieces(4),
        // Comments and quotes that are closed are no attack.
        2 => (select(vec!["", "/* ; */ ", "/* ) */", "--)\n", "/* /* ' */ */"]), select(right), select(vec!["", " -- );", "/*$1*/", " /* x */ --"]))
            .prop_map(|(before, right, after)| format!("{before}{right}{after}")),
    ]
}

fn values() -> impl Strategy<Value = String> {
    around(&[
        "v + 1",
        "id",
        "(SELECT 5)",
        "'7'",
        "length(tag)",
        "CASE WHEN v = 0 THEN 3 END",
        "length('\\''')",
        "length(E'\\'')",
    ])
}

fn conditions() -> impl Strategy<Value = String> {
    let hostile = || around(&["id <= 6", "id % 2 = 0", "tag = 'a'", "true", "v IS NOT NULL", "tag <> '\\'"]);
    prop_oneof![
        2 => Just("id <= 6".to_owned()),
        2 => hostile().prop_map(|text| format!("id <= 6 AND {text}")),
        2 => hostile(),
        1 => (hostile(), hostile()).prop_map(|(one, other)| format!("{one} OR {other}")),
    ]
}

fn lookups() -> impl Strategy<Value = (String, String)> {
    let items = around(&[
        "other AS o",
        "other o JOIN other AS p ON p.id = o.id",
        "(SELECT id FROM other) AS o",
        "generate_series(1, 5) AS o (id)",
    ]);
    let joins = prop_oneof![2 => Just("o.id = $t.id".to_owned()), 2 => around(&["o.id = $t.id", "o.id = $t.id AND true", "true"])];
    prop_oneof![items.boxed(), Just("other AS o".to_owned()).boxed()]
        .prop_flat_map(move |item| (Just(item), joins.clone()))
}

fn cases() -> impl Strategy<Value = Case> {
    let usual = Just("v + 1".to_owned());
    (
        prop_oneof![2 => values().boxed(), 1 => usual.boxed()],
        proptest::option::weighted(0.6, conditions()),
        proptest::option::weighted(0.3, lookups()),
        select(vec![1_u32, 2, 8]),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(set, filter, lookup, stripes, wal_is_counted, odd)| Case {
            set,
            filter,
            lookup,
            stripes,
            wal_is_counted,
            odd,
        })
}

const VICTIM: &str =
    "SELECT hashtext(string_agg(victim::text || ctid::text, ',' ORDER BY id))::bigint FROM victim";

async fn world() -> World {
    let world = World::new().await;
    for place in &world.places {
        let tables = "
            CREATE TABLE victim (id int PRIMARY KEY, tag text);
            INSERT INTO victim SELECT i, 'x' FROM generate_series(1, 5) AS i;
            CREATE TABLE other (id int PRIMARY KEY);
            INSERT INTO other SELECT i FROM generate_series(3, 8) AS i";
        place.execute(tables).await;
    }
    world
}

fn toml(case: &Case, table: &str) -> String {
    let change = format!("table = '{table}'\nset.c = 'c + 1'\nset.v = {}\n", basic(&case.set));
    let filter = case.filter.as_ref().map(|filter| format!("where = {}\n", basic(filter)));
    let lookup = case
        .lookup
        .as_ref()
        .map(|(from, on)| format!("from = {}\non = {}\n", basic(from), basic(&on.replace("$t", table))));
    let counted = case.wal_is_counted.then(|| "pace.max_wal_per_second = '10GiB'\n".to_owned());
    let pace = format!("pace.mode = 'full'\npace.max_rows_per_batch = 2\norder.stripes = {}\n", case.stripes);
    [Some(change), filter, lookup, counted, Some(pace)].into_iter().flatten().collect()
}

/// What the texts mean where each stands alone in parentheses: keys of the rows that they select, and the
/// values there.
fn meaning(case: &Case, table: &str) -> String {
    let condition = case.filter.as_deref().unwrap_or("true");
    let (item, on) = match &case.lookup {
        Some((item, on)) => (format!(", {item}\n"), on.replace("$t", table)),
        None => (String::new(), "true".to_owned()),
    };
    format!(
        "SELECT {table}.id, array_agg((\n{}\n)::int) FROM before_{table} AS {table}{item} WHERE (\n{on}\n) AND (\n{condition}\n) GROUP BY {table}.id ORDER BY 1",
        case.set
    )
}

/// The rows that were changed, how often, and to what.
async fn assert_meant(place: &Place, case: &Case, table: &str) -> i64 {
    let meant = place
        .client
        .query(&meaning(case, table), &[])
        .await
        .unwrap_or_else(|error| panic!("it has no meaning: {error:?}"));
    let meant: Vec<(i32, Vec<Option<i32>>)> = meant.iter().map(|row| (row.get(0), row.get(1))).collect();
    let changed = format!("SELECT id, c, v FROM {table} WHERE c <> 0 OR v <> 0 OR v IS NULL ORDER BY id");
    let changed = place.client.query(&changed, &[]).await.unwrap();
    assert_eq!(changed.len(), meant.len(), "rows changed and rows meant");
    for (row, (id, values)) in changed.iter().zip(&meant) {
        assert_eq!((row.get::<_, i32>(0), row.get::<_, i32>(1)), (*id, 1), "(row, times changed)");
        assert!(
            values.contains(&row.get(2)),
            "row {id} has {:?}, not one of {values:?}",
            row.get::<_, Option<i32>>(2)
        );
    }
    meant.len() as i64
}

async fn contained(world: &World, case: Case) {
    let (number, place) = (world.number(), world.place(case.odd));
    let table = format!("t_{number}");
    place
        .execute(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, v int DEFAULT 0, c int NOT NULL DEFAULT 0, tag text);
             INSERT INTO {table} SELECT i, 0, 0, chr(96 + i) FROM generate_series(1, {ROWS}) AS i;
             CREATE TABLE before_{table} AS SELECT * FROM {table}"
        ))
        .await;
    let victim = place.count(VICTIM).await;
    let ran = match job(number, &toml(&case, &table)) {
        Ok(job) => {
            let ran = place.run(&job).await;
            if ran.is_ok() {
                assert_reviewed(place, &job).await;
            }
            ran
        }
        Err(errors) => Err(EngineError::Job(errors)),
    };
    match ran {
        Ok(ran) if ran.summary.outcome == Outcome::Complete => {
            let changed = assert_meant(place, &case, &table).await;
            assert_run(&place.client, ran.summary.run, ROWS, changed).await;
        }
        // An expression that fails for some row's values is one nevertheless.
        Ok(ran) => {
            let reason = ran.summary.reason.unwrap_or_default();
            assert!(reason.contains(" [SQLSTATE "), "{reason}");
            let failed =
                place.client.query(&meaning(&case, &table), &[]).await.expect_err("alone it does not fail");
            assert!(failed.code() != Some(&SqlState::SYNTAX_ERROR), "{failed:?}");
        }
        Err(EngineError::Job(errors)) => assert_placed(&errors),
        Err(other) => panic!("{other}"),
    }
    assert_eq!(place.count(VICTIM).await, victim, "somebody was at the table of others");
    let twice = place.count(&format!("SELECT count(*) FROM {table} WHERE c > 1")).await;
    let rows = place.count(&format!("SELECT count(*) FROM {table}")).await;
    let evil = place.count("SELECT count(*) FROM pg_class WHERE relname = 'evil'").await;
    assert_eq!((twice, rows, evil), (0, ROWS, 0), "(rows changed twice, rows, tables made)");
}

/// The review asks the server about the texts in other ways, and each must take them.
async fn assert_reviewed(place: &Place, job: &Job) {
    let params = ConnectParams::resolve(place.db.url(), &|_| None).unwrap();
    let mut session = Pool::new(&params, 1).unwrap().session().await.unwrap();
    let server = catalog::server(&session).await.unwrap();
    let plan =
        plan::preflight(&mut session, job, &server.user, pgbackfill::run::RunKind::Backfill).await.unwrap();
    let facts = look(&mut session, job, &plan).await;
    let findings =
        judge(&Subject { job, plan: &plan, server: &server, facts: &facts, measured: None, estimate: None });
    for finding in findings {
        let is_of_the_rows = finding.fact.contains("a sample of the rows: division by zero");
        assert!(finding.code != "incomplete" || is_of_the_rows, "{}", finding.fact);
    }
}

#[test]
fn an_expression_that_tries_to_escape_is_refused_or_means_what_it_means_alone() {
    each(120, &cases(), world, contained);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_means_after_a_restart_what_it_meant_at_the_start() {
    let place = Place::new("").await;
    place
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, d int DEFAULT 1, n int);
             INSERT INTO t SELECT i FROM generate_series(1, 9) AS i;
             UPDATE t SET d = 0 WHERE id = 5",
        )
        .await;
    let toml = "table = 't'\nset.n = '''length('\\\\') / d'''\npace.workers = 1\npace.max_rows_per_batch = 1\norder.stripes = 1\n";
    let job = job(1, toml).unwrap();
    assert_eq!(place.run(&job).await.unwrap().summary.outcome, Outcome::Blocked);
    let off = "ALTER DATABASE $db SET standard_conforming_strings = off; UPDATE t SET d = 1";
    place.execute(&off.replace("$db", &place.db.name)).await;
    assert_eq!(place.run(&job).await.unwrap().summary.outcome, Outcome::Complete);
    assert_eq!(place.count("SELECT count(*) FROM t WHERE n = 2").await, 9);
}
