//! The rows of a table of kept values taken apart, each beside the row that it was of.
//!
//! Must not know: what is done with them.

use crate::scan::Rows;
use crate::sql::{Ident, OldValues, Qualified};

/// The values that a run has kept, and where they belong.
#[derive(Clone, Debug)]
pub struct KeptRows {
    /// What expressions call the table.
    pub alias: Ident,
    /// The table with all its partitions.
    pub table: Qualified,
    /// The columns of its key under that alias, as its index has them.
    pub key: Vec<String>,
    /// The kept values.
    pub old: OldValues,
}

impl KeptRows {
    /// The kept rows, of one part those from one place to another.
    pub(super) fn rows(&self, rows: &Rows, among: Option<(u32, u32)>) -> String {
        let apart = self.old.taken_apart(&rows.alias.to_string());
        let all =
            format!("SELECT pgbackfill_kept.*\nFROM {}, {apart}\nWHERE {}", rows.walked, rows.condition);
        match among {
            // The order in which arrays are taken apart is theirs.
            Some((from, to)) => format!(
                "SELECT * FROM (SELECT *, row_number() OVER () AS place FROM (\n{all}\n) AS kept) AS placed\nWHERE place BETWEEN {from} AND {to}"
            ),
            None => all,
        }
    }

    /// `key = kept key AND …`
    pub(super) fn same_key(&self, of: &str) -> String {
        let keys = self.old.keys();
        let all = keys.iter().zip(&self.key).map(|(kept, column)| format!("{column} = {of}.{kept}"));
        all.collect::<Vec<_>>().join(" AND ")
    }

    /// The table as a FROM item.
    pub(super) fn source(&self) -> String {
        format!("{} AS {}", self.table, self.alias)
    }
}
