//! A job as it is named on the command line: by its name, or by the path of its file.
//!
//! Must not know: what the file holds.

use std::path::Path;

use pgbackfill::db::Session;
use pgbackfill::job::{Job, JobName};
use pgbackfill::status;
use pgbackfill::store::Run;

use super::connect;
use super::exit::Failure;
use super::globals::Globals;
use super::job::from_file;

/// `jobs/orders.toml` and `orders` are the same job.
pub(crate) fn of(text: &str) -> String {
    let path = Path::new(text);
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    match (path.extension().and_then(|extension| extension.to_str()), stem) {
        (Some("toml"), Some(stem)) => stem.to_owned(),
        _ => text.to_owned(),
    }
}

/// The run of a job that a person means.
pub(crate) async fn current(session: &Session, text: &str) -> anyhow::Result<Run> {
    Ok(status::current(session, &of(text)).await.map_err(Failure::from)?)
}

/// The latest run of a job that makes its change.
pub(crate) async fn latest(session: &Session, text: &str) -> anyhow::Result<Run> {
    Ok(status::latest(session, &of(text)).await.map_err(Failure::from)?)
}

/// The job of a file, or as its latest run in this database knows it.
pub(crate) async fn job(text: &str, globals: &Globals) -> anyhow::Result<Job> {
    // A path is one that says so, or one that is there.
    let path = Path::new(text);
    if path.extension().is_some_and(|extension| extension == "toml") || path.exists() {
        return Ok(from_file(path)?);
    }
    let run = latest(&connect::session(globals).await?, text).await?;
    let job = Job::from_toml(JobName::new(&run.job)?, "stored", &run.job_text);
    Ok(job.map_err(|errors| Failure::error(errors.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_its_name_are_the_same_job() {
        assert_eq!(of("jobs/orders_v2.toml"), "orders_v2");
        assert_eq!(of("orders_v2"), "orders_v2");
        assert_eq!(of("orders.v2"), "orders.v2");
    }
}
