//! Asks the catalog about the job's table and the server about its expressions, before anything is changed.
//!
//! Must not know: what a run is.

use super::check::PATIENCE;
use super::review::Code;
use super::{Plan, change, check, table};
use crate::catalog;
use crate::db::{Error, Session};
use crate::job::{Diagnostic, Job, JobErrors, Part, did_you_mean};
use crate::sql::{self, Ident};

/// Why a job cannot run here.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The job does not fit the table, or the server does not take an expression.
    #[error("{0}")]
    Job(JobErrors),
    /// The server or the connection failed.
    #[error(transparent)]
    Database(#[from] Error),
}

impl From<Vec<Diagnostic>> for Refusal {
    fn from(found: Vec<Diagnostic>) -> Self {
        // Called with what was found, so never empty.
        Self::Job(found.try_into().expect("a refusal has a reason"))
    }
}

/// The plan of a job, or everything that keeps it from running.
pub async fn preflight(session: &mut Session, job: &Job, user: &str) -> Result<Plan, Refusal> {
    let quoted = quoted(job);
    let Some(found) = catalog::table(session, &quoted).await? else {
        return Err(vec![unknown_table(job, &catalog::table_names(session).await?)].into());
    };
    let facts = table::Facts {
        columns: catalog::columns(session, found.relation).await?,
        keys: catalog::keys(session, found.relation).await?,
        table: found,
        user: user.to_owned(),
    };
    let key = table::fit(job, &facts)?;
    let names: Vec<_> = key.iter().map(|column| column.name.clone()).collect();
    let leaves = catalog::leaves(session, PATIENCE, facts.table.relation, &names).await?;
    table::fit_leaves(job, &facts, &leaves)?;
    let alias = Ident(job.table.name.clone());
    let (order, quiet) = catalog::order(session, facts.table.relation, &columns(job), &names).await?;
    let quiet = if job.order.quiet { quiet } else { vec![] };
    let joins_runs = !sql::is_name_of_runs(&alias.0)
        && !facts.columns.iter().any(|column| sql::is_name_of_runs(&column.name));
    let plan = Plan { table: facts.table, key, change: change(job, quiet), order, leaves, alias, joins_runs };
    check(session, job, &plan).await?;
    Ok(plan)
}

fn columns(job: &Job) -> Vec<String> {
    job.set.iter().map(|assignment| assignment.column.clone()).collect()
}

/// The name as the server reads it: quoted, so that nothing is folded twice.
fn quoted(job: &Job) -> String {
    let name = Ident(job.table.name.clone());
    match &job.table.schema {
        Some(schema) => format!("{}.{name}", Ident(schema.clone())),
        None => name.to_string(),
    }
}

fn unknown_table(job: &Job, known: &[String]) -> Diagnostic {
    let near = did_you_mean(&job.table.to_string(), known.iter().map(String::as_str));
    let elsewhere = || {
        let wanted = format!(".{}", job.table.name);
        known.iter().find(|name| name.ends_with(&wanted)).map(String::as_str)
    };
    let hint = match elsewhere().or(near) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "is it in another schema or another database? write schema.table".to_owned(),
    };
    let message = format!("there is no table \"{}\" in this database", job.table);
    job.diagnose(Part::Table, message, Some(hint)).coded(Code::UnknownTable.as_str())
}
