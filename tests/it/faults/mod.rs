//! Processes, servers, disks and messages that fail: every row is changed exactly once.

mod disk;
mod failover;
mod injected;
mod kill;
mod races;
mod random;
