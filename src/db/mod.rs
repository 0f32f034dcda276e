//! The database as a service: connection parameters, TLS, the pool, transactions, what an error asks us to do, and what the
//! catalog says of a table.
//!
//! Must not know: jobs, runs, ranges.

mod backend;
mod bound;
mod cancel;
pub mod catalog;
mod dial;
mod error;
mod params;
mod pool;
mod session;
mod sqlstate;
mod tls;

pub use bound::{Bound, column_type};
pub use cancel::Canceller;
pub use error::{Error, ServerError};
pub use params::{ConnectParams, Lookup, ParamsError};
pub use pool::Pool;
pub use session::{InHand, KeyText, Param, Session};
pub use sqlstate::{NextAct, next_act};
