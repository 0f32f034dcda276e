//! Everything that needs a real server or the real binary, in one test binary with one shared server.

mod bad_input;
mod connection;
mod demo;
mod engine;
mod harness;
mod house;
mod statements;
mod support;
