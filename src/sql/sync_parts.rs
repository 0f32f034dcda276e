//! What a sync trigger is made of, part by part.
//!
//! Must not know: how they are put together.

use super::Ident;

/// Who wins where both were changed and disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wins {
    /// The columns that the new ones are made of.
    Old,
    /// The new ones.
    New,
    /// Nobody.
    Nobody,
}

/// A column that is set.
#[derive(Clone, Debug)]
pub struct SyncTarget {
    /// Its name.
    pub column: Ident,
    /// Its type, as SQL.
    pub type_name: String,
    /// The expression for its value.
    pub expression: String,
    /// A default that is the same for every row: an INSERT that leaves the column out brings it along.
    pub default: Option<String>,
}

/// A column that the expressions read.
#[derive(Clone, Debug)]
pub struct SyncSource {
    /// Its name.
    pub column: Ident,
    /// A default that is the same for every row: an INSERT that leaves the column out brings it along.
    pub default: Option<String>,
    /// Its type, as SQL.
    pub type_name: String,
}
