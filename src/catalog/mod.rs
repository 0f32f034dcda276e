//! What the catalog says: of the server, of a table, its columns, its possible keys and its leaves. Facts
//! only.
//!
//! Must not know: which of the facts is a problem.

mod keys;
mod server;
mod table;

pub use keys::{KeyIndex, OrderFacts, keys, order};
pub use server::{Checkpoints, Holder, Server, horizon, server};
pub use table::{
    Column, Leaf, Table, columns, leaves, leaves_in_txn, row_changes_in_txn, table, table_names,
};
