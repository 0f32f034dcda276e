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
    insta::assert_snapshot!(said("jbo.toml").await.expect_code(2).stderr, @r#"
    error: cannot read jbo.toml: No such file or directory (os error 2)
    hint: did you mean job.toml?
    "#);
    insta::assert_snapshot!(said("elsewhere.toml").await.expect_code(2).stderr, @r#"
    error: cannot read elsewhere.toml: No such file or directory (os error 2)
    hint: name a job file, or write the job as --table and --set
    "#);
    fs::write(dir.path().join("binary.toml"), [0xff, 0xfe, 0x00]).unwrap();
    insta::assert_snapshot!(said("binary.toml").await.expect_code(2).stderr, @r#"
    error: cannot read binary.toml: stream did not contain valid UTF-8
    hint: a job is TOML, which is UTF-8 text
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_file_are_shown_at_their_lines_all_at_once() {
    let db = database_with(ORDERS).await;
    insta::assert_snapshot!(refused(&db, "table = \"orders\nset.status_v2 = \"'x'\"\n", 2).await, @r#"
    error: the quotes of this text are not closed
     --> job.toml:1:16
      |
    1 | table = "orders
      |                ^
      hint: close it on its line, or write a text of several lines between """ and """
    "#);
    insta::assert_snapshot!(refused(&db, "table = 'orders'\nwher = 'id > 1'\nkey = 3\n", 2).await, @r#"
    error: unknown key `wher`
     --> job.toml:2:1
      |
    2 | wher = 'id > 1'
      | ^^^^
      hint: did you mean `where`?

    error: `key` is the number 3, not a column such as "id" or an array of columns
     --> job.toml:3:7
      |
    3 | key = 3
      |       ^

    error: `set` is missing
     --> job.toml
      hint: give each column its SQL expression, such as `status_v2 = "lower(status)"`
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_table_suggests_the_one_that_was_meant() {
    let db =
        database_with("CREATE TABLE orders (id int); CREATE SCHEMA app; CREATE TABLE app.users (id int)")
            .await;
    let refused = async |table: &str| refused(&db, &format!("table = '{table}'\nset.a = '1'\n"), 2).await;
    insta::assert_snapshot!(refused("ordres").await, @r#"
    error: there is no table "ordres" in this database
     --> job.toml:1:9
      |
    1 | table = 'ordres'
      |         ^^^^^^^^
      hint: did you mean "orders"?
    "#);
    insta::assert_snapshot!(refused("users").await, @r#"
    error: there is no table "users" in this database
     --> job.toml:1:9
      |
    1 | table = 'users'
      |         ^^^^^^^
      hint: did you mean "app.users"?
    "#);
    insta::assert_snapshot!(refused("zzz").await, @r#"
    error: there is no table "zzz" in this database
     --> job.toml:1:9
      |
    1 | table = 'zzz'
      |         ^^^^^
      hint: is it in another schema or another database? write schema.table
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_column_suggests_the_one_that_was_meant_wherever_it_stands() {
    let db = database_with(ORDERS).await;
    insta::assert_snapshot!(refused(&db, "table = 'orders'\nset.status_v3 = \"'x'\"\n", 2).await, @r#"
    error: "public"."orders" has no column "status_v3"
     --> job.toml:2:5
      |
    2 | set.status_v3 = "'x'"
      |     ^^^^^^^^^
      hint: did you mean "status_v2"?
    "#);
    insta::assert_snapshot!(refused(&db, "table = 'orders'\nset.note = \"'x'\"\n", 2).await, @r#"
    error: "public"."orders" has no column "note"
     --> job.toml:2:5
      |
    2 | set.note = "'x'"
      |     ^^^^
      hint: add it first: ALTER TABLE "public"."orders" ADD COLUMN "note" …
    "#);
    let inside = "table = 'orders'\nset.status_v2 = 'upper(statsu::text)'\nwhere = 'totl > 0'\n";
    insta::assert_snapshot!(refused(&db, inside, 2).await, @r#"
    error: column "statsu" does not exist
     --> job.toml:2:17
      |
    2 | set.status_v2 = 'upper(statsu::text)'
      |                 ^^^^^^^^^^^^^^^^^^^^^
      hint: Perhaps you meant to reference the column "orders.status".
      the server points here:
          upper(statsu::text)
                ^

    error: column "totl" does not exist
     --> job.toml:3:9
      |
    3 | where = 'totl > 0'
      |         ^^^^^^^^^^
      hint: Perhaps you meant to reference the column "orders.total".
      the server points here:
          totl > 0
          ^
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_must_not_be_set_are_refused_with_the_reason() {
    let db = database_with(ORDERS).await;
    let toml = "table = 'orders'\nset.id = 'id + 1'\nset.total_cents = '1'\nset.number = '1'\n";
    insta::assert_snapshot!(refused(&db, toml, 2).await, @r#"
    error: column "id" is part of the key
     --> job.toml:2:5
      |
    2 | set.id = 'id + 1'
      |     ^^
      hint: the key tells which rows are done, so it must not change

    error: column "total_cents" is generated
     --> job.toml:3:5
      |
    3 | set.total_cents = '1'
      |     ^^^^^^^^^^^
      hint: the server computes it: set the columns that it is computed from

    error: column "number" is GENERATED ALWAYS AS IDENTITY
     --> job.toml:4:5
      |
    4 | set.number = '1'
      |     ^^^^^^
      hint: only GENERATED BY DEFAULT lets an UPDATE set it: ALTER COLUMN … SET GENERATED BY DEFAULT first
    "#);
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
    insta::assert_snapshot!(refused("table = 'none'").await, @r#"
    error: "public"."none" has no primary key that can order it
     --> job.toml:1:9
      |
    1 | table = 'none'
      |         ^^^^^^
      hint: a key is one to four NOT NULL columns with a whole, valid, unique btree index of their own: make one with CREATE UNIQUE INDEX CONCURRENTLY and name its columns in key
    "#);
    insta::assert_snapshot!(refused("table = 'nullable'").await, @r#"
    error: "public"."nullable" has no primary key that can order it
     --> job.toml:1:9
      |
    1 | table = 'nullable'
      |         ^^^^^^^^^^
      hint: index nullable_id_key is unique and lacks only NOT NULL: ALTER TABLE "public"."nullable" ALTER COLUMN "id" SET NOT NULL, then key = ["id"]
    "#);
    insta::assert_snapshot!(refused("table = 'nullable'\nkey = 'id'").await, @r#"
    error: key column "id" may be NULL
     --> job.toml:2:7
      |
    2 | key = 'id'
      |       ^^^^
      hint: ALTER TABLE "public"."nullable" ALTER COLUMN "id" SET NOT NULL
    "#);
    insta::assert_snapshot!(refused("table = 'float'").await, @r#"
    error: key column "id" has type double precision, which cannot be a key
     --> job.toml:1:9
      |
    1 | table = 'float'
      |         ^^^^^^^
      hint: a key may have smallint, integer, bigint, numeric, uuid, text, character varying, date, timestamp without time zone, timestamp with time zone; this table offers key = ["code"] (index float_code_key)
    "#);
    insta::assert_snapshot!(refused("table = 'none'\nkey = ['idd']").await, @r#"
    error: "public"."none" has no column "idd"
     --> job.toml:2:7
      |
    2 | key = ['idd']
      |       ^^^^^^^
      hint: did you mean "id"?
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_one_expression_is_refused_and_the_place_is_shown() {
    let db = database_with(ORDERS).await;
    let set = async |expression: &str| {
        refused(&db, &format!("table = 'orders'\nset.status_v2 = \"{expression}\"\n"), 2).await
    };
    insta::assert_snapshot!(set("upper(status::text").await, @r#"
    error: syntax error at its end: something is missing
     --> job.toml:2:17
      |
    2 | set.status_v2 = "upper(status::text"
      |                 ^^^^^^^^^^^^^^^^^^^^
      hint: write one SQL expression, with all its parentheses closed and without a semicolon
      the server points here:
          upper(status::text
                            ^
    "#);
    insta::assert_snapshot!(set("upper(status::text))").await, @r#"
    error: syntax error at or near ")"
     --> job.toml:2:17
      |
    2 | set.status_v2 = "upper(status::text))"
      |                 ^^^^^^^^^^^^^^^^^^^^^^
      hint: write one SQL expression, with all its parentheses closed and without a semicolon
      the server points here:
          upper(status::text))
                             ^
    "#);
    insta::assert_snapshot!(set("max(status)").await, @r#"
    error: aggregate functions are not allowed in SET
     --> job.toml:2:17
      |
    2 | set.status_v2 = "max(status)"
      |                 ^^^^^^^^^^^^^
      hint: an expression sees one row at a time: use from and on to read another table, or a subquery in parentheses
      the server points here:
          max(status)
          ^
    "#);
    insta::assert_snapshot!(set("'x'; DROP TABLE orders").await, @r#"
    error: more than one statement
     --> job.toml:2:17
      |
    2 | set.status_v2 = "'x'; DROP TABLE orders"
      |                 ^^^^^^^^^^^^^^^^^^^^^^^^
      hint: write one SQL expression, with all its parentheses closed and without a semicolon
      the server points here:
          'x'; DROP TABLE orders
             ^
    "#);
    insta::assert_snapshot!(set("status, total").await, @r#"
    error: more than one value for one column
     --> job.toml:2:17
      |
    2 | set.status_v2 = "status, total"
      |                 ^^^^^^^^^^^^^^^
      hint: write one SQL expression for each column, each behind a set.<column> of its own
    "#);
    insta::assert_snapshot!(set("$1").await, @r#"
    error: a parameter such as $1, and nothing to put there
     --> job.toml:2:17
      |
    2 | set.status_v2 = "$1"
      |                 ^^^^
      hint: a job has no parameters: write the value itself
    "#);
    insta::assert_snapshot!(set("'x").await, @r#"
    error: unterminated quoted string
     --> job.toml:2:17
      |
    2 | set.status_v2 = "'x"
      |                 ^^^^
      hint: write one SQL expression, with all its parentheses closed and without a semicolon
      the server points here:
          'x
          ^
    "#);
    insta::assert_snapshot!(set("'x' FROM orders").await, @r#"
    error: syntax error at or near "FROM"
     --> job.toml:2:17
      |
    2 | set.status_v2 = "'x' FROM orders"
      |                 ^^^^^^^^^^^^^^^^^
      hint: write one SQL expression, with all its parentheses closed and without a semicolon
      the server points here:
          'x' FROM orders
              ^
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_one_condition_is_refused_and_the_place_is_shown() {
    let db = database_with(ORDERS).await;
    let filter = async |text: &str| refused(&db, &format!("{GOOD}where = '{text}'\n"), 2).await;
    insta::assert_snapshot!(filter("(status = 1").await, @r#"
    error: syntax error at its end: something is missing
     --> job.toml:3:9
      |
    3 | where = '(status = 1'
      |         ^^^^^^^^^^^^^
      hint: write one SQL expression, with all its parentheses closed and without a semicolon
      the server points here:
          (status = 1
                     ^
    "#);
    insta::assert_snapshot!(filter("status = 1)").await, @r#"
    error: syntax error at or near ")"
     --> job.toml:3:9
      |
    3 | where = 'status = 1)'
      |         ^^^^^^^^^^^^^
      hint: write one SQL expression, with all its parentheses closed and without a semicolon
      the server points here:
          status = 1)
                    ^
    "#);
    insta::assert_snapshot!(filter("status = 1) or (1=1").await, @r#"
    error: syntax error at or near ")"
     --> job.toml:3:9
      |
    3 | where = 'status = 1) or (1=1'
      |         ^^^^^^^^^^^^^^^^^^^^^
      hint: write one SQL expression, with all its parentheses closed and without a semicolon
      the server points here:
          status = 1) or (1=1
                    ^
    "#);
    insta::assert_snapshot!(filter("true; DELETE FROM orders").await, @r#"
    error: more than one statement
     --> job.toml:3:9
      |
    3 | where = 'true; DELETE FROM orders'
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: write one SQL expression, with all its parentheses closed and without a semicolon
      the server points here:
          true; DELETE FROM orders
              ^
    "#);
    insta::assert_snapshot!(filter("id = $1").await, @r#"
    error: a parameter such as $1, and nothing to put there
     --> job.toml:3:9
      |
    3 | where = 'id = $1'
      |         ^^^^^^^^^
      hint: a job has no parameters: write the value itself
    "#);
    insta::assert_snapshot!(filter("status").await, @r#"
    error: argument of WHERE must be type boolean, not type integer
     --> job.toml:3:9
      |
    3 | where = 'status'
      |         ^^^^^^^^
      hint: the server points here:
          status
          ^
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_type_is_refused_at_its_column() {
    let db = database_with(ORDERS).await;
    let toml = "table = 'orders'\nset.status = 'status_v2'\n";
    insta::assert_snapshot!(refused(&db, toml, 2).await, @r#"
    error: column "status" is of type integer but expression is of type text
     --> job.toml:2:14
      |
    2 | set.status = 'status_v2'
      |              ^^^^^^^^^^^
      hint: You will need to rewrite or cast the expression.
    "#);
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
         CREATE SEQUENCE a_sequence",
    )
    .await;
    let said = async |table: &str| refused(&db, &format!("table = '{table}'\nset.n = '1'\n"), 2).await;
    insta::assert_snapshot!(said("a_view").await, @r#"
    error: "public"."a_view" is a view
     --> job.toml:1:9
      |
    1 | table = 'a_view'
      |         ^^^^^^^^
      hint: name the table that holds the rows
    "#);
    insta::assert_snapshot!(said("a_materialized_view").await, @r#"
    error: "public"."a_materialized_view" is a materialized view
     --> job.toml:1:9
      |
    1 | table = 'a_materialized_view'
      |         ^^^^^^^^^^^^^^^^^^^^^
      hint: name the table that holds the rows
    "#);
    insta::assert_snapshot!(said("a_foreign_table").await, @r#"
    error: "public"."a_foreign_table" is a foreign table
     --> job.toml:1:9
      |
    1 | table = 'a_foreign_table'
      |         ^^^^^^^^^^^^^^^^^
      hint: name the table that holds the rows
    "#);
    insta::assert_snapshot!(said("a_sequence").await, @r#"
    error: "public"."a_sequence" is not a table
     --> job.toml:1:9
      |
    1 | table = 'a_sequence'
      |         ^^^^^^^^^^^^
      hint: name the table that holds the rows
    "#);
    insta::assert_snapshot!(said("t").await, @r#"
    error: other tables inherit from "public"."t"
     --> job.toml:1:9
      |
    1 | table = 't'
      |         ^^^
      hint: run a job for each of them: a key is unique only within one table
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_table_is_refused_even_if_it_is_named_with_its_schema() {
    let db = database().await;
    let owner = db.client().await;
    owner.batch_execute("CREATE TEMPORARY TABLE t (id int PRIMARY KEY, n int)").await.unwrap();
    let schema: String =
        owner.query_one("SELECT pg_my_temp_schema()::regnamespace::text", &[]).await.unwrap().get(0);
    let said = refused(&db, &format!("table = '{schema}.t'\nset.n = '1'\n"), 2).await;
    insta::assert_snapshot!(said.replace(&schema, "pg_temp_N"), @r#"
    error: "pg_temp_N"."t" is a temporary table
     --> job.toml:1:9
      |
    1 | table = 'pg_temp_N.t'
      |         ^^^^^^^^^^^^^
      hint: other sessions cannot see it: use a permanent table
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_reached_is_code_75() {
    let db = database_with(ORDERS).await;
    let dir = job_dir(GOOD);
    // Port 1 is nobody's, and a name with an empty label is refused without asking the network.
    for (url, words) in [
        (
            "postgresql://127.0.0.1:1/shop",
            "cannot connect to 127.0.0.1:1, database \"shop\": Connection refused",
        ),
        (
            "postgresql://db..invalid/shop",
            "cannot connect to db..invalid:5432, database \"shop\": failed to lookup",
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
    let nowhere = format!("{}/nowhere", db.url().rsplit_once('/').unwrap().0);
    let run = Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).env("DATABASE_URL", nowhere);
    let said = run.run().await.expect_code(75).stderr;
    let said = said.split_once(", database").unwrap().1;
    insta::assert_snapshot!(said, @r#"
     "nowhere": database "nowhere" does not exist [SQLSTATE 3D000]
    hint: psql -l lists the databases of a server; name one in the connection string or in PGDATABASE
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_string_that_nobody_can_read_is_a_matter_of_usage() {
    let dir = job_dir(GOOD);
    let said = |url: &'static str| Pgbackfill::new(["run", "job.toml", "--database", url]).in_dir(&dir).run();
    insta::assert_snapshot!(said("postgres:/shop").await.expect_code(2).stderr, @r#"
    error: connection string cannot be read: "postgres:/shop" has no value
    hint: write postgresql://user@host:5432/database or host=… dbname=…
    "#);
    insta::assert_snapshot!(said("host=h hots=x").await.expect_code(2).stderr, @r#"
    error: unknown connection parameter "hots"
    hint: did you mean "host"?
    "#);
    insta::assert_snapshot!(said("host=h port=many").await.expect_code(2).stderr, @r#"
    error: connection parameter port cannot be "many"
    hint: it takes a whole number
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_told_with_the_grant_that_gives_them() {
    let db = database_with(ORDERS).await;
    let role = role(&db, "GRANT SELECT ON orders TO $role").await;
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 2).await, @r#"
    error: role "app" may not read and update "public"."orders"
     --> job.toml:1:9
      |
    1 | table = 'orders'
      |         ^^^^^^^^
      hint: GRANT SELECT, UPDATE ON "public"."orders" TO "app"
    "#);
    let admin = db.client().await;
    admin.batch_execute(&format!("GRANT UPDATE (status) ON orders TO {role}")).await.unwrap();
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 2).await, @r#"
    error: permission denied for table orders
     --> job.toml:1:9
      |
    1 | table = 'orders'
      |         ^^^^^^^^
      hint: the role needs SELECT and UPDATE on the table: ask its owner for a GRANT
    "#);
    admin.batch_execute(&format!("GRANT UPDATE ON orders TO {role}")).await.unwrap();
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 1).await, @r#"
    error: cannot install the control schema "pgbackfill" in database "shop": role "app" may not (permission denied for database shop)
    hint: GRANT CREATE ON DATABASE "shop" TO "app", or CREATE SCHEMA pgbackfill AUTHORIZATION "app"
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_on_the_control_schema_are_asked_for_before_anything_is_written() {
    let db = database_with(ORDERS).await;
    let role = role(&db, "GRANT SELECT, UPDATE ON orders TO $role").await;
    let dir = job_dir(GOOD);
    Pgbackfill::new(["run", "job.toml"]).in_dir(&dir).on(&db).run().await.expect_code(0);
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 1).await, @r#"
    error: cannot write to the control schema "pgbackfill": role "app" may not (it needs SELECT, INSERT, UPDATE, DELETE on the tables in it)
    hint: its owner runs GRANT USAGE ON SCHEMA pgbackfill TO "app"; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgbackfill TO "app"
    "#);
    let list = || Pgbackfill::new(["list"]).env("DATABASE_URL", db.url_of(&role)).run();
    insta::assert_snapshot!(anonymous(&db, &role, &list().await.expect_code(1).stderr), @r#"
    error: cannot read the control schema "pgbackfill": role "app" may not (it needs SELECT on the tables in it)
    hint: its owner runs GRANT USAGE ON SCHEMA pgbackfill TO "app"; GRANT SELECT ON ALL TABLES IN SCHEMA pgbackfill TO "app"
    "#);
    let grant = format!(
        "GRANT USAGE ON SCHEMA pgbackfill TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA pgbackfill TO {role}"
    );
    db.client().await.batch_execute(&grant).await.unwrap();
    list().await.expect_code(0);
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 1).await, @r#"
    error: cannot write to the control schema "pgbackfill": role "app" may not (it needs SELECT, INSERT, UPDATE, DELETE on the tables in it)
    hint: its owner runs GRANT USAGE ON SCHEMA pgbackfill TO "app"; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgbackfill TO "app"
    "#);
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
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 1).await, @r#"
    error: cannot write to this database: role "app" may not (default_transaction_read_only is on)
    hint: somebody wants it so, for this role, database or server; if not: ALTER ROLE "app" SET default_transaction_read_only = off
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_security_that_would_hide_rows_is_refused() {
    let db = database_with(ORDERS).await;
    let rights = "GRANT SELECT, UPDATE ON orders TO $role; ALTER TABLE orders ENABLE ROW LEVEL SECURITY";
    let role = role(&db, rights).await;
    insta::assert_snapshot!(refused_as(&db, &role, GOOD, 2).await, @r#"
    error: row security hides rows of "public"."orders" from role "app"
     --> job.toml:1:9
      |
    1 | table = 'orders'
      |         ^^^^^^^^
      hint: rows would be passed over silently: run as the table's owner, or ALTER ROLE "app" BYPASSRLS
    "#);
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
    insta::assert_snapshot!(said, @r#"
    error: DIR/.s.PGSQL.PORT, database "shop" is a standby and cannot be written to
    hint: connect to the primary
    "#);
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
    insta::assert_snapshot!(refused(&db, GOOD, 1).await.replace("up to 2", "up to N"), @r#"
    error: the control schema "pgbackfill" has version 99, this program knows versions up to N
    hint: install the pgbackfill that made it, or a later one
    "#);
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
    let run = Pgbackfill::new(["run", "job.toml", "--max-rows-per-second", "200", "--workers", "1"]);
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
    assert!(said.stdout.contains(first), "{first}\nis not what the process says:\n{}", said.stdout);
    // Which range it was depends on the speed of the machine.
    match reason.split_once(", range ") {
        Some((table, rest)) => {
            format!("{table}, range N{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => reason,
    }
}

const COUNTED: &str = "
CREATE TABLE t (id int PRIMARY KEY, name text, n int NOT NULL DEFAULT 0);
INSERT INTO t SELECT i, 'x' FROM generate_series(1, 5000) AS i";
const COUNT_UP: &str = "table = 't'\nset.n = 'n + 1'\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_dropped_during_the_run_blocks_it() {
    let db = database_with(COUNTED).await;
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, "DROP TABLE t").await, @r#""public"."t", range N: relation "public.t" does not exist [SQLSTATE 42P01]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_table_under_the_same_name_blocks_the_run_and_is_not_touched() {
    let db = database_with(COUNTED).await;
    let swap =
        "BEGIN; ALTER TABLE t RENAME TO t_old; CREATE TABLE t AS SELECT id, name, 0 AS n FROM t_old; COMMIT";
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, swap).await, @r#"table "public"."t" changed under the run: another table bears its name now: it was renamed, or dropped and created again"#);
    let touched = "SELECT count(*) FROM t WHERE n <> 0";
    assert_eq!(db.client().await.query_one(touched, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_order_of_the_keys_blocks_the_run() {
    let db = database_with(COUNTED).await;
    let retype = "ALTER TABLE t ALTER COLUMN id TYPE bigint";
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, retype).await, @r#"table "public"."t" changed under the run: the type or the collation of a key column changed, and with it the order of the keys"#);
    let db = database_with(
        "CREATE TABLE t (id text PRIMARY KEY, n int NOT NULL DEFAULT 0);
         INSERT INTO t SELECT 'k' || i FROM generate_series(1, 5000) AS i",
    )
    .await;
    let recollate = "ALTER TABLE t ALTER COLUMN id TYPE text COLLATE \"POSIX\"";
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, recollate).await, @r#"table "public"."t" changed under the run: the type or the collation of a key column changed, and with it the order of the keys"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_column_of_another_type_blocks_the_run_with_the_servers_words() {
    let db = database_with(COUNTED).await;
    let retype = "ALTER TABLE t ALTER COLUMN n DROP DEFAULT, ALTER COLUMN n TYPE text";
    insta::assert_snapshot!(blocked_by(&db, "postgres", COUNT_UP, retype).await, @r#"
    "public"."t", range N: operator does not exist: text + integer [SQLSTATE 42883]
    hint: No operator matches the given name and argument types. You might need to add explicit type casts.
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_during_the_run_blocks_it() {
    let db = database_with(COUNTED).await;
    let rights = format!("GRANT SELECT, UPDATE ON t TO $role; GRANT CREATE ON DATABASE {} TO $role", db.name);
    let role = role(&db, &rights).await;
    let revoke = format!("REVOKE UPDATE ON t FROM {role}");
    insta::assert_snapshot!(anonymous(&db, &role, &blocked_by(&db, &role, COUNT_UP, &revoke).await), @r#""public"."t", range N: permission denied for table t [SQLSTATE 42501]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_security_switched_on_during_the_run_blocks_it() {
    let db = database_with(COUNTED).await;
    let rights = format!("GRANT SELECT, UPDATE ON t TO $role; GRANT CREATE ON DATABASE {} TO $role", db.name);
    let role = role(&db, &rights).await;
    let hide = "ALTER TABLE t ENABLE ROW LEVEL SECURITY";
    insta::assert_snapshot!(anonymous(&db, &role, &blocked_by(&db, &role, COUNT_UP, hide).await), @r#"table "public"."t" changed under the run: row security was switched on and hides rows from this role"#);
}
