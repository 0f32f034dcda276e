//! What people and scripts do with a run: they steer it, look at it, run its bad rows again, and see the
//! demo.

mod check;
mod command_line;
mod control;
mod demo;
mod gate;
mod retry;
mod runbook;
