//! What EXPLAIN (ANALYZE, …, FORMAT JSON) tells of a statement that was run.
//!
//! Must not know: which statement.

use std::collections::BTreeMap;

use serde_json::Value;

/// The cost of one statement. What was not asked for is 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explained {
    /// Rows changed.
    pub rows: u64,
    /// Of them, those that the change would select again, if it counts them.
    pub rows_still_selected: u64,
    /// In the server, in microseconds.
    pub time_us: f64,
    /// WAL records.
    pub wal_records: u64,
    /// Their bytes, without padding and page headers.
    pub wal_bytes: u64,
    /// Full-page images among them.
    pub full_page_images: u64,
    /// Pages that became dirty.
    pub pages_dirtied: u64,
    /// Time in each trigger, and in the one behind each foreign key, in microseconds.
    pub triggers_us: BTreeMap<String, f64>,
}

impl Explained {
    /// From the top node: with RETURNING its rows are those changed; where rows are counted that the change
    /// would select again, its rows are those, and its filter removes all others.
    pub(super) fn read(explained: &Value, counts: bool) -> Option<Self> {
        let whole = explained.get(0)?;
        let node = whole.get("Plan")?;
        let number = |name: &str| node.get(name).and_then(Value::as_u64);
        // PostgreSQL 18 writes rows with decimals.
        let given = node.get("Actual Rows")?.as_f64()? as u64;
        let removed = node.get("Rows Removed by Filter").and_then(Value::as_f64).unwrap_or_default() as u64;
        let mut told = Self {
            rows: if counts { given + removed } else { given },
            rows_still_selected: if counts { given } else { 0 },
            time_us: whole.get("Execution Time").and_then(Value::as_f64).unwrap_or_default() * 1000.0,
            wal_records: number("WAL Records")?,
            wal_bytes: number("WAL Bytes")?,
            full_page_images: number("WAL FPI").unwrap_or_default(),
            pages_dirtied: number("Shared Dirtied Blocks").unwrap_or_default(),
            triggers_us: BTreeMap::new(),
        };
        for trigger in whole.get("Triggers").and_then(Value::as_array).into_iter().flatten() {
            // Of a foreign key's the person knows only the constraint.
            let name = trigger.get("Constraint Name").or_else(|| trigger.get("Trigger Name"))?.as_str()?;
            let ms = trigger.get("Time").and_then(Value::as_f64).unwrap_or_default();
            *told.triggers_us.entry(name.to_owned()).or_default() += ms * 1000.0;
        }
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_wal_are_read_from_the_top_node() {
        let explained = serde_json::json!([{"Plan": {"Node Type": "ModifyTable", "Actual Rows": 12.00, "WAL Records": 36,
            "WAL Bytes": 3456, "Plans": [{"Actual Rows": 99, "WAL Records": 0, "WAL Bytes": 0}]}}]);
        let told = Explained { rows: 12, wal_records: 36, wal_bytes: 3456, ..Explained::default() };
        assert_eq!(Explained::read(&explained, false), Some(told));
        assert_eq!(Explained::read(&serde_json::json!([]), false), None);
    }

    #[test]
    fn rows_that_would_be_selected_again_are_those_that_the_filter_lets_through() {
        let explained = serde_json::json!([{"Plan": {"Node Type": "CTE Scan", "Actual Rows": 2, "Rows Removed by Filter": 10,
            "WAL Records": 36, "WAL Bytes": 3456}}]);
        let told = Explained::read(&explained, true).unwrap();
        assert_eq!((told.rows, told.rows_still_selected), (12, 2));
    }
}
