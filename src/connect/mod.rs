//! How a connection is made, as every libpq tool makes one: parameters, addresses, TLS, what an error asks
//! for next, a request to cancel. It stands apart, as a crate would.
//!
//! Must not know: pools, transactions, what a connection is for.

mod backend;
mod cancel;
mod dial;
mod error;
mod params;
pub mod sqlstate;
mod tls;

pub use cancel::Canceller;
pub use dial::{Dialer, Link};
pub use error::{Error, ServerError};
pub use params::{ConnectParams, Lookup, ParamsError};
pub use sqlstate::{NextAct, next_act};
