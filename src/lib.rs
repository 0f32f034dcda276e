//! Batched backfills for PostgreSQL.

pub mod event;
pub mod run;
pub mod sandbox;
