//! What the server is asked before it runs a user's expression for the first time.
//!
//! Each form is only planned, never run. The bare form refuses what closes our parentheses or brings a second
//! column, the enclosed one what escapes by a comment; as a condition no aggregate, window or set-returning
//! function is allowed. All must pass.
//!
//! Must not know: how an error is shown.

use super::Update;
use crate::scan::Scan;
use crate::sql::bare;

/// Which text of the job a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clause<'a> {
    /// `from`
    From,
    /// `on`
    On,
    /// `where`
    Where,
    /// `set.<column>`
    Set(&'a str),
    /// The query of one of the job's own signals, from 0.
    Signal(usize),
    /// No single text: all of them together.
    Whole,
}

/// One statement to be planned by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check<'a> {
    /// The statement.
    pub sql: String,
    /// What it is about.
    pub clause: Clause<'a>,
    /// Characters of the statement before the user's text begins: what to subtract from the server's error
    /// position.
    pub offset: usize,
}

impl<'a> Check<'a> {
    fn around(clause: Clause<'a>, before: &str, text: &str, after: &str) -> Self {
        let before = format!("EXPLAIN {before}");
        Self { sql: format!("{before}{text}{after}"), clause, offset: before.chars().count() }
    }
}

pub(super) fn of_update<'a>(update: &'a Update, scan: &Scan) -> Vec<Check<'a>> {
    let mut from = scan.source();
    let mut all = Vec::new();
    if let Some(lookup) = &update.lookup {
        // A FROM item must not bring a WHERE of its own: in parentheses it could not.
        let join = format!("SELECT 1 FROM {from} CROSS JOIN LATERAL (SELECT 1 FROM ");
        all.push(Check::around(Clause::From, &format!("SELECT 1 FROM {from}, "), &lookup.from, "\n"));
        all.push(Check::around(Clause::From, &join, &lookup.from, "\n) AS found"));
        from = format!("{from}, {}\n", lookup.from);
        all.extend(condition(Clause::On, &from, &lookup.on));
    }
    for (column, expression) in &update.set {
        all.extend(value(Clause::Set(&column.0), &from, expression));
    }
    if let Some(filter) = &update.filter {
        all.extend(condition(Clause::Where, &from, filter));
    }
    let whole = format!("EXPLAIN {}", update.text(&scan.rows_planned()));
    all.push(Check { sql: whole, clause: Clause::Whole, offset: 0 });
    all
}

/// The statements to plan for the query of a signal. What closes our parentheses is no condition; what gives
/// several values, or none that is a number, is no number.
#[must_use]
pub fn signal_checks(number: usize, query: &str) -> [Check<'static>; 2] {
    let (clause, query) = (Clause::Signal(number), bare(query));
    [
        Check::around(clause, "SELECT 1 WHERE EXISTS (\n", query, "\n) IS TRUE"),
        Check::around(clause, "SELECT (\n", query, "\n)::float8"),
    ]
}

fn condition<'a>(clause: Clause<'a>, from: &str, text: &str) -> [Check<'a>; 2] {
    [
        Check::around(clause, &format!("SELECT 1 FROM {from} WHERE "), text, "\n"),
        Check::around(clause, &format!("SELECT 1 FROM {from} WHERE ("), text, "\n)"),
    ]
}

fn value<'a>(clause: Clause<'a>, from: &str, text: &str) -> [Check<'a>; 3] {
    [
        Check::around(clause, "SELECT ", text, &format!("\nFROM {from}")),
        Check::around(clause, &format!("SELECT 1 FROM {from} WHERE ("), text, "\n) IS NULL"),
        Check::around(clause, "SELECT (SELECT ", text, &format!("\n) FROM {from}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Walk;
    use crate::sql::{Ident, Qualified};

    #[test]
    fn the_offset_counts_characters_up_to_the_users_text() {
        let walk = Walk { alias: Ident("größe".into()), key: Vec::new(), joins_bands: false };
        let update = Update {
            set: vec![(Ident("a".into()), "b + 1".into())],
            quiet: vec![],
            filter: Some("c".into()),
            lookup: None,
        };
        let checks = of_update(&update, &walk.leaf(Qualified::new("public", "größe")));
        for check in checks.iter().filter(|check| check.clause != Clause::Whole) {
            let text: String = check.sql.chars().skip(check.offset).collect();
            assert!(text.starts_with("b + 1") || text.starts_with('c'), "{text}");
        }
    }
}
