//! Faults of the text that a person wrote: the file, its keys, its expressions.
//!
//! Must not know: rights, other sessions.

use std::fs;

use super::{GOOD, ORDERS, database_with, job_dir, refused};
use crate::support::Pgbackfill;

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
async fn an_unknown_column_suggests_the_one_that_was_meant_wherever_it_stands() {
    let db = database_with(ORDERS).await;
    insta::assert_snapshot!(refused(&db, "table = 'orders'\nset.status_v3 = \"'x'\"\n", 2).await, @r#"
    error[unknown-column]: "public"."orders" has no column "status_v3"
     --> job.toml:2:5
      |
    2 | set.status_v3 = "'x'"
      |     ^^^^^^^^^
      hint: did you mean "status_v2"?
    "#);
    insta::assert_snapshot!(refused(&db, "table = 'orders'\nset.note = \"'x'\"\n", 2).await, @r#"
    error[unknown-column]: "public"."orders" has no column "note"
     --> job.toml:2:5
      |
    2 | set.note = "'x'"
      |     ^^^^
      hint: add it first: ALTER TABLE "public"."orders" ADD COLUMN "note" …
    "#);
    let inside = "table = 'orders'\nset.status_v2 = 'upper(statsu::text)'\nwhere = 'totl > 0'\n";
    insta::assert_snapshot!(refused(&db, inside, 2).await, @r#"
    error[bad-expression]: column "statsu" does not exist
     --> job.toml:2:17
      |
    2 | set.status_v2 = 'upper(statsu::text)'
      |                 ^^^^^^^^^^^^^^^^^^^^^
      hint: Perhaps you meant to reference the column "orders.status".
      the server points here:
          upper(statsu::text)
                ^

    error[bad-expression]: column "totl" does not exist
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
async fn what_is_not_one_expression_is_refused_and_the_place_is_shown() {
    let db = database_with(ORDERS).await;
    let set = async |expression: &str| {
        refused(&db, &format!("table = 'orders'\nset.status_v2 = \"{expression}\"\n"), 2).await
    };
    insta::assert_snapshot!(set("upper(status::text").await, @r#"
    error[bad-expression]: syntax error at its end: something is missing
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
    error[bad-expression]: syntax error at or near ")"
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
    error[bad-expression]: aggregate functions are not allowed in SET
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
    error[bad-expression]: more than one statement
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
    error[bad-expression]: more than one value for one column
     --> job.toml:2:17
      |
    2 | set.status_v2 = "status, total"
      |                 ^^^^^^^^^^^^^^^
      hint: write one SQL expression for each column, each behind a set.<column> of its own
    "#);
    insta::assert_snapshot!(set("$1").await, @r#"
    error[bad-expression]: a parameter such as $1, and nothing to put there
     --> job.toml:2:17
      |
    2 | set.status_v2 = "$1"
      |                 ^^^^
      hint: a job has no parameters: write the value itself
    "#);
    insta::assert_snapshot!(set("'x").await, @r#"
    error[bad-expression]: unterminated quoted string
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
    error[bad-expression]: syntax error at or near "FROM"
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
    error[bad-expression]: syntax error at its end: something is missing
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
    error[bad-expression]: syntax error at or near ")"
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
    error[bad-expression]: syntax error at or near ")"
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
    error[bad-expression]: more than one statement
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
    error[bad-expression]: a parameter such as $1, and nothing to put there
     --> job.toml:3:9
      |
    3 | where = 'id = $1'
      |         ^^^^^^^^^
      hint: a job has no parameters: write the value itself
    "#);
    insta::assert_snapshot!(filter("status").await, @r#"
    error[bad-expression]: argument of WHERE must be type boolean, not type integer
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
    error[bad-expression]: column "status" is of type integer but expression is of type text
     --> job.toml:2:14
      |
    2 | set.status = 'status_v2'
      |              ^^^^^^^^^^^
      hint: You will need to rewrite or cast the expression.
    "#);
}
