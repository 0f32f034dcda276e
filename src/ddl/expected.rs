//! What the definitions of a job mean: they are made on an empty copy of the table, which is rolled back, and
//! the server is asked what came of it.
//!
//! Must not know: what is there already.

use tokio_postgres::types::Type;

use super::error::StepError;
use super::foreign;
use super::sync::{self, Subject};
use super::target::{Reference, Target, column_words};
use crate::db::{Error, Session};
use crate::human;
use crate::job::{Phase, Step, StepKind, kept_name};
use crate::sql::ddl::{self, Building};
use crate::sql::{Ident, Qualified, SyncTrigger, fixed, settings};

/// What the steps of a phase make.
pub(super) struct Expected {
    /// Of each step, in the server's words; empty for NOT NULL, the body of the function for sync.
    pub(super) definitions: Vec<String>,
    /// The sync trigger, if there is to be one.
    pub(super) trigger: Option<SyncTrigger>,
    /// Where foreign keys are to point to.
    pub(super) references: Vec<Reference>,
}

/// What the steps of a phase make.
pub(super) async fn definitions(
    session: &mut Session,
    subject: &Subject<'_>,
    phase: Phase,
) -> Result<Expected, StepError> {
    session.begin(settings::CHECKING).await?;
    let found = on_copy(session, subject, phase).await;
    session.rollback().await?;
    found
}

/// Columns that were replaced have the names there that the job knows, as long as it is asked what they make.
async fn on_copy(session: &Session, subject: &Subject<'_>, phase: Phase) -> Result<Expected, StepError> {
    let target = subject.target;
    let steps = subject.job.steps.of(phase);
    session.batch_execute(&ddl::copy(&subject.table.name)).await?;
    as_the_job_knows(session, target).await?;
    let (mut found, mut trigger, mut references) = (Vec::new(), None, Vec::new());
    let has_swap = steps.iter().any(|step| step.kind == StepKind::Replace);
    if phase == Phase::Contract && has_swap && !target.is_old_gone {
        trigger = trigger_to_swap(session, subject).await?;
    }
    for (number, step) in steps.iter().enumerate() {
        let definition = match step.kind {
            StepKind::Type => Ok(enum_type(session, &subject.table.name, step).await?),
            StepKind::Free | StepKind::Replace | StepKind::Drop => Ok(String::new()),
            StepKind::ForeignKey => {
                foreign::reference(session, &subject.table.name, step).await?.map(|(found, definition)| {
                    references.push(found);
                    definition
                })
            }
            StepKind::Column => column(session, step).await?,
            StepKind::Sync => match &subject.job.steps.sync {
                Some(asked) if !target.is_old_gone => {
                    sync::trigger(session, subject, asked).await?.map(|made| {
                        let body = made.body();
                        trigger = Some(made);
                        body
                    })
                }
                _ => Ok(String::new()),
            },
            StepKind::NotNull => not_null(session, step).await?,
            StepKind::Check => check(session, step).await?,
            StepKind::Index | StepKind::UniqueIndex => index(session, step).await?,
        };
        found.push(definition.map_err(|(message, hint)| StepError::Job { number, message, hint })?);
    }
    as_they_are(session, target).await?;
    if !target.replaced.is_empty() {
        for (step, definition) in steps.iter().zip(&mut found) {
            if let Some(now) = again(session, step).await? {
                *definition = now;
            }
        }
    }
    Ok(Expected { definitions: found, trigger, references })
}

async fn rename(session: &Session, from: &str, to: &str) -> Result<(), Error> {
    let (from, to) = (Ident(from.to_owned()), Ident(to.to_owned()));
    session.batch_execute(&ddl::rename_column(ddl::COPY, &from, &to)).await
}

/// The copy has the names that the job knows.
async fn as_the_job_knows(session: &Session, target: &Target) -> Result<(), Error> {
    for (old, new) in &target.replaced {
        rename(session, old, new).await?;
        if target.columns.contains(&kept_name(old)) {
            rename(session, &kept_name(old), old).await?;
        }
    }
    Ok(())
}

/// The copy has the names of today.
async fn as_they_are(session: &Session, target: &Target) -> Result<(), Error> {
    for (old, new) in &target.replaced {
        if target.columns.contains(&kept_name(old)) {
            rename(session, old, &kept_name(old)).await?;
        }
        rename(session, new, old).await?;
    }
    Ok(())
}

/// The trigger of the expand, as far as there can be one: what it is made of changes with the names.
async fn trigger_to_swap(session: &Session, subject: &Subject<'_>) -> Result<Option<SyncTrigger>, StepError> {
    let Some(asked) = &subject.job.steps.sync else { return Ok(None) };
    for step in subject.job.steps.expand.iter().filter(|step| step.kind == StepKind::Column) {
        column(session, step).await?.map_err(|(why, _)| StepError::TooEarly(why))?;
    }
    let made = sync::trigger(session, subject, asked).await?;
    Ok(Some(made.map_err(|(why, _)| StepError::TooEarly(why))?))
}

/// What the server says of it once the columns have other names.
async fn again(session: &Session, step: &Step) -> Result<Option<String>, Error> {
    let relation: u32 = session.query_one(fixed::STEP_COPY, &[]).await?.get("relation");
    Ok(match step.kind {
        StepKind::Check => {
            let params = [(&relation as _, Type::OID), (&step.name as _, Type::TEXT)];
            Some(session.query_one(fixed::STEP_CHECK, &params).await?.get("definition"))
        }
        StepKind::Index | StepKind::UniqueIndex => Some(index_words(session, relation, step).await?),
        _ => None,
    })
}

async fn index_words(session: &Session, relation: u32, step: &Step) -> Result<String, Error> {
    let params = [(&relation as _, Type::OID), (&step.name as _, Type::TEXT), (&0_i32 as _, Type::INT4)];
    Ok(session.query_one(fixed::STEP_INDEX, &params).await?.get("definition"))
}

/// Why a definition cannot be made, and what to do.
type Refused = (String, Option<String>);

/// What the server says of SQL that is the job's own. Errors that are not about the SQL stay errors.
fn refused(made: Result<u64, Error>) -> Result<Result<(), Refused>, Error> {
    match made {
        Ok(_) => Ok(Ok(())),
        Err(error) => match error.server() {
            Some(server) => Ok(Err((human::one_line(&server.message), None))),
            None => Err(error),
        },
    }
}

/// So that columns can be of it.
async fn enum_type(session: &Session, table: &Qualified, step: &Step) -> Result<String, Error> {
    let params = [(&table.schema.0 as _, Type::TEXT), (&step.name as _, Type::TEXT)];
    if session.query_opt(fixed::STEP_TYPE, &params).await?.is_none() {
        let name = Qualified { schema: table.schema.clone(), name: Ident(step.name.clone()) };
        let labels: Vec<&str> = step.definition.lines().collect();
        session.batch_execute(&ddl::create_enum(&name, &labels)).await?;
    }
    Ok(step.definition.clone())
}

async fn column(session: &Session, step: &Step) -> Result<Result<String, Refused>, Error> {
    let name = Ident(step.name.clone());
    session.batch_execute(&ddl::copy_without(&name)).await?;
    let before = session.query_one(fixed::STEP_COPY, &[]).await?;
    let sql = ddl::add_column(ddl::COPY, &name, &step.definition);
    // One statement: whatever else the text holds is an error of its syntax.
    if let Err(why) = refused(session.execute(&sql, &[]).await)? {
        let hint = "constraints belong under [contract], so that the rows are looked at without a lock";
        let is_constraint = why.0.contains("constraint");
        return Ok(Err((why.0, is_constraint.then(|| hint.to_owned()))));
    }
    let after = session.query_one(fixed::STEP_COPY, &[]).await?;
    if before.get::<_, Option<u32>>("file") != after.get::<_, Option<u32>>("file") {
        let message = format!("adding column `{}` so would rewrite the whole table under a lock", step.name);
        let hint = "give it no default, or one that is the same for every row, and let the job fill it";
        return Ok(Err((message, Some(hint.to_owned()))));
    }
    if let Some(constraints) = after.get::<_, Option<String>>("constraints") {
        let message =
            format!("adding column `{}` so would look at every row under a lock: {constraints}", step.name);
        return Ok(Err((message, Some("write it as a step of [contract]".to_owned()))));
    }
    let params = [(&after.get::<_, u32>("relation") as _, Type::OID), (&step.name as _, Type::TEXT)];
    Ok(Ok(column_words(&session.query_one(fixed::STEP_COLUMNS, &params).await?, "")))
}

async fn not_null(session: &Session, step: &Step) -> Result<Result<String, Refused>, Error> {
    let relation: u32 = session.query_one(fixed::STEP_COPY, &[]).await?.get("relation");
    let params = [(&relation as _, Type::OID), (&step.name as _, Type::TEXT)];
    Ok(match session.query_opt(fixed::STEP_COLUMNS, &params).await? {
        Some(_) => Ok(String::new()),
        None => Err((format!("column `{}` does not exist", step.name), None)),
    })
}

async fn check(session: &Session, step: &Step) -> Result<Result<String, Refused>, Error> {
    let sql = ddl::add_check(ddl::COPY, &Ident(step.name.clone()), &step.definition);
    if let Err(why) = refused(session.execute(&sql, &[]).await)? {
        return Ok(Err(why));
    }
    let relation: u32 = session.query_one(fixed::STEP_COPY, &[]).await?.get("relation");
    let params = [(&relation as _, Type::OID), (&step.name as _, Type::TEXT)];
    Ok(Ok(session.query_one(fixed::STEP_CHECK, &params).await?.get("definition")))
}

async fn index(session: &Session, step: &Step) -> Result<Result<String, Refused>, Error> {
    let is_unique = step.kind == StepKind::UniqueIndex;
    let name = Ident(step.name.clone());
    let sql = ddl::create_index(ddl::COPY, &name, &step.definition, is_unique, Building::AtOnce);
    if let Err(why) = refused(session.execute(&sql, &[]).await)? {
        return Ok(Err(why));
    }
    let relation: u32 = session.query_one(fixed::STEP_COPY, &[]).await?.get("relation");
    Ok(Ok(index_words(session, relation, step).await?))
}
