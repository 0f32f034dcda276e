//! What the queries of the review give, field by field.
//!
//! Must not know: which fact is a problem.

use serde::Deserialize;

/// `review_table.sql`
#[derive(Debug, Default, Deserialize)]
pub(super) struct TableFacts {
    pub(super) heap_bytes: i64,
    pub(super) index_bytes: i64,
    pub(super) rows_live: i64,
    pub(super) rows_dead: i64,
    pub(super) autovacuum_off: Vec<String>,
    pub(super) row_security: bool,
    pub(super) triggers: Vec<Trigger>,
    pub(super) references: Vec<ForeignKey>,
    pub(super) referenced_by: Vec<ForeignKey>,
    pub(super) unique_indexes: Vec<String>,
    pub(super) generated: Vec<Generated>,
    pub(super) published: Vec<Published>,
    pub(super) unchecked: Vec<Unchecked>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Trigger {
    pub(super) name: String,
    pub(super) table: String,
    pub(super) timing: String,
    pub(super) each_row: bool,
    pub(super) function: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ForeignKey {
    pub(super) name: String,
    pub(super) table: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Generated {
    pub(super) column: String,
    pub(super) index: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Published {
    pub(super) table: String,
    pub(super) publications: String,
    pub(super) full: bool,
    pub(super) identified: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Unchecked {
    pub(super) name: String,
    pub(super) expression: String,
    /// Object ids of the tables that have it.
    pub(super) leaves: Vec<i64>,
}

/// `review_server.sql`
#[derive(Debug, Deserialize)]
pub(super) struct ServerFacts {
    pub(super) superuser: bool,
    pub(super) sees_others: bool,
    pub(super) backend: i32,
    pub(super) control_schema: bool,
    pub(super) settings: Settings,
    pub(super) oldest_database: Database,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) prepared: Vec<Prepared>,
    pub(super) slots: Vec<Slot>,
    pub(super) standbys: Vec<Standby>,
}

/// What a session of this role starts with; times in milliseconds.
#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    pub(super) autovacuum: bool,
    pub(super) autovacuum_freeze_max_age: i64,
    pub(super) autovacuum_vacuum_threshold: i64,
    pub(super) autovacuum_vacuum_scale_factor: f64,
    pub(super) max_slot_wal_keep_size_mb: i64,
    pub(super) statement_timeout: i64,
    pub(super) idle_in_transaction_session_timeout: i64,
    /// From version 14.
    pub(super) idle_session_timeout: Option<i64>,
    /// From version 17.
    pub(super) transaction_timeout: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) age: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Snapshot {
    pub(super) who: String,
    /// None where the server does not tell.
    pub(super) held_s: Option<f64>,
    pub(super) transactions: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Prepared {
    pub(super) name: String,
    pub(super) held_s: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) logical: bool,
    pub(super) here: bool,
    pub(super) active: bool,
    pub(super) retained_bytes: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Standby {
    pub(super) name: String,
    pub(super) lag_bytes: Option<i64>,
    pub(super) lag_s: Option<f64>,
}
