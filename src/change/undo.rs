//! What puts the values back that a run has replaced: in those rows that nobody has changed since.
//!
//! Must not know: which rows of the kept values, when.

use super::check::{self, Check};
use super::kept::KeptRows;
use super::needs::Needs;
use super::statement::Counts;
use super::update::Update;
use crate::scan::{Rows, Scan};
use crate::sql::{KeptColumn, WRITTEN, as_text};

/// The values that a run has replaced, and where they belong.
#[derive(Clone, Debug)]
pub struct Undo {
    /// The change that was made.
    pub of: Update,
    /// The run that lists what is left as it is.
    pub run: i64,
    /// The values.
    pub kept: KeptRows,
}

impl Undo {
    pub(super) const NEEDS: Needs = Needs { privileges: &["SELECT"], words: "read" };

    /// Puts values back, and lists the rows that stay as they are.
    pub(super) fn text(&self, rows: &Rows, among: Option<(u32, u32)>) -> (String, Counts) {
        let keys = self.kept.old.keys();
        let columns = self.kept.old.columns.iter().zip(self.kept.old.values());
        let set = columns.map(|(column, kept): (&KeptColumn, String)| {
            format!("{} = {}", column.name, column.restored(&format!("pgbackfill_old.{kept}")))
        });
        let key: Vec<_> = keys.iter().map(|key| as_text(&format!("o.{key}"))).collect();
        let of_changed: Vec<_> = keys.iter().map(|key| format!("c.{key} = o.{key}")).collect();
        let text = format!(
            "WITH pgbackfill_old AS MATERIALIZED (\n{kept}\n), pgbackfill_changed AS (\n\
             UPDATE {source}\nSET {set}\nFROM pgbackfill_old\nWHERE {same}\nAND {now} IS NOT DISTINCT FROM pgbackfill_old.{WRITTEN}\n\
             RETURNING {returned}, false AS again\n), pgbackfill_left AS (\n\
             INSERT INTO pgbackfill.undo_left (run, key, why)\n\
             SELECT {run}, ARRAY[{key}], CASE WHEN EXISTS (SELECT FROM {source} WHERE {there}) THEN 'changed' ELSE 'gone' END\n\
             FROM pgbackfill_old AS o\nWHERE NOT EXISTS (SELECT FROM pgbackfill_changed AS c WHERE {of_changed})\n)",
            kept = self.kept.rows(rows, among),
            source = self.kept.source(),
            set = set.collect::<Vec<_>>().join(",\n    "),
            same = self.kept.same_key("pgbackfill_old"),
            now = self.kept.old.fingerprint(&self.kept.alias.to_string()),
            returned = keys.iter().map(|key| format!("pgbackfill_old.{key}")).collect::<Vec<_>>().join(", "),
            run = self.run,
            key = key.join(", "),
            there = self.kept.same_key("o"),
            of_changed = of_changed.join(" AND "),
        );
        (text, Counts::OF_CHANGED)
    }

    /// How many rows would be put back, how many were changed since, how many are gone.
    #[must_use]
    pub fn preview(&self, rows: &Rows) -> String {
        let alias = &self.kept.alias;
        let first = &self.kept.old.key[0].name;
        format!(
            "SELECT count(*) FILTER (WHERE {alias}.{first} IS NOT NULL AND {now} IS NOT DISTINCT FROM kept.{WRITTEN}),\n       count(*) FILTER (WHERE {alias}.{first} IS NOT NULL AND {now} IS DISTINCT FROM kept.{WRITTEN}),\n       \
             count(*) FILTER (WHERE {alias}.{first} IS NULL)\nFROM (\n{all}\n) AS kept ({names})\nLEFT JOIN {source} ON {same}",
            now = self.kept.old.fingerprint(&alias.to_string()),
            all = self.kept.rows(rows, None),
            names = self.kept.old.arrays().join(", "),
            source = self.kept.source(),
            same = self.kept.same_key("kept"),
        )
    }

    /// The key of the row at a place of one part, as texts.
    #[must_use]
    pub fn key_at(&self, rows: &Rows, place: u32) -> String {
        let key: Vec<_> = self.kept.old.keys().iter().map(|key| as_text(key)).collect();
        format!(
            "SELECT ARRAY[{}] FROM (\n{}\n) AS kept",
            key.join(", "),
            self.kept.rows(rows, Some((place, place)))
        )
    }

    pub(super) fn checks(&self, scan: &Scan) -> Vec<Check<'_>> {
        let (text, counts) = self.text(&scan.rows_planned(), None);
        vec![check::whole(&format!("{text}\n{}", counts.numbers))]
    }
}
