//! Sessions on one database: the pool that hands them out, their transactions, and the server on which a run
//! was entered.
//!
//! Must not know: how a connection is made, jobs, runs, ranges.

mod handles;
mod identity;
mod pool;
mod primary;
mod session;

pub use crate::connect::{Canceller, Error, NextAct, ServerError, next_act, sqlstate};
pub use identity::{Identity, identity};
pub use pool::Pool;
pub use primary::{Elsewhere, Found, Primary};
pub use session::{OpenTransaction, Param, Session, TextParam};
