//! The command line: what can be asked, and who answers.

mod demo;

use std::process::ExitCode;

/// Batched backfills for PostgreSQL: every row changed exactly once, whatever is killed.
#[derive(Debug, clap::Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Kill a backfill half way on a throwaway server, and prove that every row was changed exactly once.
    Demo(demo::DemoArgs),
}

pub(crate) fn main(cli: &Cli) -> ExitCode {
    let Command::Demo(args) = &cli.command;
    demo::run(args).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
