//! The command line of `pgbackfill`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
