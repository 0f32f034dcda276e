//! The statements themselves.

mod statements;
