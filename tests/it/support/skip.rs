//! Says that something was not tried; to be seen even where the harness hides what a test prints.
//!
//! Must not know: what was not tried.

use std::io::{self, Write};

use super::database;

/// Whether the server of the tests can walk a table by block; says so if it cannot.
pub(crate) async fn walks_by_block() -> bool {
    let version = "SELECT current_setting('server_version_num')::int";
    let db = database().await;
    let can = db.client().await.query_one(version, &[]).await.unwrap().get::<_, i32>(0) >= 140_000;
    if !can {
        skipped("PostgreSQL 13 cannot walk by block");
    }
    can
}

/// Writes to stderr around the harness, which hides what a test that passes prints.
pub(crate) fn skipped(why: &str) {
    io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).unwrap();
}
