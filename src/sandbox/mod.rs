//! Throwaway PostgreSQL servers, for the demo, the tests and the benches.
//!
//! A server lives in a temporary directory, listens on a unix socket there and on a free port of 127.0.0.1,
//! trusts everybody who can reach it, and is gone without a trace when its [`Server`] is dropped or this
//! process dies. Everything here blocks: starting takes about a second, most of it `initdb`.
//!
//! Must not know: the engine, or anything else of the product.

mod account;
mod binaries;
mod builder;
mod error;
mod home;
mod port;
mod postmaster;
mod server;
mod wait;
mod watchman;

pub use binaries::{Binaries, Search, SystemDirs};
pub use builder::{Builder, Fsync};
pub use error::SandboxError;
pub use server::{Kept, Server, StopMode};
