//! Runs that nothing disturbs: every kind of table, key, order, job and pace.

mod ceilings;
mod engine;
mod heap;
mod odd_jobs;
mod partitions;
mod sample_jobs;
mod stripes;
