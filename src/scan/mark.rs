//! Places in the order in which a scan walks a table.
//!
//! Must not know: what a place is; only the scan does.

use std::fmt;

/// A place in the order of a scan, as PostgreSQL writes it: for a scan by key the key's columns as texts. It
/// is stored and compared as it is; only the scan knows what it means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mark(pub Vec<String>);

impl fmt::Display for Mark {
    /// `42`, or `(42, 2024-01-01)` for several columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            many => write!(f, "({})", many.join(", ")),
        }
    }
}

/// What lies behind `after` and up to `through`: half open, so spans that follow each other share no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Not part of the span; none means from the beginning.
    pub after: Option<Mark>,
    /// The last place that can be part of the span.
    pub through: Mark,
}

/// A part of a span: what lies behind the cell before and up to `through`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The last place of the cell.
    pub through: Mark,
    /// How many rows it had when it was read.
    pub rows: u32,
}
