//! What the server is asked before it runs a user's expression for the first time.
//!
//! Each form is only planned, never run. The bare form refuses what closes our parentheses or brings a second
//! column, the enclosed one what escapes by a comment; as a condition no aggregate, window or set-returning
//! function is allowed. All must pass.
//!
//! Must not know: how an error is shown.

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
    /// `verify.rows`
    VerifyRows,
    /// The condition of a check of `[verify]`, from 0.
    RowCheck(usize),
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

/// The checks of a FROM item beside the walked table.
pub(super) fn lookup<'a>(source: &str, from: &str) -> [Check<'a>; 2] {
    // A FROM item must not bring a WHERE of its own: in parentheses it could not.
    let join = format!("SELECT 1 FROM {source} CROSS JOIN LATERAL (SELECT 1 FROM ");
    [
        Check::around(Clause::From, &format!("SELECT 1 FROM {source}, "), from, "\n"),
        Check::around(Clause::From, &join, from, "\n) AS found"),
    ]
}

/// The check of all texts together: the statement itself.
pub(super) fn whole<'a>(statement: &str) -> Check<'a> {
    Check { sql: format!("EXPLAIN {statement}"), clause: Clause::Whole, offset: 0 }
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

/// The checks of a condition.
pub(super) fn condition<'a>(clause: Clause<'a>, from: &str, text: &str) -> [Check<'a>; 2] {
    [
        Check::around(clause, &format!("SELECT 1 FROM {from} WHERE "), text, "\n"),
        Check::around(clause, &format!("SELECT 1 FROM {from} WHERE ("), text, "\n)"),
    ]
}

/// The checks of an expression for a column's value.
pub(super) fn value<'a>(clause: Clause<'a>, from: &str, text: &str) -> [Check<'a>; 3] {
    [
        Check::around(clause, "SELECT ", text, &format!("\nFROM {from}")),
        Check::around(clause, &format!("SELECT 1 FROM {from} WHERE ("), text, "\n) IS NULL"),
        Check::around(clause, "SELECT (SELECT ", text, &format!("\n) FROM {from}")),
    ]
}
