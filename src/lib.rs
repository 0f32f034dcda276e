//! Batched backfills for PostgreSQL.

pub mod db;
pub mod engine;
pub mod event;
pub mod job;
pub mod key;
pub mod observe;
pub mod pace;
pub mod plan;
pub mod run;
pub mod sandbox;
pub mod sql;
pub mod store;
