//! How a process comes to its server: parameters, passwords, too few connections, `PgBouncer` in between.

mod connection;
mod parity;
mod pgbouncer;
