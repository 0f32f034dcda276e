//! What the tests stand on: servers, a fresh database for each test, the binary as a child process, and the
//! engine in this one.
//!
//! Must not know: what is tested.

mod application;
mod database;
pub(crate) mod in_process;
mod job;
pub(crate) mod machine;
pub(crate) mod oracle;
mod pgbackfill;
mod pgbouncer;
mod progress;
pub(crate) mod random;
mod redirect;
mod server;
mod skip;

pub(crate) use application::{
    Application, ROWS as APPLICATION_ROWS, assert_exact_beside_others, assert_none_twice_beside_others,
};
pub(crate) use database::{
    Address, Database, database, database_behind_pgbouncer, database_behind_pgbouncer_on, database_on, until,
};
pub(crate) use job::{COUNT_FILLS, COUNT_UP, FILL_UP, JobFile, PACED, counted_table};
pub(crate) use pgbackfill::{Finished, Pgbackfill, Running};
pub(crate) use pgbouncer::PgBouncer;
pub(crate) use redirect::Redirect;
pub(crate) use server::{
    builder, cut_off, own_server, own_server_for, psql, server_with, shared_server, troubled_server,
};
pub(crate) use skip::{skipped, walks_by_block};
