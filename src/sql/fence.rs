//! The statements that lock what is leased, a range or a row of the quarantine, and with it the shape of the
//! walked table.
//!
//! Must not know: how the table is walked, what is done to its rows.

use super::fixed;

/// Locks the range's row, which is the lease, and reads where it stands and whether its table is still the
/// same.
///
/// The empty scan of the walked table takes an ACCESS SHARE lock on it before the statement's snapshot is
/// taken: from here to COMMIT no session can rename, drop, detach or retype it, so what the fence finds holds
/// for the whole batch.
///
/// `walked` is the table as a FROM item. Parameters: run, number of the range, the quoted name of the leaf,
/// the key's column names.
#[must_use]
pub fn range_lock(walked: &str) -> String {
    fenced(fixed::RANGE_LOCK, walked, "r")
}

/// Locks a row of the quarantine behind the same fence: its lock is the lease, and another process that has
/// it is not waited for.
///
/// `walked` is the table as a FROM item. Parameters: run, number of the leaf, the key as one `text[]`, the
/// quoted name of the leaf, the key's column names.
#[must_use]
pub fn bad_row_lock(walked: &str) -> String {
    fenced(fixed::BAD_ROW_LOCK, walked, "b")
}

fn fenced(select: &str, walked: &str, locked: &str) -> String {
    format!("{select}AND NOT EXISTS (SELECT FROM {walked} WHERE false)\nFOR UPDATE OF {locked} SKIP LOCKED")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALKED: &str = r#"ONLY "public"."orders_2024" AS "orders""#;

    #[test]
    fn the_lock_holds_the_range_and_the_shape_of_its_table() {
        let lock = range_lock(WALKED);
        assert!(lock.starts_with(fixed::RANGE_LOCK));
        assert!(lock.ends_with(
            "AND NOT EXISTS (SELECT FROM ONLY \"public\".\"orders_2024\" AS \"orders\" WHERE false)\nFOR UPDATE OF r SKIP LOCKED"
        ));
        assert!(bad_row_lock(WALKED).ends_with("WHERE false)\nFOR UPDATE OF b SKIP LOCKED"));
    }
}
