//! The findings that a new run shows before it begins, and the question whether it may.
//!
//! Must not know: what is looked for.

use pgbackfill::catalog;
use pgbackfill::db::{Error, Pool};
use pgbackfill::ddl;
use pgbackfill::engine::{EngineError, Which};
use pgbackfill::job::Job;
use pgbackfill::plan;
use pgbackfill::plan::review::{Facts, Subject, judge, look};
use pgbackfill::plan::{Finding, Severity};
use pgbackfill::run::RunKind;
use pgbackfill::store;

use super::exit::Failure;
use super::globals::Globals;
use super::out;

/// What is done about warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Warnings {
    /// A person at a terminal is asked.
    Ask,
    /// They were accepted beforehand.
    Accepted,
}

/// Whether a run may begin. One that is there already is entered without a review: nothing must stand in the
/// way of going on.
pub(crate) async fn passes(
    pool: &Pool,
    job: &Job,
    which: Which,
    warnings: Warnings,
    globals: &Globals,
) -> anyhow::Result<bool> {
    let found = match findings(pool, job, which).await {
        Ok(found) => found,
        Err(Unreviewed::Refused(failure)) => return Err(failure.into()),
        Err(Unreviewed::NotNow(error)) => {
            out::aside(&format!("warning: the job was not reviewed: {error}"));
            return Ok(true);
        }
    };
    for finding in found.iter().filter(|finding| finding.severity != Severity::Note || globals.verbose > 0) {
        out::aside(&text(finding));
    }
    let has = |severity| found.iter().any(|finding| finding.severity == severity);
    if has(Severity::Error) {
        return Err(Failure::usage(
            "the job cannot run like this\nhint: pgbackfill plan shows the whole review",
        )
        .into());
    }
    let may_ask = warnings == Warnings::Ask && out::is_attended();
    Ok(!has(Severity::Warning) || !may_ask || out::says_yes("Go on?")?)
}

/// `warning[code]: what was seen`, and what may be done on a line of its own.
pub(crate) fn text(finding: &Finding) -> String {
    let Finding { code, severity, fact, remedy } = finding;
    format!("{}[{code}]: {fact}\n  hint: {remedy}", severity.as_str())
}

/// Why there are no findings.
enum Unreviewed {
    /// The job cannot run.
    Refused(Failure),
    /// Something was in the way of the review, which need not be in the way of the run.
    NotNow(Error),
}

impl From<Error> for Unreviewed {
    fn from(error: Error) -> Self {
        Self::NotNow(error)
    }
}

async fn findings(pool: &Pool, job: &Job, which: Which) -> Result<Vec<Finding>, Unreviewed> {
    let refused = |error: EngineError| Unreviewed::Refused(error.into());
    let mut session = pool.session().await.map_err(|error| refused(error.into()))?;
    let server = catalog::server(&session).await?;
    // What is wrong with the control schema, or with a standby, the engine tells.
    let begun = match store::installed(&session).await {
        Ok(true) => {
            store::latest(&session, job.name.as_str(), RunKind::Backfill).await.is_ok_and(|run| run.is_some())
        }
        Ok(false) => false,
        Err(_) => true,
    };
    if server.standby || (begun && which == Which::Current) {
        return Ok(vec![]);
    }
    let plan = plan::preflight(&mut session, job, &server.user, RunKind::Backfill).await;
    let plan = plan.map_err(|refusal| refused(refusal.into()))?;
    if !ddl::keeps_in_step(&session, job, plan.table.relation).await? {
        let message = "the job keeps its columns in step, and its trigger is not there, so that writes during the run could be missed";
        let hint = "pgbackfill expand comes first";
        return Err(Unreviewed::Refused(Failure::usage(format!("{message}\nhint: {hint}"))));
    }
    let facts: Facts = look(&mut session, job, &plan).await;
    Ok(judge(&Subject { job, plan: &plan, server: &server, facts: &facts, measured: None, estimate: None }))
}
