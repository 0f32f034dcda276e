//! `pgbackfill retry`: the rows of the quarantine once more, after they were corrected.
//!
//! Must not know: how a row is run again.

use pgbackfill::db::Pool;
use pgbackfill::engine::{self, Fate, Retried, RetrySummary};
use pgbackfill::human::counted;
use pgbackfill::job::Job;

use super::exit::{Exit, Failure};
use super::globals::{Globals, Output};
use super::job::JobArgs;
use super::{connect, name, operate, out, plan};

const EXAMPLES: &str = "\
Example:
  pgbackfill status orders_status_v2              shows the rows in the quarantine and what was wrong with them
  pgbackfill retry jobs/orders_status_v2.toml     after they were mended

Each row is changed and taken out of the quarantine in one transaction, so it can be killed and called again, and
several can be called at once. Rows that fail again stay. It ends with 0 when none is left, else with 4.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RetryArgs {
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    // Last, because its headings hold for whatever follows.
    #[command(flatten)]
    job: JobArgs,
}

pub(crate) async fn run(args: &RetryArgs, globals: &Globals) -> anyhow::Result<Exit> {
    let job = args.job.job("retry")?;
    // A job that was never run is refused here.
    name::latest(&connect::session_up_to_date(globals).await?, job.name.as_str()).await?;
    let params = connect::params(globals, &format!("pgbackfill retry {}", job.name))?;
    let pool = connect::pool(&params, 1)?;
    tokio::select! {
        ended = retry(&pool, &job, args.output) => verdict(&ended?, args.output),
        interrupted = plan::interrupted() => {
            interrupted?;
            // The transaction in hand is rolled back by the server, unless its COMMIT was on the way.
            out::aside("stopped; call it again for the other rows");
            Ok(Exit::Stopped)
        }
    }
}

async fn retry(pool: &Pool, job: &Job, output: Output) -> anyhow::Result<RetrySummary> {
    let mut written = Ok(());
    let mut tell = |retried: Retried| {
        let told = match output {
            Output::Text => out::text(&line(&retried)).map_err(anyhow::Error::from),
            Output::Json => out::json(&retried),
        };
        // The rows matter more than who reads about them.
        if written.is_ok() {
            written = told;
        }
    };
    let retried =
        engine::retry_bad_rows(pool, job, &operate::by(), &mut tell).await.map_err(Failure::from)?;
    match written {
        Err(error) if !error.chain().any(out::is_broken_pipe) => Err(error),
        _ => Ok(retried),
    }
}

fn line(retried: &Retried) -> String {
    let Retried { table, key, fate } = retried;
    match fate {
        Fate::Changed => format!("row {key} of {table}: changed"),
        Fate::Gone => format!("row {key} of {table}: taken out, there is no such row any more"),
        Fate::Unselected => format!("row {key} of {table}: taken out, the job does not select it any more"),
        Fate::StillBad { message, .. } => format!("row {key} of {table}: still bad: {message}"),
    }
}

fn verdict(retried: &RetrySummary, output: Output) -> anyhow::Result<Exit> {
    match output {
        Output::Text => out::verdict(&summary(retried))?,
        Output::Json => out::json(retried)?,
    }
    Ok(if retried.left == 0 { Exit::Complete } else { Exit::BadRows })
}

fn summary(retried: &RetrySummary) -> String {
    let RetrySummary { run, job, changed, dropped, left, .. } = retried;
    let rows = |n: &u64| counted(*n, "row", "rows");
    format!(
        "{job}, run {run}: {} changed, {} taken out, {} left in quarantine",
        rows(changed),
        rows(dropped),
        rows(left)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_all_rows_is_told_in_a_line() {
        let run = pgbackfill::run::RunId(3);
        let mended = RetrySummary { run, job: "job".into(), changed: 1, dropped: 0, still_bad: 2, left: 2 };
        insta::assert_snapshot!(summary(&mended), @"job, run 3: 1 row changed, 0 rows taken out, 2 rows left in quarantine");
    }
}
