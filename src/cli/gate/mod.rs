//! `pgbackfill gate`: what a migration has to say first, so that it cannot run before the backfill that it
//! builds upon is complete.
//!
//! Must not know: what the statement is made of.

use std::path::PathBuf;

use pgbackfill::job::TableName;
use pgbackfill::job::units::parse_long_s;
use pgbackfill::sql::{Gate, Ident};

use super::exit::Exit;
use super::{job, out};

mod tool;

use tool::Tool;

const EXAMPLES: &str = "\
Examples:
  pgbackfill gate jobs/orders_status_v2.toml                 plain SQL: psql, dbmate, sqitch
  pgbackfill gate jobs/orders_status_v2.toml --for alembic

It passes where the backfill is complete, and on a database where there is nothing to fill, such
as that of a test. Everywhere else it raises, with the command to run. It never waits.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GateArgs {
    /// The job file
    #[arg(value_name = "JOB.toml")]
    file: PathBuf,
    /// The tool that runs the migration
    #[arg(long = "for", value_enum, value_name = "TOOL", default_value_t = Tool::Sql)]
    tool: Tool,
    /// Pass only where the rows were compared, too (pgbackfill verify)
    #[arg(long)]
    verified: bool,
    /// And no longer ago than that, for example 1d [default: as long as the sync trigger is not changed; 1d
    /// without one]
    #[arg(long, value_name = "TIME", requires = "verified", value_parser = parse_long_s)]
    within: Option<u64>,
}

pub(crate) fn run(args: &GateArgs) -> anyhow::Result<Exit> {
    let job = job::from_file(&args.file)?;
    let (name, command) = (job.name.as_str(), format!("pgbackfill run {}", args.file.display()));
    let lookup = job.lookup.as_ref();
    let from = std::iter::once(table(&job.table)).chain(lookup.map(|lookup| lookup.from.clone())).collect();
    let conditions =
        lookup.map(|lookup| &lookup.on).into_iter().chain(&job.filter).map(String::as_str).collect();
    let verified = args.verified.then_some(args.within);
    let gate = Gate { job: name, command: &command, from, conditions, verified };
    out::text(args.tool.wrap(name, &gate.block()).trim_end())?;
    Ok(Exit::Complete)
}

/// Where the job names no schema, `search_path` decides in the migration, too.
fn table(name: &TableName) -> String {
    let parts = name.schema.iter().chain([&name.name]).map(|part| Ident(part.clone()).to_string());
    parts.collect::<Vec<_>>().join(".")
}
