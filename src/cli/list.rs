//! `pgbackfill list`: all runs.
//!
//! Must not know: what a run does.

use pgbackfill::human;
use pgbackfill::store;

use super::exit::Exit;
use super::globals::{Globals, Output};
use super::{connect, out};

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// How it is written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(crate) async fn run(args: &ListArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let session = connect::session(globals).await?;
    let runs = store::list(&session, None).await?;
    if args.output == Output::Json {
        out::json(&serde_json::json!({"schema": 1, "runs": runs}))?;
        return Ok(Exit::Complete);
    }
    let mut rows =
        vec![["run", "job", "kind", "state", "table", "started (UTC)", "by", ""].map(str::to_owned).to_vec()];
    rows.extend(runs.into_iter().map(|run| {
        let reason = run.reason.map(|reason| human::one_line(&reason)).unwrap_or_default();
        vec![
            run.run.to_string(),
            run.job,
            run.kind.to_string(),
            run.state.to_string(),
            run.table,
            run.created_at,
            run.created_by,
            reason,
        ]
    }));
    out::text(&out::columns(&rows))?;
    Ok(Exit::Complete)
}
