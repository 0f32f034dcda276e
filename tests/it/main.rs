//! Everything that needs a real server or the real binary, in one test binary with one shared server.

mod bad_input;
mod cli;
mod connection;
mod control;
mod demo;
mod engine;
mod failover;
mod fault;
mod guard;
mod harness;
mod hostile;
mod house;
mod jobs;
mod kill;
mod mutants;
mod nemesis;
mod parity;
mod partitions;
mod pgbouncer;
mod races;
mod rate;
mod retry;
mod review;
mod statements;
mod striped;
mod support;
