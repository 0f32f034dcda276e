//! Every statement on a real server: the fixed ones prepare, the built ones use the index of the key, a
//! checkpoint stays HOT, and the control schema refuses states that cannot be.
//!
//! Must not know: who runs a statement and when.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use pgbackfill::change::{Change, Update};
use pgbackfill::connect::ConnectParams;
use pgbackfill::db::{Param, Pool, Session};
use pgbackfill::key::{KeyColumn, KeyType};
use pgbackfill::sandbox::Fsync;
use pgbackfill::scan::{Blocks, LeafOrder, Mark, Scan, Span, Stripe, Walk};
use pgbackfill::sql::settings::PLANNING;
use pgbackfill::sql::{self, Ident, Qualified, fixed};
use pgbackfill::stripe::{StripeBy, Striping};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::support::{Database, database, database_on, own_server, walks_by_block};

/// What holds in a batch and could change a plan.
const BATCH: &str = "SET LOCAL plan_cache_mode = force_custom_plan";

/// One of eight stripes, chosen by a hash, as any key can be.
static STRIPE: LazyLock<Stripe> =
    LazyLock::new(|| Stripe { striping: Striping::new(8, StripeBy::Hash).unwrap(), number: 3 });

/// A database with the control schema, and one run of one leaf in it.
async fn installed() -> (Database, Client) {
    let db = database().await;
    let client = install(&db).await;
    (db, client)
}

async fn install(db: &Database) -> Client {
    let client = db.client().await;
    client.batch_execute(fixed::SCHEMA_CREATE).await.unwrap();
    for step in fixed::SCHEMA_STEPS {
        client.batch_execute(step).await.unwrap();
    }
    client
        .batch_execute(
            "INSERT INTO pgbackfill.run (job, fingerprint, definition, job_text, knobs, target, target_name, key, settings, protocol,
                                         system_identifier, timeline, created_by)
             VALUES ('job', '', '', '', '{}', 0, 't', '[]', '{}', 1, '', 1, 'tester');
             INSERT INTO pgbackfill.leaf (run, number, relation, schema, name, shape, bound, state, rows_estimated)
             VALUES (1, 1, 0, 'public', 't', '', '{9}', 'open', 0)",
        )
        .await
        .unwrap();
    client
}

/// Adds ranges with these numbers, of which those after `open` are open and the others done.
async fn add_ranges(client: &Client, numbers: &str, open: i64) {
    let sql = format!(
        "INSERT INTO pgbackfill.range (run, number, leaf, hi, cursor, state, rows_planned)
         SELECT 1, i, 1, ARRAY[i::text], CASE WHEN i <= {open} THEN ARRAY[i::text] END,
                CASE WHEN i <= {open} THEN 'done' ELSE 'open' END, 1
         FROM generate_series({numbers}) AS i;
         ANALYZE pgbackfill.range"
    );
    client.batch_execute(&sql).await.unwrap();
}

async fn session(db: &Database) -> Session {
    let params = ConnectParams::resolve(db.url(), &|_| None).unwrap();
    Pool::new(&params, 1).unwrap().session().await.unwrap()
}

/// The plan of a statement under these settings.
async fn plan(session: &mut Session, settings: &str, sql: &str, params: &[Param<'_>]) -> String {
    session.begin(settings).await.unwrap();
    let rows = session.query(&format!("EXPLAIN (COSTS OFF) {sql}"), params).await;
    let rows = rows.unwrap_or_else(|error| panic!("{error}\n{sql}"));
    session.rollback().await.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
}

/// The plan finds its rows by this index, and reads nothing as a whole.
#[track_caller]
fn assert_uses(plan: &str, index: &str) {
    let forms = [format!(" using {index} on "), format!("Bitmap Index Scan on {index}")];
    assert!(forms.iter().any(|form| plan.contains(form)), "{index} is not used:\n{plan}");
    assert!(!plan.contains("Seq Scan"), "a table is read as a whole:\n{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fixed_statement_prepares() {
    let (_db, client) = installed().await;
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql");
    let named = fs::read_to_string(dir.join("fixed.rs")).unwrap();
    let mut prepared = 0;
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(named.contains(&format!("include_str!(\"{name}\")")), "nobody can run {name}");
            let prepare = client.prepare(&fs::read_to_string(&path).unwrap()).await;
            prepare.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            prepared += 1;
        }
    }
    assert!(prepared > 30, "only {prepared} statements were found");
}

#[test]
fn every_fixed_statement_begins_with_its_name() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql");
    let paths = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
    let statements: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "sql")).collect();
    assert!(statements.len() > 30, "only {} statements were found", statements.len());
    for path in statements {
        // Who looks into `pg_stat_activity` sees by it what a session is doing.
        let header = format!("-- name: {}\n", path.file_stem().unwrap().display());
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&header), "{} does not begin with {header}", path.display());
    }
}

/// A table of 10,000 rows with a key of each kind, and what the statements need to know of it.
struct Keyed {
    index: &'static str,
    scan: Scan,
    /// From a hundredth to a fiftieth of the table.
    span: Span,
}

const KEYED: &str = "
CREATE TABLE t (id bigint PRIMARY KEY, a int NOT NULL, b text NOT NULL, name text NOT NULL, n int NOT NULL DEFAULT 0);
INSERT INTO t SELECT i, i / 100, 'b' || lpad((i % 100)::text, 2, '0'), 'k' || lpad(i::text, 5, '0') FROM generate_series(0, 9999) AS i;
CREATE UNIQUE INDEX t_a_b ON t (a, b);
CREATE UNIQUE INDEX t_name ON t (name COLLATE \"C\");
VACUUM ANALYZE t";

fn keyed() -> [Keyed; 3] {
    let column = |name: &str, ty| KeyColumn { name: name.into(), ty, collate: None };
    let scan = |key| {
        let walk = Walk { alias: Ident("t".into()), key, joins_bands: true, reads_alone: true };
        walk.leaf(Qualified::new("public", "t"), LeafOrder::Keys)
    };
    let mark = |texts: &[&str]| Mark(texts.iter().map(|&text| text.to_owned()).collect());
    let span = |after: &[&str], through: &[&str]| Span { after: Some(mark(after)), through: mark(through) };
    let in_c = Some(("pg_catalog".to_owned(), "C".to_owned()));
    [
        Keyed {
            index: "t_pkey",
            scan: scan(vec![column("id", KeyType::BigInt)]),
            span: span(&["100"], &["200"]),
        },
        Keyed {
            index: "t_a_b",
            scan: scan(vec![column("a", KeyType::Integer), column("b", KeyType::Text)]),
            span: span(&["1", "b00"], &["2", "b00"]),
        },
        Keyed {
            index: "t_name",
            scan: scan(vec![KeyColumn { collate: in_c, ..column("name", KeyType::Text) }]),
            span: span(&["k00100"], &["k00200"]),
        },
    ]
}

/// A key of each kind, with and without a lower bound.
fn cases() -> impl Iterator<Item = Keyed> {
    let from_the_start =
        keyed().into_iter().map(|keyed| Keyed { span: Span { after: None, ..keyed.span }, ..keyed });
    keyed().into_iter().chain(from_the_start)
}

fn count_up() -> Change {
    let set = vec![(Ident("n".into()), "n + 1".into())];
    Change::Update(Update {
        set,
        quiet: vec![],
        filter: Some("n >= 0".into()),
        differs: None,
        lookup: None,
        keeps: None,
    })
}

async fn keyed_table() -> (Database, Session) {
    let db = database().await;
    // VACUUM runs in no transaction, so each statement is sent alone.
    let client = db.client().await;
    for statement in KEYED.split(';') {
        client.batch_execute(statement).await.unwrap();
    }
    let session = session(&db).await;
    (db, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_reads_its_rows_by_the_index_of_the_key() {
    let (_db, mut session) = keyed_table().await;
    for Keyed { index, scan, span } in cases() {
        let (change, rows) = (count_up(), scan.rows(&span, *STRIPE, 100));
        let statement = change.statement(&rows);
        assert_uses(&plan(&mut session, BATCH, statement.text(), &rows.params()).await, index);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_of_blocks_is_read_and_no_index() {
    if !walks_by_block().await {
        return;
    }
    let (db, mut session) = keyed_table().await;
    // By this index it would seem that there is next to nothing to read, whatever entries are dead.
    let client = db.client().await;
    client.batch_execute("CREATE INDEX t_n ON t (n) WHERE n > 0").await.unwrap();
    let walk = Walk { alias: Ident("t".into()), key: vec![], joins_bands: false, reads_alone: true };
    let blocks = Blocks { rows: 100.0, are_swept: false };
    let scan = walk.leaf(Qualified::new("public", "t"), LeafOrder::Heap(blocks));
    let place = |block: u32| Mark(vec![format!("({block},65535)")]);
    let set = vec![(Ident("n".into()), "0".into())];
    let change = Change::Update(Update {
        set,
        quiet: vec![],
        filter: Some("n > 0".into()),
        differs: None,
        lookup: None,
        keeps: None,
    });
    for after in [None, Some(place(9))] {
        let rows = scan.rows(&Span { after, through: place(19) }, *STRIPE, 100);
        let settings = format!("{BATCH}; {}", rows.settings);
        let found = plan(&mut session, &settings, &change.statement(&rows).whole(), &rows.params()).await;
        assert!(found.contains("Tid Range Scan on t"), "{found}");
    }
    let span = Span { after: Some(place(9)), through: place(9) };
    let rows = scan.rows(&span, Stripe::ALL, 100);
    let found = plan(&mut session, PLANNING, &asked(&scan, &span, "places"), &rows.params()).await;
    assert!(found.contains("Tid Range Scan on t"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bands_of_a_stripe_are_looked_up_one_by_one() {
    let (_db, mut session) = keyed_table().await;
    let [Keyed { scan, .. }, ..] = keyed();
    let striping = Striping::new(8, StripeBy::Bits { shift: 3 }).unwrap();
    // However many they are: reading all rows between the bounds and comparing each with each band is never
    // better.
    for through in [1100, 1500, 3000, 9999] {
        let span = Span { after: Some(Mark(vec!["1000".into()])), through: Mark(vec![through.to_string()]) };
        let (change, rows) = (count_up(), scan.rows(&span, Stripe { striping, number: 3 }, through / 8));
        assert!(rows.beside.is_some(), "no bands");
        let statement = change.statement(&rows);
        let settings = format!("{BATCH}; {}", rows.settings);
        let plan = plan(&mut session, &settings, statement.text(), &rows.params()).await;
        assert_uses(&plan, "t_pkey");
        assert!(plan.contains("Nested Loop") && !plan.contains("Join Filter"), "{plan}");
        assert!(plan.contains("Index Cond: ((id >= GREATEST("), "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_the_middle_of_a_composite_key_is_not_taken_for_a_large_part_of_the_table() {
    let (_db, mut session) = keyed_table().await;
    let [_, Keyed { scan, .. }, _] = keyed();
    let mark = |a: &str| Mark(vec![a.into(), "b00".into()]);
    let span = Span { after: Some(mark("50")), through: mark("51") };
    let (change, rows) = (count_up(), scan.rows(&span, *STRIPE, 100));
    session.begin(BATCH).await.unwrap();
    let explain = format!("EXPLAIN (FORMAT JSON) {}", change.statement(&rows).text());
    let row = session.query_one(&explain, &rows.params()).await.unwrap();
    let plan: serde_json::Value = row.get(0);
    let rows = plan[0]["Plan"]["Plans"][0]["Plan Rows"].as_f64().unwrap();
    // There are 100 of 10,000; each side on its own would give 2,500.
    assert!(rows < 500.0, "{plan:#}");
}

/// The statement by which the scan asks for this.
fn asked(scan: &Scan, span: &Span, what: &str) -> String {
    let found = scan.statements(span).into_iter().find(|(name, _)| *name == what);
    found.unwrap_or_else(|| panic!("the scan does not ask for {what}")).1
}

#[tokio::test(flavor = "multi_thread")]
async fn boundary_keys_are_read_from_the_index_alone() {
    let (_db, mut session) = keyed_table().await;
    for Keyed { index, scan, span } in cases() {
        let bounds = scan.rows(&span, Stripe::ALL, 100);
        let (skip, cells) = (9_i64, 128_i32);
        let mut params = bounds.params();
        params.extend([(&skip as _, Type::INT8), (&cells as _, Type::INT4)]);
        let found = plan(&mut session, PLANNING, &asked(&scan, &span, "cells"), &params).await;
        assert_uses(&found, index);
        assert_eq!(found.matches("Index Only Scan using").count(), 2, "the start and each step:\n{found}");
        let count = asked(&scan, &span, "count");
        assert_uses(&plan(&mut session, PLANNING, &count, &bounds.params()).await, index);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_key_is_read_from_the_end_of_the_index() {
    let (_db, mut session) = keyed_table().await;
    for Keyed { index, scan, span } in keyed() {
        let last = plan(&mut session, PLANNING, &asked(&scan, &span, "last"), &[]).await;
        let backward = format!("Index Only Scan Backward using {index} on ");
        assert!(last.contains(&backward) && !last.contains("Sort"), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_locked_by_its_key_and_the_target_is_not_read() {
    let (db, client) = installed().await;
    client
        .batch_execute(
            "CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)",
        )
        .await
        .unwrap();
    add_ranges(&client, "1, 10000", 9_990).await;
    let [Keyed { scan, .. }, ..] = keyed();
    let (run, number, table, key) = (1_i64, 9_999_i64, "public.t", vec!["id"]);
    let params: [Param<'_>; 4] =
        [(&run, Type::INT8), (&number, Type::INT8), (&table, Type::TEXT), (&key, Type::TEXT_ARRAY)];
    let plan = plan(&mut session(&db).await, BATCH, &sql::range_lock(&scan.source()), &params).await;
    assert!(plan.contains("Index Scan using range_pkey on range r"), "{plan}");
    assert!(plan.contains("One-Time Filter: false") && !plan.contains("Seq Scan on t"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_looks_at_open_ranges_only() {
    let (db, client) = installed().await;
    add_ranges(&client, "1, 10000", 9_990).await;
    let (run, hint, seconds, resting) = (1_i64, "worker", 1.0_f64, "resting");
    let params: [Param<'_>; 4] =
        [(&run, Type::INT8), (&hint, Type::TEXT), (&seconds, Type::FLOAT8), (&resting, Type::TEXT)];
    let plan = plan(&mut session(&db).await, BATCH, fixed::RANGE_CLAIM, &params).await;
    assert!(plan.contains(" using range_open on range r"), "{plan}");
    assert!(!plan.contains("Seq Scan on range"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_stay_hot_however_many_there_are() {
    // Of its own: what a transaction anywhere on a server still sees is not pruned, and then nothing can be
    // HOT for long.
    let server = own_server(Fsync::Off);
    let db = database_on(&server).await;
    let mut client = install(&db).await;
    add_ranges(&client, "1, 20", 0).await;
    let hot = "SELECT pg_stat_get_xact_tuples_hot_updated('pgbackfill.range'::regclass)";
    for i in 0..400_i64 {
        let txn = client.transaction().await.unwrap();
        let (cursor, number) = (vec![format!("{i:010}")], i % 20 + 1);
        let params: [Param<'_>; 12] = [
            (&1_i64, Type::INT8),
            (&number, Type::INT8),
            (&0_i32, Type::INT4),
            (&cursor, Type::TEXT_ARRAY),
            (&"open", Type::TEXT),
            (&10_i64, Type::INT8),
            (&10_i64, Type::INT8),
            (&0_u32, Type::OID),
            (&"a process with a name/0", Type::TEXT),
            (&1.0_f64, Type::FLOAT8),
            (&0_i64, Type::INT8),
            (&0_i64, Type::INT8),
        ];
        // What a backend has not reported yet counts, too, so only the difference tells.
        let before: i64 = txn.query_one(hot, &[]).await.unwrap().get(0);
        txn.query_typed(fixed::RANGE_CHECKPOINT, &params).await.unwrap();
        let after: i64 = txn.query_one(hot, &[]).await.unwrap().get(0);
        assert_eq!(after - before, 1, "checkpoint {i} was not HOT");
        txn.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_schema_refuses_states_that_cannot_be() {
    let (_db, client) = installed().await;
    add_ranges(&client, "1, 1", 0).await;
    for (impossible, change) in [
        ("done without a cursor", "UPDATE pgbackfill.range SET state = 'done', cursor = NULL"),
        ("done before the end", "UPDATE pgbackfill.range SET state = 'done', cursor = '{0}'"),
        ("done with a stripe left", "UPDATE pgbackfill.range SET state = 'done', cursor = hi, stripes = 2"),
        ("a third of a page", "UPDATE pgbackfill.range SET stripes = 3"),
        ("a stripe that is not there", "UPDATE pgbackfill.range SET stripe = 1"),
        ("a range of another state", "UPDATE pgbackfill.range SET state = 'paused'"),
        ("fewer than no rows", "UPDATE pgbackfill.range SET rows_changed = -1"),
        ("complete without a time", "UPDATE pgbackfill.run SET state = 'complete'"),
        ("a time without complete", "UPDATE pgbackfill.run SET completed_at = now()"),
        ("paused without a reason", "UPDATE pgbackfill.run SET state = 'paused'"),
        ("running for a reason", "UPDATE pgbackfill.run SET reason = 'because'"),
        ("a run of another state", "UPDATE pgbackfill.run SET state = 'done'"),
        ("planned without the bound", "UPDATE pgbackfill.leaf SET state = 'planned'"),
        ("open at the bound", "UPDATE pgbackfill.leaf SET frontier = bound"),
    ] {
        let error = client.batch_execute(change).await.expect_err(impossible);
        assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION), "{impossible}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_one_unfinished_run_at_most() {
    let (_db, client) = installed().await;
    let another = "INSERT INTO pgbackfill.run (job, fingerprint, definition, job_text, knobs, target, target_name, key, settings, protocol,
                                               system_identifier, timeline, created_by)
                   SELECT job, fingerprint, definition, job_text, knobs, target, target_name, key, settings, protocol, system_identifier,
                          timeline, created_by
                   FROM pgbackfill.run";
    let error = client.batch_execute(another).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION));
    client.batch_execute("UPDATE pgbackfill.run SET state = 'complete', completed_at = now()").await.unwrap();
    client.batch_execute(another).await.unwrap();
}
