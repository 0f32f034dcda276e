//! Everything that needs a real server or the real binary, in one test binary with one shared server.

mod cli;
mod control;
mod demo;
mod engine;
mod harness;
mod jobs;
mod kill;
mod partitions;
mod rate;
mod striped;
mod support;
