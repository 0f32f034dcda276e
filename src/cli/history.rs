//! `pgbackfill history`: the audit trail.
//!
//! Must not know: who wrote it.

use pgbackfill::human;
use pgbackfill::{status, store};

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
    // An older control schema knows of no steps.
    let steps = match store::up_to_date(&session).await {
        Ok(true) => store::steps(&session, &job).await?,
        _ => Vec::new(),
    };
    if args.output == Output::Json {
        out::json(&serde_json::json!({"schema": 1, "job": job, "events": past, "steps": steps}))?;
        return Ok(Exit::Complete);
    }
    let mut rows: Vec<_> = past
        .into_iter()
        .map(|event| {
            vec![event.at, event.run.to_string(), event.kind, event.by, human::one_line(&event.detail)]
        })
        .collect();
    rows.extend(steps.into_iter().map(|step| {
        let told = status::step(&step);
        vec![step.at, "–".to_owned(), "step".to_owned(), step.made_by, told]
    }));
    rows.sort_by(|one, other| one[0].cmp(&other[0]));
    rows.insert(0, ["at (UTC)", "run", "event", "by", ""].map(str::to_owned).to_vec());
    out::text(&out::columns(&rows))?;
    Ok(Exit::Complete)
}
