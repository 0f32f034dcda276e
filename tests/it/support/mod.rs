//! What the tests stand on: servers, a fresh database for each test, and the binary as a child process.
//!
//! Must not know: what is tested.

mod database;
pub(crate) mod oracle;
mod pgbackfill;
mod server;

pub(crate) use database::{Database, database, database_on};
pub(crate) use pgbackfill::{Pgbackfill, Running};
pub(crate) use server::{own_server, shared_server};
