//! What every subcommand takes.
//!
//! Must not know: the subcommands.

use clap::{Args, ValueEnum};

/// What every subcommand takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Globals {
    /// Which database; like every libpq tool
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = "Connection string: postgresql://user@host/database or host=… dbname=… [default: DATABASE_URL, else PG*]"
    )]
    pub(crate) database: Option<String>,
    /// Log more on stderr; twice for each batch
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing but what is wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// How log lines are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}
