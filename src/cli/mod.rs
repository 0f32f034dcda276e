//! The command line: what can be asked, and who answers.
//!
//! Must not know: how anything is done; each subcommand has a file of its own.

mod check;
mod connect;
mod demo;
mod exit;
mod forget;
mod gate;
mod globals;
mod history;
mod job;
mod list;
mod log;
mod name;
mod operate;
mod out;
mod plan;
mod retry;
mod review;
mod run;
mod runtime;
mod show;
mod status;
mod steps;
mod undo;
mod verify;
mod wait;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use exit::Exit;
use globals::Globals;

/// Batched backfills for PostgreSQL: every row changed exactly once, whatever is killed.
#[derive(Debug, Parser)]
#[command(name = "pgbackfill", version, after_help = exit::TABLE, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a job, help its run, or go on from its checkpoint
    Run(Box<run::RunArgs>),
    /// Review a job before it runs: what it will do, what that costs, what speaks against it; changes nothing
    Plan(Box<plan::PlanArgs>),
    /// Make what [expand] says, before the run: columns and indexes, without keeping the application waiting
    Expand(steps::ExpandArgs),
    /// Compare every row with what the job should have made of it, once the run is complete; changes nothing
    Verify(Box<verify::VerifyArgs>),
    /// Make what [contract] says, once the run is complete: NOT NULL, checks, indexes
    Contract(steps::ContractArgs),
    /// Put back what a run has replaced, or take back what contract has made
    Undo(Box<undo::UndoArgs>),
    /// Drop the values that runs have replaced, or take one row out of all that is kept
    Forget(forget::ForgetArgs),
    /// Show one run: state, progress, rate, processes, errors
    Status(status::StatusArgs),
    /// Show all runs in this database
    List(list::ListArgs),
    /// Show the audit trail of a job: every change of state and knobs, who and when
    History(history::HistoryArgs),
    /// Let every process of a run wait until it is resumed
    Pause(operate::WhyArgs),
    /// Let a paused, blocked or cancelled run go on from its checkpoint
    Resume(operate::JobArg),
    /// End a run; what was changed stays changed, and it can still be resumed
    Cancel(operate::WhyArgs),
    /// Set knobs of a live run: workers, mode, max-rows-per-second, window, replica-lag-stop, …
    Set(operate::SetArgs),
    /// Run the rows of the quarantine again, after they were mended
    Retry(Box<retry::RetryArgs>),
    /// Wait until a run is complete
    Wait(wait::WaitArgs),
    /// Check job files without a server, and that no migration runs before its backfill
    Check(check::CheckArgs),
    /// Print what a migration has to say first, so that it cannot run before the backfill is complete
    Gate(gate::GateArgs),
    /// Watch a backfill being killed half way and finished, on a throwaway server
    Demo(demo::DemoArgs),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// Parses the command line and answers.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    log::start(&cli.globals);
    match answer(&cli) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn answer(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Check(args) => check::run(args).map(ExitCode::from),
        Command::Gate(args) => gate::run(args).map(ExitCode::from),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "pgbackfill", &mut script);
            out::text(String::from_utf8_lossy(&script).trim_end())?;
            Ok(Exit::Complete.into())
        }
        command => runtime::new()?.block_on(ask(command, &cli.globals)).map(ExitCode::from),
    }
}

async fn ask(command: &Command, globals: &Globals) -> anyhow::Result<Exit> {
    match command {
        Command::Run(args) => run::run(args, globals).await,
        Command::Plan(args) => plan::run(args, globals).await,
        Command::Expand(args) => steps::expand(args, globals).await,
        Command::Verify(args) => verify::run(args, globals).await,
        Command::Contract(args) => steps::contract(args, globals).await,
        Command::Undo(args) => undo::run(args, globals).await,
        Command::Forget(args) => forget::run(args, globals).await,
        Command::Status(args) => status::run(args, globals).await,
        Command::List(args) => list::run(args, globals).await,
        Command::History(args) => history::run(args, globals).await,
        Command::Pause(args) => operate::pause(args, globals).await,
        Command::Resume(args) => operate::resume(args, globals).await,
        Command::Cancel(args) => operate::cancel(args, globals).await,
        Command::Set(args) => operate::set(args, globals).await,
        Command::Retry(args) => retry::run(args, globals).await,
        Command::Wait(args) => wait::run(args, globals).await,
        // Answered without a database.
        Command::Demo(_) | Command::Check(_) | Command::Gate(_) | Command::Completions { .. } => {
            Ok(Exit::Complete)
        }
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    // The reader that closed the pipe has read enough.
    if error.chain().any(out::is_broken_pipe) {
        return Exit::Complete.into();
    }
    let text = format!("{error:#}");
    // Job errors come with their own heading.
    let has_heading = text.starts_with("error:") || text.starts_with("error[");
    out::aside(&format!("{}{text}", if has_heading { "" } else { "error: " }));
    Exit::from(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
