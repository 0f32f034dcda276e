//! Queries of a job's own signals that try to be more than one number.
//!
//! Must not know: what the guard does about a number.

use pgbackfill::engine::EngineError;
use pgbackfill::event::Outcome;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{World, assert_placed, basic, each, job};
use crate::support::oracle::{assert_once, assert_run};

const PIECES: &[&str] = &[
    "SELECT 0",
    "SELECT 0.5",
    "SELECT '1'",
    "VALUES (0)",
    "TABLE victim",
    "TABLE nobody",
    "SELECT 1 WHERE false",
    "SELECT 1/0",
    "SELECT id FROM victim",
    "SELECT 0, 0",
    "SELECT",
    "DROP TABLE victim",
    "DELETE FROM victim",
    "DELETE FROM victim RETURNING 1",
    "INSERT INTO victim VALUES (9) RETURNING 1",
    "WITH d AS (DELETE FROM victim RETURNING id) SELECT count(*) FROM d",
    "SELECT set_config('transaction_read_only', 'off', true)::int",
    "SET TRANSACTION READ WRITE",
    "SELECT nextval('counter')",
    "SELECT id FROM victim FOR UPDATE",
    "COMMIT",
    "BEGIN",
    "; COMMIT",
    "; DROP TABLE victim",
    ";",
    ";;",
    "; --",
    ")",
    "), (SELECT 1",
    "), (SELECT nextval('counter')",
    ")::float8; DROP TABLE victim; SELECT (1",
    "--",
    " -- x",
    "\n",
    "/*",
    "*/",
    "/* x */",
    "'",
    "$$",
    "$1",
    "E'\\''",
    "\u{0}",
    "(",
    " UNION ALL SELECT 2",
    " LIMIT 1",
    "::text",
    " x",
    "EXPLAIN SELECT 1",
    "COPY victim TO STDOUT",
    "LOCK victim",
    "VACUUM",
    "SELECT 'NaN'",
    "SELECT NULL",
    "SELECT pg_notify('a', 'b')",
    "SELECT 1 INTO evil",
];

fn queries() -> impl Strategy<Value = String> {
    let piece = || select(PIECES).prop_map(str::to_owned);
    prop_oneof![1 => piece(), 2 => vec(piece(), 2..4).prop_map(|pieces| pieces.concat())]
}

async fn world() -> World {
    let world = World::new().await;
    for place in &world.places {
        let tables = "CREATE TABLE victim (id int PRIMARY KEY); INSERT INTO victim VALUES (1), (2); CREATE SEQUENCE counter";
        place.execute(tables).await;
    }
    world
}

async fn contained(world: &World, (query, odd): (String, bool)) {
    let (number, place) = (world.number(), world.place(odd));
    let table = format!("t_{number}");
    place
        .execute(&format!("CREATE TABLE {table} (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO {table} SELECT generate_series(1, 9)"))
        .await;
    let toml = format!(
        "table = '{table}'\nset.n = 'n + 1'\npace.mode = 'full'\npace.max_rows_per_batch = 2\n[[guard.sql]]\nname = 'own'\nquery = {}\nlimit = 10\n",
        basic(&query)
    );
    let ran = match job(number, &toml) {
        Ok(job) => place.run(&job).await,
        Err(errors) => Err(EngineError::Job(errors)),
    };
    match ran {
        Ok(ran) => {
            // A number that cannot be read is borne for longer than nine rows take.
            assert_eq!(ran.summary.outcome, Outcome::Complete);
            assert_once(&place.client, &table, 9).await;
            assert_run(&place.client, ran.summary.run, 9, 9).await;
        }
        Err(EngineError::Job(errors)) => assert_placed(&errors),
        Err(other) => panic!("{other}"),
    }
    let left = place
        .count(
            "SELECT (SELECT count(*) FROM victim) + (SELECT count(*) FROM pg_class WHERE relname = 'evil')",
        )
        .await;
    let drawn = place.count("SELECT count(*) FROM counter WHERE is_called").await;
    assert_eq!((left, drawn), (2, 0), "a query that only reads has changed something");
}

#[test]
fn a_query_of_a_signal_can_change_nothing() {
    each(60, &(queries(), any::<bool>()), world, contained);
}

#[test]
fn a_query_that_the_server_does_not_take_is_refused_at_its_place() {
    let queries = [
        "SELECT 1), (SELECT 2",
        "SELECT 1; DROP TABLE victim",
        "DELETE FROM victim RETURNING 1",
        "SELECT 0, 0",
        "SELECT $1::int",
        "TABLE nobody",
        "SELECT 'x'::jsonb",
    ];
    each(queries.len() as u32 * 2, &select(queries.to_vec()), world, async |world, query| {
        let (number, place) = (world.number(), world.place(false));
        place.execute(&format!("CREATE TABLE t_{number} (id int PRIMARY KEY, n int)")).await;
        let toml = format!(
            "table = 't_{number}'\nset.n = '1'\n[[guard.sql]]\nlimit = 1\nquery = {}\n",
            basic(query)
        );
        let Err(EngineError::Job(errors)) = place.run(&job(number, &toml).unwrap()).await else {
            panic!("{query} was taken")
        };
        assert_placed(&errors);
        assert!(errors.to_string().contains("job.toml:5:9"), "{errors}");
    });
}
