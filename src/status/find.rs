//! The run that a person names.
//!
//! Must not know: where the name was typed.

use crate::db::Session;
use crate::job::did_you_mean;
use crate::run::RunKind;
use crate::store::{self, Run, StoreError};

/// Why there is no run to show or to work with.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The job was never run here.
    #[error("job \"{name}\" has never been run in this database\nhint: {hint}")]
    NeverRun {
        /// The job.
        name: String,
        /// What may be meant.
        hint: String,
    },
    /// No job was ever run here.
    #[error("nothing has been run in this database yet")]
    NothingRun,
    /// What is stored cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<crate::db::Error> for FindError {
    fn from(error: crate::db::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The run of a job that a person means: the latest that is not at its end, whatever it is for, else the
/// latest backfill.
pub async fn current(session: &Session, name: &str) -> Result<Run, FindError> {
    match store::current(session, name).await? {
        Some(run) => Ok(run),
        None => Err(never_run(session, name).await?),
    }
}

/// The latest run of a job that makes its change.
pub async fn latest(session: &Session, name: &str) -> Result<Run, FindError> {
    match store::latest(session, name, RunKind::Backfill).await? {
        Some(run) => Ok(run),
        None => Err(never_run(session, name).await?),
    }
}

async fn never_run(session: &Session, name: &str) -> Result<FindError, FindError> {
    let known = store::list(session, None).await?;
    let near = did_you_mean(name, known.iter().map(|run| run.job.as_str()));
    let hint = match near {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "pgbackfill list shows the jobs that were run".to_owned(),
    };
    Ok(FindError::NeverRun { name: name.to_owned(), hint })
}
