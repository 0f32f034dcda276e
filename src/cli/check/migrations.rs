//! What a migration does to a column, as far as its text shows: SQL, and the calls of Alembic, Django and
//! Rails. By exact names, without understanding any of the languages.
//!
//! Must not know: files, jobs.

/// A place where a column ends as what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// What is done to it.
    pub(super) verb: &'static str,
    /// In which line, from 1.
    pub(super) line: usize,
}

/// A name, a key word or a number, in lower case.
struct Word<'a> {
    text: &'a str,
    line: usize,
}

/// What of a statement is compared: a word, the name of the column, or up to so many words of any sort.
enum Item {
    Word(&'static str),
    Column,
    UpTo(usize),
}

use Item::{Column, UpTo, Word as W};

const DROPS: &str = "drops";
const RENAMES: &str = "renames";
const FORBIDS_NULL: &str = "forbids NULL in";

/// What stands where a column is dropped, renamed, or may be NULL no more, in a text that names its table.
const FORMS: [(&str, &[Item]); 13] = [
    (DROPS, &[W("drop"), W("column"), Column]),
    (DROPS, &[W("drop"), W("column"), W("if"), W("exists"), Column]),
    (DROPS, &[W("drop"), Column]),
    (DROPS, &[W("drop_column"), UpTo(1), Column]),
    (DROPS, &[W("remove_column"), UpTo(1), Column]),
    (RENAMES, &[W("rename"), W("column"), Column, W("to")]),
    (RENAMES, &[W("rename"), Column, W("to")]),
    (RENAMES, &[W("rename_column"), UpTo(1), Column]),
    (RENAMES, &[W("alter_column"), UpTo(1), Column, UpTo(12), W("new_column_name")]),
    (FORBIDS_NULL, &[Column, W("set"), W("not"), W("null")]),
    (FORBIDS_NULL, &[W("check"), Column, W("is"), W("not"), W("null")]),
    (FORBIDS_NULL, &[W("alter_column"), UpTo(1), Column, UpTo(12), W("nullable"), W("false")]),
    (FORBIDS_NULL, &[W("change_column_null"), UpTo(1), Column, W("false")]),
];
/// The same in Django, which names the model, and not the table.
const MODEL_FORMS: [(&str, &[Item]); 2] =
    [(DROPS, &[W("removefield"), UpTo(3), Column]), (RENAMES, &[W("renamefield"), UpTo(3), Column])];
/// What stands where a column is added.
const ADDS: [&[Item]; 5] = [
    &[W("add"), W("column"), Column],
    &[W("add"), W("column"), W("if"), W("not"), W("exists"), Column],
    &[W("add"), Column],
    &[W("add_column"), UpTo(4), Column],
    &[W("addfield"), UpTo(3), Column],
];

/// Whether a migration has the gate of this job, or says that it needs none.
pub(super) fn asks(text: &str, job: &str) -> bool {
    let calls = ["assert_complete", "state"].map(|function| format!("{function}('{job}')"));
    let done = without_comments(text);
    calls.iter().any(|call| done.contains(call)) || text.lines().any(|line| says_none(line, job))
}

fn says_none(line: &str, job: &str) -> bool {
    line.split_once("pgbackfill: no gate for ").is_some_and(|(_, rest)| {
        let name = rest.split(|c: char| c.is_whitespace() || c == '*').next();
        name == Some(job)
    })
}

/// Where the column of this table is dropped, renamed or may be NULL no more. What drops it behind the place
/// that adds it is the way back of the migration that expands.
pub(super) fn endings(text: &str, table: &str, column: &str) -> Vec<Ending> {
    let lower = without_comments(text).to_lowercase();
    let words = words(&lower);
    let (table, column) = (table.to_lowercase(), column.to_lowercase());
    let stands = |at: usize, form: &[Item]| matches(&words[at..], form, &column);
    let added = (0..words.len()).find(|at| ADDS.iter().any(|form| stands(*at, form)));
    let names_table = words.iter().any(|word| word.text == table);
    let forms: Vec<_> = FORMS.iter().filter(|_| names_table).chain(&MODEL_FORMS).collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let is_way_back = |verb: &str| verb == DROPS && added.is_some_and(|added| added < at);
        for (verb, form) in &forms {
            let ending = Ending { verb, line: word.line };
            if stands(at, form) && !is_way_back(verb) && !found.contains(&ending) {
                found.push(ending);
            }
        }
    }
    found
}

fn matches(words: &[Word<'_>], form: &[Item], column: &str) -> bool {
    let Some((item, rest)) = form.split_first() else { return true };
    match item {
        W(text) => words.first().is_some_and(|word| word.text == *text) && matches(&words[1..], rest, column),
        Column => words.first().is_some_and(|word| word.text == column) && matches(&words[1..], rest, column),
        UpTo(most) => (0..=(*most).min(words.len())).any(|skipped| matches(&words[skipped..], rest, column)),
    }
}

/// What stands behind `--`, or behind `#` and a blank, in a line is not done. SQL has operators with a `#`.
fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let ends = ["--", "# "].iter().filter_map(|mark| line.find(mark)).min();
        &line[..ends.unwrap_or(line.len())]
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn words(text: &str) -> Vec<Word<'_>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let lines = text.lines().zip(1..);
    let of_line = |(line, number)| {
        let parts = str::split(line, move |c: char| !is_part(c)).filter(|part| !part.is_empty());
        parts.map(move |text| Word { text, line: number })
    };
    lines.flat_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbs(text: &str) -> Vec<&'static str> {
        endings(text, "orders", "status_v2").iter().map(|ending| ending.verb).collect()
    }

    #[test]
    fn what_ends_a_column_is_found_in_sql() {
        for (text, verb) in [
            ("ALTER TABLE orders DROP COLUMN status_v2", DROPS),
            ("alter table app.\"orders\" drop column if exists \"status_v2\" cascade", DROPS),
            ("ALTER TABLE orders\n  DROP status_v2", DROPS),
            ("ALTER TABLE orders RENAME COLUMN status_v2 TO status", RENAMES),
            ("ALTER TABLE orders RENAME status_v2 TO status", RENAMES),
            ("ALTER TABLE orders ALTER COLUMN status_v2 SET NOT NULL", FORBIDS_NULL),
            (
                "ALTER TABLE orders DROP status_v2;\n-- migrate:down\nALTER TABLE orders ADD status_v2 text",
                DROPS,
            ),
            ("ALTER TABLE orders ALTER a SET DEFAULT '#', DROP COLUMN status_v2", DROPS),
            ("ALTER TABLE orders ADD CONSTRAINT c CHECK (status_v2 IS NOT NULL) NOT VALID", FORBIDS_NULL),
        ] {
            assert_eq!(verbs(text), [verb], "{text}");
        }
    }

    #[test]
    fn what_ends_a_column_is_found_in_the_calls_of_tools() {
        for (text, verb) in [
            ("op.drop_column('orders', 'status_v2')", DROPS),
            ("op.alter_column('orders', 'status_v2', existing_type=sa.Text(), nullable=False)", FORBIDS_NULL),
            ("op.alter_column(\"orders\", \"status_v2\", new_column_name=\"status\")", RENAMES),
            ("migrations.RemoveField(model_name='order', name='status_v2')", DROPS),
            ("migrations.RenameField(model_name='order', old_name='status_v2', new_name='status')", RENAMES),
            ("remove_column :orders, :status_v2", DROPS),
            ("rename_column :orders, :status_v2, :status", RENAMES),
            ("change_column_null :orders, :status_v2, false", FORBIDS_NULL),
        ] {
            assert_eq!(verbs(text), [verb], "{text}");
        }
    }

    #[test]
    fn what_leaves_it_as_it_is_is_not_taken_for_its_end() {
        for text in [
            "ALTER TABLE orders ADD COLUMN status_v2 text",
            "ALTER TABLE orders DROP COLUMN status",
            "ALTER TABLE users DROP COLUMN status_v2",
            "ALTER TABLE orders ALTER COLUMN status_v2 DROP NOT NULL",
            "-- ALTER TABLE orders DROP COLUMN status_v2",
            "# op.drop_column('orders', 'status_v2')",
            "op.add_column('orders', sa.Column('status_v2', sa.Text(), nullable=True))",
            "change_column_null :orders, :status_v2, true",
            "ALTER TABLE orders ADD COLUMN status_v2 text;\n-- migrate:down\nALTER TABLE orders DROP COLUMN status_v2;",
            "op.add_column('orders', sa.Column('status_v2', sa.Text()))\nop.drop_column('orders', 'status_v2')",
        ] {
            assert_eq!(verbs(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn the_line_is_that_where_it_begins() {
        let text = "BEGIN;\nALTER TABLE orders\n  ALTER status_v2\n  SET NOT NULL;\n";
        assert_eq!(endings(text, "orders", "status_v2"), [Ending { verb: FORBIDS_NULL, line: 3 }]);
    }

    #[test]
    fn a_gate_is_that_of_the_very_job() {
        assert!(asks("PERFORM pgbackfill.assert_complete('a');", "a"));
        assert!(asks("SELECT pgbackfill.state('a') = 'complete'", "a"));
        assert!(!asks("PERFORM pgbackfill.assert_complete('ab');", "a"));
        assert!(!asks("-- SELECT pgbackfill.assert_complete('a');", "a"));
        assert!(asks("/* pgbackfill: no gate for a */", "a") && asks("# pgbackfill: no gate for a", "a"));
        assert!(!asks("-- pgbackfill: no gate for ab", "a"));
    }
}
