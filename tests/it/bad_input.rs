//! Every bad input gets a message that a stranger can act on, the right exit code, and changes nothing.
//!
//! The messages are written out, because they are what a person sees at three in the morning. Must not know: how a fault is
//! found.

use std::fs;

use pgbackfill::sandbox::Fsync;
use tempfile::TempDir;

use crate::support::{Database, Pgbackfill, Running, database, database_on, own_server};

const ORDERS: &str = "
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    status int,
    total numeric,
    status_v2 text,
    total_cents bigint GENERATED ALWAYS AS (total * 100) STORED,
    number int GENERATED ALWAYS AS IDENTITY
);
INSERT INTO orders (id, status, total) VALUES (1, 0, 9.99), (2, 1, 5), (3, 2, 0)";

/// A job that fits [`ORDERS`].
const GOOD: &str = "table = 'orders'\nset.status_v2 = 'upper(status::text)'\n";

/// A database with these objects in it.
async fn database_with(sql: &str) -> Database {
    let db = database().await;
    db.client().await.batch_execute(sql).await.unwrap();
    db
}

/// A directory with the job in `job.toml`.
fn job_dir(toml: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("job.toml"), toml).unwrap();
    dir
}

/// Every object in the database that is not PostgreSQL's own, every row of every table, and where it lies.
async fn world(db: &Database) -> Vec<String> {
    let client = db.client().await;
    let objects = "
        SELECT c.oid::regclass::text, c.relkind = 'r', concat_ws(' ', c.oid::regclass, c.relkind, c.relfilenode)
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        ORDER BY c.oid";
    let mut world = Vec::new();
    for row in client.query(objects, &[]).await.unwrap() {
        world.push(row.get(2));
        if row.get(1) {
            let name: String = row.get(0);
            let rows = format!("SELECT ctid::text || t::text FROM ONLY {name} AS t ORDER BY ctid");
            world.extend(client.query(&rows, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)));
        }
    }
    world
}

/// What `pgbackfill run job.toml` says on stderr, after it has ended with this exit code and changed nothing.
async fn refused(db: &Database, toml: &str, code: i32) -> String {
    refused_as(db, "postgres", toml, code).await
}

/// The same as another role.
async fn refused_as(db: &Database, role: &str, toml: &str, code: i32) -> String {
    let (dir, before) = (job_dir(toml), world(db).await);
    let run = Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).env("DATABASE_URL", db.url_of(role));
    let said = run.run().await.expect_code(code);
    assert_eq!(said.stdout, "", "a refusal is no result");
    assert_eq!(world(db).await, before, "something was changed");
    anonymous(db, role, &said.stderr)
}

/// Without the names that are new in each run of the tests.
fn anonymous(db: &Database, role: &str, text: &str) -> String {
    let text = if role == "postgres" { text.to_owned() } else { text.replace(role, "app") };
    text.replace(&db.name, "shop").trim_end().to_owned()
}

/// A role of the test's own: roles belong to the server, which all tests share.
async fn role(db: &Database, rights: &str) -> String {
    let role = format!("app_of_{}", db.name);
    let sql = format!("CREATE ROLE {role} LOGIN; {}", rights.replace("$role", &role));
    db.client().await.batch_execute(&sql).await.unwrap();
    role
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_there_is_named_with_the_one_that_was_meant() {
    let dir = job_dir(GOOD);
    let said = |file: &'static str| Pgbackfill::new(["run", file]).in_dir(&dir).run();
    insta::assert_snapshot!(said("jbo.toml").await.expect_code(2).stderr, @"");
    insta::assert_snapshot!(said("elsewhere.toml").await.expect_code(2).stderr, @"");
    fs::write(dir.path().join("binary.toml"), [0xff, 0xfe, 0x00]).unwrap();
    insta::assert_snapshot!(said("binary.toml").await.expect_code(2).stderr, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_file_are_shown_at_their_lines_all_at_once() {
    let db = database_with(ORDERS).await;
    insta::assert_snapshot!(refused(&db, "table = \"orders\nset.status_v2 = \"'x'\"\n", 2).await, @"");
    insta::assert_snapshot!(refused(&db, "table = 'orders'\nwher = 'id > 1'\nkey = 3\n", 2).await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_table_suggests_the_one_that_was_meant() {
    let db =
        database_with("CREATE TABLE orders (id int); CREATE SCHEMA app; CREATE TABLE app.users (id int)")
            .await;
    let refused = async |table: &str| refused(&db, &format!("table = '{table}'\nset.a = '1'\n"), 2).await;
    insta::assert_snapshot!(refused("ordres").await, @"");
    insta::assert_snapshot!(refused("users").await, @"");
    insta::assert_snapshot!(refused("zzz").await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_column_suggests_the_one_that_was_meant_wherever_it_stands() {
    let db = database_with(ORDERS).await;
    insta::assert_snapshot!(refused(&db, "table = 'orders'\nset.status_v3 = \"'x'\"\n", 2).await, @"");
    insta::assert_snapshot!(refused(&db, "table = 'orders'\nset.note = \"'x'\"\n", 2).await, @"");
    let inside = "table = 'orders'\nset.status_v2 = 'upper(statsu::text)'\nwhere = 'totl > 0'\n";
    insta::assert_snapshot!(refused(&db, inside, 2).await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_must_not_be_set_are_refused_with_the_reason() {
    let db = database_with(ORDERS).await;
    let toml = "table = 'orders'\nset.id = 'id + 1'\nset.total_cents = '1'\nset.number = '1'\n";
    insta::assert_snapshot!(refused(&db, toml, 2).await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_usable_key_is_told_what_would_be_one() {
    let db = database_with(
        "CREATE TABLE none (id int, n int);
         CREATE TABLE nullable (id int UNIQUE, n int);
         CREATE TABLE float (id float8 PRIMARY KEY, code int NOT NULL UNIQUE, n int)",
    )
    .await;
    let refused = async |head: &str| refused(&db, &format!("{head}\nset.n = '1'\n"), 2).await;
    insta::assert_snapshot!(refused("table = 'none'").await, @"");
    insta::assert_snapshot!(refused("table = 'nullable'").await, @"");
    insta::assert_snapshot!(refused("table = 'nullable'\nkey = 'id'").await, @"");
    insta::assert_snapshot!(refused("table = 'float'").await, @"");
    insta::assert_snapshot!(refused("table = 'none'\nkey = ['idd']").await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_one_expression_is_refused_and_the_place_is_shown() {
    let db = database_with(ORDERS).await;
    let set = async |expression: &str| {
        refused(&db, &format!("table = 'orders'\nset.status_v2 = \"{expression}\"\n"), 2).await
    };
    insta::assert_snapshot!(set("upper(status::text").await, @"");
    insta::assert_snapshot!(set("upper(status::text))").await, @"");
    insta::assert_snapshot!(set("max(status)").await, @"");
    insta::assert_snapshot!(set("'x'; DROP TABLE orders").await, @"");
    insta::assert_snapshot!(set("status, total").await, @"");
    insta::assert_snapshot!(set("$1").await, @"");
    insta::assert_snapshot!(set("'x").await, @"");
    insta::assert_snapshot!(set("'x' FROM orders").await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_one_condition_is_refused_and_the_place_is_shown() {
    let db = database_with(ORDERS).await;
    let filter = async |text: &str| refused(&db, &format!("{GOOD}where = '{text}'\n"), 2).await;
    insta::assert_snapshot!(filter("(status = 1").await, @"");
    insta::assert_snapshot!(filter("status = 1)").await, @"");
    insta::assert_snapshot!(filter("status = 1) or (1=1").await, @"");
    insta::assert_snapshot!(filter("true; DELETE FROM orders").await, @"");
    insta::assert_snapshot!(filter("id = $1").await, @"");
    insta::assert_snapshot!(filter("status").await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_type_is_refused_at_its_column() {
    let db = database_with(ORDERS).await;
    let toml = "table = 'orders'\nset.status = 'status_v2'\n";
    insta::assert_snapshot!(refused(&db, toml, 2).await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_permanent_tables_with_rows_of_their_own_can_be_changed() {
    let db = database_with(
        "CREATE TABLE t (id int PRIMARY KEY, n int);
         CREATE VIEW a_view AS SELECT * FROM t;
         CREATE MATERIALIZED VIEW a_materialized_view AS SELECT * FROM t;
         CREATE FOREIGN DATA WRAPPER nothing;
         CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
         CREATE FOREIGN TABLE a_foreign_table (id int, n int) SERVER nowhere;
         CREATE TABLE a_child () INHERITS (t);
         CREATE SEQUENCE a_sequence;
         CREATE TABLE p (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
         CREATE FOREIGN TABLE p_old PARTITION OF p FOR VALUES FROM (0) TO (9) SERVER nowhere",
    )
    .await;
    let said = async |table: &str| refused(&db, &format!("table = '{table}'\nset.n = '1'\n"), 2).await;
    insta::assert_snapshot!(said("a_view").await, @"");
    insta::assert_snapshot!(said("a_materialized_view").await, @"");
    insta::assert_snapshot!(said("a_foreign_table").await, @"");
    insta::assert_snapshot!(said("a_sequence").await, @"");
    insta::assert_snapshot!(said("t").await, @"");
    // Without a unique index on its own, but the key is not what it lacks.
    let partitioned = "table = 'p_old'\nset.n = '1'\n";
    insta::assert_snapshot!(refused(&db, partitioned, 2).await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_table_is_refused_even_if_it_is_named_with_its_schema() {
    let db = database().await;
    let owner = db.client().await;
    owner.batch_execute("CREATE TEMPORARY TABLE t (id int PRIMARY KEY, n int)").await.unwrap();
    let schema: String =
        owner.query_one("SELECT pg_my_temp_schema()::regnamespace::text", &[]).await.unwrap().get(0);
    let said = refused(&db, &format!("table = '{schema}.t'\nset.n = '1'\n"), 2).await;
    insta::assert_snapshot!(said.replace(&schema, "pg_temp_N"), @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_reached_is_code_75() {
    let db = database_with(ORDERS).await;
    let dir = job_dir(GOOD);
    // Port 1 is nobody's, and RFC 2606 keeps `.invalid` free.
    for (url, words) in [
        (
            "postgresql://127.0.0.1:1/shop",
            "cannot connect to 127.0.0.1:1, database \"shop\": Connection refused",
        ),
        (
            "postgresql://db.invalid/shop",
            "cannot connect to db.invalid:5432, database \"shop\": failed to lookup",
        ),
        (
            "host=/nowhere dbname=shop",
            "cannot connect to /nowhere/.s.PGSQL.5432, database \"shop\": No such file",
        ),
    ] {
        for command in [["run", "job.toml"], ["status", "job"]] {
            let said =
                Pgbackfill::new(command).in_dir(&dir).env("DATABASE_URL", url).run().await.expect_code(75);
            assert!(said.stderr.contains(words) && said.stderr.contains("\nhint: "), "{}", said.stderr);
        }
    }
    let nowhere = db.url().replace(&db.name, "nowhere");
    let run = Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).env("DATABASE_URL", nowhere);
    let said = run.run().await.expect_code(75).stderr;
    let said = said.split_once(", database").unwrap().1;
    insta::assert_snapshot!(said, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_string_that_nobody_can_read_is_a_matter_of_usage() {
    let dir = job_dir(GOOD);
    let said = |url: &'static str| Pgbackfill::new(["run", "job.toml", "--database", url]).in_dir(&dir).run();
    insta::assert_snapshot!(said("postgres:/shop").await.expect_code(2).stderr, @"");
    insta::assert_snapshot!(said("host=h hots=x").await.expect_code(2).stderr, @"");
    insta::assert_snapshot!(said("host=h port=many").await.expect_code(2).stderr, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_told_with_the_grant_that_gives_them() {
    let db = database_with(ORDERS).await;
    let role = role(&db, "GRANT SELECT ON orders TO $role").await;
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 2).await, @"");
    let admin = db.client().await;
    admin.batch_execute(&format!("GRANT UPDATE (status) ON orders TO {role}")).await.unwrap();
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 2).await, @"");
    admin.batch_execute(&format!("GRANT UPDATE ON orders TO {role}")).await.unwrap();
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 1).await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_on_the_control_schema_are_asked_for_before_anything_is_written() {
    let db = database_with(ORDERS).await;
    let role = role(&db, "GRANT SELECT, UPDATE ON orders TO $role").await;
    let dir = job_dir(GOOD);
    Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).on(&db).run().await.expect_code(0);
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 1).await, @"");
    let list = || Pgbackfill::new(["list"]).env("DATABASE_URL", db.url_of(&role)).run();
    insta::assert_snapshot!(anonymous(&db, &role, &list().await.expect_code(1).stderr), @"");
    let grant = format!(
        "GRANT USAGE ON SCHEMA pgbackfill TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA pgbackfill TO {role}"
    );
    db.client().await.batch_execute(&grant).await.unwrap();
    list().await.expect_code(0);
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 1).await, @"");
    let grant = format!("GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgbackfill TO {role}");
    db.client().await.batch_execute(&grant).await.unwrap();
    let again = Pgbackfill::new(["run", "job.toml", "--new-run"]).in_dir(&dir);
    again.env("DATABASE_URL", db.url_of(&role)).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_read_only_is_refused() {
    let db = database_with(ORDERS).await;
    let role = role(&db, "ALTER ROLE $role SET default_transaction_read_only = on").await;
    let grants =
        format!("GRANT SELECT, UPDATE ON orders TO {role}; GRANT CREATE ON DATABASE {} TO {role}", db.name);
    db.client().await.batch_execute(&grants).await.unwrap();
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 1).await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_security_that_would_hide_rows_is_refused() {
    let db = database_with(ORDERS).await;
    let rights = "GRANT SELECT, UPDATE ON orders TO $role; ALTER TABLE orders ENABLE ROW LEVEL SECURITY";
    let role = role(&db, rights).await;
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 2).await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused() {
    let mut server = own_server(Fsync::Off);
    let db = database_on(&server).await;
    db.client().await.batch_execute(ORDERS).await.unwrap();
    // A server that recovers without a primary is as read-only as one that has one.
    fs::write(server.dir().join("data/standby.signal"), "").unwrap();
    server.restart().unwrap();
    let said = refused(&db, GOOD, 1).await;
    let said =
        said.replace(&server.dir().display().to_string(), "DIR").replace(&server.port().to_string(), "PORT");
    insta::assert_snapshot!(said, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_control_schema_upgrades_itself() {
    let db = database_with(ORDERS).await;
    let client = db.client().await;
    client.batch_execute("CREATE SCHEMA pgbackfill").await.unwrap();
    client.batch_execute(pgbackfill::sql::fixed::SCHEMA_STEPS[0]).await.unwrap();
    client.batch_execute("INSERT INTO pgbackfill.version VALUES (1, now(), 'somebody')").await.unwrap();
    // Looking needs no upgrade.
    Pgbackfill::new(["list"]).on(&db).run().await.expect_code(0);
    let dir = job_dir(GOOD);
    Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).on(&db).run().await.expect_code(0);
    client.batch_execute("SELECT pgbackfill.assert_complete('job')").await.unwrap();
    let version = "SELECT max(number), count(*) FROM pgbackfill.version";
    let row = client.query_one(version, &[]).await.unwrap();
    let latest = pgbackfill::store::SCHEMA_VERSION;
    assert_eq!((row.get::<_, i32>(0), row.get::<_, i64>(1)), (latest, latest.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_control_schema_is_left_alone_even_by_those_who_only_look() {
    let db = database_with(ORDERS).await;
    let dir = job_dir(GOOD);
    Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).on(&db).run().await.expect_code(0);
    let newer = "INSERT INTO pgbackfill.version VALUES (99, now(), 'somebody')";
    db.client().await.batch_execute(newer).await.unwrap();
    insta::assert_snapshot!(refused(&db, GOOD, 1).await.replace("up to 2", "up to N"), @"");
    for command in [["status", "job"], ["list", "--output=json"], ["pause", "job"], ["history", "job"]] {
        let said = Pgbackfill::new(command).on(&db).run().await.expect_code(1);
        assert!(said.stderr.contains("has version 99"), "{}", said.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_our_name_that_is_somebody_elses_is_left_alone() {
    for theirs in ["CREATE TABLE pgbackfill.progress (n int)", "CREATE TABLE pgbackfill.version (major int)"]
    {
        let db = database_with(&format!("{ORDERS}; CREATE SCHEMA pgbackfill; {theirs}")).await;
        let said = refused(&db, GOOD, 1).await;
        let list = Pgbackfill::new(["list"]).on(&db).run().await.expect_code(1);
        assert_eq!(said, list.stderr.trim_end());
        assert!(said.contains("is there, but not as a control schema: it holds \""), "{said}");
        assert!(said.contains("\nhint: rename or drop that schema, or use another database"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_schema_of_our_name_is_taken_as_prepared_for_us() {
    let db = database_with(ORDERS).await;
    let role =
        role(&db, "GRANT SELECT, UPDATE ON orders TO $role; CREATE SCHEMA pgbackfill AUTHORIZATION $role")
            .await;
    let dir = job_dir(GOOD);
    let run = Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).env("DATABASE_URL", db.url_of(&role));
    run.run().await.expect_code(0);
}

/// A run that is so slow that it has not ended whatever the test does, and has changed its first rows.
async fn slow_run(db: &Database, role: &str, toml: &str) -> (Running, TempDir) {
    let dir = job_dir(toml);
    let run = Pgbackfill::new(["run", "job.toml", "--max-rows-per-second", "200"]);
    let running = run.in_dir(&dir).env("DATABASE_URL", db.url_of(role)).spawn();
    db.until("(SELECT sum(rows_changed) FROM pgbackfill.range) > 0").await;
    (running, dir)
}

/// Why the run is blocked after `ddl` was done under it; its process says the same and exits with 1.
async fn blocked_by(db: &Database, role: &str, toml: &str, ddl: &str) -> String {
    let (running, _dir) = slow_run(db, role, toml).await;
    db.client().await.batch_execute(ddl).await.unwrap();
    let said = running.finish().await.expect_code(1);
    let row = db.client().await.query_one("SELECT state, reason FROM pgbackfill.run", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "blocked");
    let reason: String = row.get(1);
    let first = reason.lines().next().unwrap();
    assert!(said.stdout.contains(first) || said.stderr.contains(first), "{}\n{}", said.stdout, said.stderr);
    reason
}

const COUNTED: &str = "
CREATE TABLE t (id int PRIMARY KEY, name text, n int NOT NULL DEFAULT 0);
INSERT INTO t SELECT i, 'x' FROM generate_series(1, 5000) AS i";
const COUNT_UP: &str = "table = 't'\nset.n = 'n + 1'\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_dropped_during_the_run_blocks_it() {
    let db = database_with(COUNTED).await;
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, "DROP TABLE t").await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_table_under_the_same_name_blocks_the_run_and_is_not_touched() {
    let db = database_with(COUNTED).await;
    let swap =
        "BEGIN; ALTER TABLE t RENAME TO t_old; CREATE TABLE t AS SELECT id, name, 0 AS n FROM t_old; COMMIT";
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, swap).await, @"");
    let touched = "SELECT count(*) FROM t WHERE n <> 0";
    assert_eq!(db.client().await.query_one(touched, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_order_of_the_keys_blocks_the_run() {
    let db = database_with(COUNTED).await;
    let retype = "ALTER TABLE t ALTER COLUMN id TYPE bigint";
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, retype).await, @"");
    let db = database_with(
        "CREATE TABLE t (id text PRIMARY KEY, n int NOT NULL DEFAULT 0);
         INSERT INTO t SELECT 'k' || i FROM generate_series(1, 5000) AS i",
    )
    .await;
    let recollate = "ALTER TABLE t ALTER COLUMN id TYPE text COLLATE \"POSIX\"";
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, recollate).await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_column_of_another_type_blocks_the_run_with_the_servers_words() {
    let db = database_with(COUNTED).await;
    let retype = "ALTER TABLE t ALTER COLUMN n DROP DEFAULT, ALTER COLUMN n TYPE text";
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, retype).await, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_during_the_run_blocks_it() {
    let db = database_with(COUNTED).await;
    let rights = format!("GRANT SELECT, UPDATE ON t TO $role; GRANT CREATE ON DATABASE {} TO $role", db.name);
    let role = role(&db, &rights).await;
    let revoke = format!("REVOKE UPDATE ON t FROM {role}");
    insta::assert_snapshot!(anonymous(&db, &role, &blocked_by(&db, &role, COUNT_UP, &revoke).await), @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_security_switched_on_during_the_run_blocks_it() {
    let db = database_with(COUNTED).await;
    let rights = format!("GRANT SELECT, UPDATE ON t TO $role; GRANT CREATE ON DATABASE {} TO $role", db.name);
    let role = role(&db, &rights).await;
    let hide = "ALTER TABLE t ENABLE ROW LEVEL SECURITY";
    insta::assert_snapshot!(anonymous(&db, &role, &blocked_by(&db, &role, COUNT_UP, hide).await), @"");
}
