//! `pgbackfill history`: the audit trail.
//!
//! Must not know: who wrote it.

use pgbackfill::human;
use pgbackfill::store;

use super::exit::Exit;
use super::globals::{Globals, Output};
use super::{connect, name, out};

#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// Name of the job, or its file
    job: String,
    /// How it is written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(crate) async fn run(args: &HistoryArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let session = connect::session(globals).await?;
    let job = name::latest(&session, &args.job).await?.job;
    let past = store::history(&session, &job).await?;
    if args.output == Output::Json {
        out::json(&serde_json::json!({"schema": 1, "job": job, "events": past}))?;
        return Ok(Exit::Complete);
    }
    let mut rows = vec![["at (UTC)", "run", "event", "by", ""].map(str::to_owned).to_vec()];
    rows.extend(past.into_iter().map(|event| {
        vec![event.at, event.run.to_string(), event.kind, event.by, human::one_line(&event.detail)]
    }));
    out::text(&out::columns(&rows))?;
    Ok(Exit::Complete)
}
