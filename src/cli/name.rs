//! A job as it is named on the command line: by its name, or by the path of its file.
//!
//! Must not know: what the file holds.

use std::path::Path;

use pgbackfill::db::Session;
use pgbackfill::job::did_you_mean;
use pgbackfill::store::{self, Run};

use super::exit::Failure;

/// `jobs/orders.toml` and `orders` are the same job.
pub(crate) fn of(text: &str) -> String {
    let path = Path::new(text);
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    match (path.extension().and_then(|extension| extension.to_str()), stem) {
        (Some("toml"), Some(stem)) => stem.to_owned(),
        _ => text.to_owned(),
    }
}

/// The latest run of a job.
pub(crate) async fn latest(session: &Session, text: &str) -> anyhow::Result<Run> {
    let name = of(text);
    if let Some(run) = store::latest(session, &name).await? {
        return Ok(run);
    }
    let known = store::list(session, None).await?;
    let near = did_you_mean(&name, known.iter().map(|run| run.job.as_str()));
    let hint = match near {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "pgbackfill list shows the jobs that were run".to_owned(),
    };
    Err(Failure::error(format!("job \"{name}\" has never been run in this database\nhint: {hint}")).into())
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
