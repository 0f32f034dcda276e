//! What the tests stand on: servers, a fresh database for each test, and the binary as a child process.
//!
//! Must not know: what is tested.

mod application;
mod calm;
mod database;
mod dice;
mod job;
pub(crate) mod oracle;
mod pgbackfill;
mod pgbouncer;
mod server;
mod signpost;
mod skip;

pub(crate) use application::{
    Application, ROWS as APPLICATION_ROWS, assert_exact_beside_others, assert_none_twice_beside_others,
};
pub(crate) use calm::{calm, storm, torture};
pub(crate) use database::{Database, Door, database, database_behind_pgbouncer, database_on, until};
pub(crate) use dice::Dice;
pub(crate) use job::{JobFile, counted_table};
pub(crate) use pgbackfill::{Finished, Pgbackfill, Running};
pub(crate) use pgbouncer::PgBouncer;
pub(crate) use server::{
    cut_off, own_server, own_server_for, psql, server_with, shared_server, troubled_server,
};
pub(crate) use signpost::Signpost;
pub(crate) use skip::skipped;
