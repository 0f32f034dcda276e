//! The command line of `pgbackfill`.

fn main() {}
