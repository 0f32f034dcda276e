//! Claims about the messages, as a person sees them.

use super::*;

fn errors(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

const FAULTY: &str = r#"tabel = "orders"
key = ["id", 7, "id"]
where = "  "
from = "users u"
[set]
status = 1
    id = "größer"
[pace]
workers = 65
wokers = 1
retries = 2
batch_time = 100
mode = "fast"
min_rows_per_batch = 7
max_rows_per_batch = 5
[limits]
statement_timeout = "100ms"
"#;

#[test]
fn all_faults_are_told_at_once_each_at_its_line() {
    insta::assert_snapshot!(errors(FAULTY), @r#"
    error: unknown key `tabel`
     --> jobs/x.toml:1:1
      |
    1 | tabel = "orders"
      | ^^^^^
      hint: did you mean `table`?

    error: a column of `key` is the number 7, not a text in quotes
     --> jobs/x.toml:2:14
      |
    2 | key = ["id", 7, "id"]
      |              ^

    error: column `id` is twice in the key
     --> jobs/x.toml:2:17
      |
    2 | key = ["id", 7, "id"]
      |                 ^^^^

    error: `where` is empty
     --> jobs/x.toml:3:9
      |
    3 | where = "  "
      |         ^^^^

    error: `from` without `on`
     --> jobs/x.toml:4:8
      |
    4 | from = "users u"
      |        ^^^^^^^^^
      hint: add `on`, such as `u.legacy_id = orders.legacy_user_id`

    error: the expression for `status` is the number 1, not a text in quotes
     --> jobs/x.toml:6:10
      |
    6 | status = 1
      |          ^
      hint: an expression is SQL text: write "1"

    error: column `id` is both in the key and in `set`
     --> jobs/x.toml:7:5
      |
    7 |     id = "größer"
      |     ^^
      hint: a key that moves would be passed twice or never: use another key

    error: `workers`: `65` is not between 1 and 64
     --> jobs/x.toml:9:11
      |
    9 | workers = 65
      |           ^^

    error: unknown key `wokers`
      --> jobs/x.toml:10:1
       |
    10 | wokers = 1
       | ^^^^^^
       hint: did you mean `workers`?

    error: unknown key `retries`
      --> jobs/x.toml:11:1
       |
    11 | retries = 2
       | ^^^^^^^
       hint: `retries` belongs under [limits]

    error: `batch_time` is the number 100, not a duration such as "200ms"
      --> jobs/x.toml:12:14
       |
    12 | batch_time = 100
       |              ^^^

    error: `mode`: `fast` is neither `auto` nor `full`
      --> jobs/x.toml:13:8
       |
    13 | mode = "fast"
       |        ^^^^^^

    error: min_rows_per_batch is 7, more than max_rows_per_batch, which is 5
      --> jobs/x.toml:14:22
       |
    14 | min_rows_per_batch = 7
       |                      ^

    error: statement_timeout is 100 ms, not more than batch_time, which is 100 ms
      --> jobs/x.toml:17:21
       |
    17 | statement_timeout = "100ms"
       |                     ^^^^^^^
       hint: give a statement several times the batch_time

    error: `table` is missing
     --> jobs/x.toml
      hint: name the table to change, such as `orders` or `app.orders`
    "#);
}

#[test]
fn what_is_missing_is_said_at_the_file() {
    insta::assert_snapshot!(errors("description = \"\"\n"), @r#"
    error: `description` is empty
     --> jobs/x.toml:1:15
      |
    1 | description = ""
      |               ^^

    error: `set` is missing
     --> jobs/x.toml
      hint: give each column its SQL expression, such as `status_v2 = "lower(status)"`

    error: `table` is missing
     --> jobs/x.toml
      hint: name the table to change, such as `orders` or `app.orders`
    "#);
}

#[test]
fn a_syntax_error_does_not_hide_the_faults_of_other_lines() {
    insta::assert_snapshot!(errors("table = orders\nkey = [\nset.a = \"x\n"), @r#"
    error: a text must be in quotes
     --> jobs/x.toml:1:9
      |
    1 | table = orders
      |         ^^^^^^
      hint: write "orders"

    error: a text must be in quotes
     --> jobs/x.toml:3:1
      |
    3 | set.a = "x
      | ^^^^^
      hint: write "set.a"

    error: unexpected `=` in array, expected value, `]`
     --> jobs/x.toml:3:7
      |
    3 | set.a = "x
      |       ^

    error: missing comma between array elements, expected `,`
     --> jobs/x.toml:3:9
      |
    3 | set.a = "x
      |         ^

    error: unclosed array, expected `]`
     --> jobs/x.toml:3:11
      |
    3 | set.a = "x
      |           ^

    error: the quotes of this text are not closed
     --> jobs/x.toml:3:11
      |
    3 | set.a = "x
      |           ^
      hint: close it on its line, or write a text of several lines between """ and """
    "#);
    insta::assert_snapshot!(errors("table = orders\nkye = 'id'\non = 'a = b'\n[set]\na = '1'\na = '2'\n"), @r#"
    error: a text must be in quotes
     --> jobs/x.toml:1:9
      |
    1 | table = orders
      |         ^^^^^^
      hint: write "orders"

    error: unknown key `kye`
     --> jobs/x.toml:2:1
      |
    2 | kye = 'id'
      | ^^^
      hint: did you mean `key`?

    error: `on` without `from`
     --> jobs/x.toml:3:6
      |
    3 | on = 'a = b'
      |      ^^^^^^^
      hint: add `from`, such as `users AS u`

    error: `a` is there twice
     --> jobs/x.toml:6:1
      |
    6 | a = '2'
      | ^
    "#);
}

#[test]
fn a_wide_character_and_a_tab_do_not_move_the_carets() {
    insta::assert_snapshot!(errors("table = 'o'\n[set]\n'日本' =\t1 # 注\n"), @r#"
    error: the expression for `日本` is the number 1, not a text in quotes
     --> jobs/x.toml:3:8
      |
    3 | '日本' =    1 # 注
      |             ^
      hint: an expression is SQL text: write "1"
    "#);
}

#[test]
fn a_later_check_points_at_the_line_of_the_user() {
    let job = job("table = 'orders'\nset.a = '1'\n[set]\n".trim_end_matches("[set]\n"));
    assert_eq!(job.place(Part::Table).to_string(), "jobs/x.toml:1:9");
    assert_eq!(job.place(Part::Set("a")).to_string(), "jobs/x.toml:2:9");
    // No key was written, so the table has to stand for it.
    assert_eq!(job.place(Part::Key), job.place(Part::Table));
    let hint = Some("did you mean `b`?".to_owned());
    insta::assert_snapshot!(job.diagnose(Part::SetColumn("a"), "unknown column `a`".into(), hint), @"
    error: unknown column `a`
     --> jobs/x.toml:2:5
      |
    2 | set.a = '1'
      |     ^
      hint: did you mean `b`?
    ");
}

#[test]
fn a_fault_in_a_flag_shows_the_flag_and_its_text() {
    let job = Job::from_parts(parts(&["a = 1", "stauts = lower(x)"])).unwrap();
    insta::assert_snapshot!(job.diagnose(Part::SetColumn("stauts"), "unknown column `stauts`".into(), None), @"
    error: unknown column `stauts`
     --> --set
      |
      | stauts = lower(x)
      | ^^^^^^
    ");
    assert_eq!(job.place(Part::Table).to_string(), "--table");
}

#[test]
fn every_wrong_flag_is_told() {
    let mut wrong = parts(&["a", "b =", "c = 1", "c = 2"]);
    wrong.table = String::new();
    wrong.on = Some("x = y".into());
    wrong.key = ["c", "d", "e", "f", "g"].map(str::to_owned).to_vec();
    wrong.pace.knobs.workers = 65.try_into().unwrap();
    insta::assert_snapshot!(Job::from_parts(wrong).unwrap_err(), @r#"
    error: `--set` is not `column = expression`
     --> --set
      |
      | a
      | ^
      hint: write --set "column = expression"

    error: `--workers`: `65` is not between 1 and 64
     --> --workers
      |
      | 65
      | ^^

    error: `key` names 5 columns, more than 4
     --> --key
      |
      | c, d, e, f, g
      | ^^^^^^^^^^^^^

    error: column `c` is twice in `set`
     --> --set
      |
      | c = 2
      | ^

    error: column `c` is both in the key and in `set`
     --> --set
      |
      | c = 1
      | ^
      hint: a key that moves would be passed twice or never: use another key

    error: column `c` is both in the key and in `set`
     --> --set
      |
      | c = 2
      | ^
      hint: a key that moves would be passed twice or never: use another key

    error: `on` without `from`
     --> --on
      |
      | x = y
      | ^^^^^
      hint: add `from`, such as `users AS u`

    error: the expression of `--set` is empty
     --> --set
      |
      | b =
      |    ^

    error: --table is empty
     --> --table
    "#);
    insta::assert_snapshot!(Job::from_parts(parts(&[])).unwrap_err(), @r#"
    error: `set` is missing
     --> --set
      hint: give each column its SQL expression, such as `status_v2 = "lower(status)"`
    "#);
}

#[test]
fn errors_as_json_name_message_hint_and_place() {
    let json = serde_json::to_string(&read("table = 'o'\nst.a = '1'\n").unwrap_err()).unwrap();
    insta::assert_snapshot!(json, @r#"[{"message":"unknown key `st`","hint":"did you mean `set`?","place":"jobs/x.toml:2:1"},{"message":"`set` is missing","hint":"give each column its SQL expression, such as `status_v2 = \"lower(status)\"`","place":"jobs/x.toml"}]"#);
}
