//! What is to be done next for a step, as the catalog has it now: it decides, and nothing else does, so that
//! a step that was cut off anywhere goes on from there.
//!
//! Must not know: how it is done.

use tokio_postgres::types::Type;

use super::door::Opening;
use super::error::StepError;
use super::foreign;
use super::free;
use super::index::index_of;
use super::partitioned;
use super::replace;
use super::sync;
use super::target::{NOT_NULL_NOT_VALID_FROM, Next, Refused, Target, column_words, differs};
use crate::db::{Error, Session};
use crate::job::{Step, StepKind};
use crate::sql::{Ident, LockMode, Qualified, ddl, fixed, uncut_name};

/// The next thing to do for a step that is to make this, in the server's words. `is_recorded`: its row says
/// that it is done, which counts where the catalog cannot tell.
pub(super) async fn next(
    session: &Session,
    (target, job): (&Target, &str),
    (number, step, expected): (usize, &Step, &str),
    is_recorded: bool,
) -> Result<Next, StepError> {
    let found = match step.kind {
        StepKind::Type => enum_type(session, target, step).await?,
        StepKind::ForeignKey => foreign::next(session, target, (step, expected)).await?,
        StepKind::Replace => replace::next(session, target, (step, job, is_recorded)).await?,
        // It goes when a person says so.
        StepKind::Drop => Ok(Next::Done),
        StepKind::Free => free::next(session, target, (step, is_recorded, target.is_pooled)).await?,
        StepKind::Column => column(session, target, step, expected).await?,
        StepKind::NotNull => not_null(session, target, step).await?,
        StepKind::Sync => match &target.sync {
            Some(trigger) => sync::next(session, target, trigger).await?,
            None => Ok(Next::Done),
        },
        StepKind::Check => check(session, target, (step, expected)).await?,
        StepKind::Index | StepKind::UniqueIndex if target.top().is_partitioned => {
            partitioned::index(session, target, step, expected).await?
        }
        StepKind::Index | StepKind::UniqueIndex => {
            let index =
                Qualified { schema: target.top().name.schema.clone(), name: Ident(step.name.clone()) };
            index_of(session, target.top(), (&index, step), (expected, target.backend)).await?
        }
    };
    found.map_err(|(message, hint)| StepError::Job { number, message, hint })
}

fn named(name: &str) -> Ident {
    Ident(name.to_owned())
}

async fn enum_type(session: &Session, target: &Target, step: &Step) -> Result<Result<Next, Refused>, Error> {
    let schema = &target.top().name.schema;
    let name = Qualified { schema: schema.clone(), name: named(&step.name) };
    let wanted: Vec<&str> = step.definition.lines().collect();
    let params = [(&schema.0 as _, Type::TEXT), (&step.name as _, Type::TEXT)];
    let statements = match session.query_opt(fixed::STEP_TYPE, &params).await? {
        None => vec![ddl::create_enum(&name, &wanted)],
        Some(row) => {
            let Some(found) = row.get::<_, Option<Vec<String>>>("labels") else {
                return Ok(Err((format!("type {name} is there already and is no enum"), None)));
            };
            if found == wanted {
                return Ok(Ok(Next::Done));
            }
            if found.len() > wanted.len() || found.iter().zip(&wanted).any(|(found, wanted)| found != wanted)
            {
                return Ok(Err(differs(&format!("type {name}"), &found.join(", "), &wanted.join(", "))));
            }
            wanted[found.len()..].iter().map(|label| ddl::add_label(&name, label)).collect()
        }
    };
    let opening = Opening {
        tables: Vec::new(),
        relations: Vec::new(),
        mode: LockMode::AccessExclusive,
        statements,
        is_last: true,
    };
    Ok(Ok(Next::Open { opening, what: "makes it".to_owned() }))
}

async fn column(
    session: &Session,
    target: &Target,
    step: &Step,
    expected: &str,
) -> Result<Result<Next, Refused>, Error> {
    let today = target.now(&step.name);
    let params = [(&target.top().relation as _, Type::OID), (&today as _, Type::TEXT)];
    if let Some(row) = session.query_opt(fixed::STEP_COLUMNS, &params).await? {
        let what = format!("column `{}`", step.name);
        return Ok(match column_words(&row, expected) {
            found if found == expected => Ok(Next::Done),
            found => Err(differs(&what, &found, expected)),
        });
    }
    let table = target.top().name.to_string();
    let sql = ddl::add_column(&table, &named(&step.name), &step.definition);
    Ok(Ok(Next::Open { opening: target.open_all(vec![sql], true), what: "adds it".to_owned() }))
}

async fn check(
    session: &Session,
    target: &Target,
    (step, expected): (&Step, &str),
) -> Result<Result<Next, Refused>, Error> {
    let (table, name) = (&target.top().name, named(&step.name));
    let params = [(&target.top().relation as _, Type::OID), (&step.name as _, Type::TEXT)];
    let Some(row) = session.query_opt(fixed::STEP_CHECK, &params).await? else {
        let sql = ddl::add_check(&table.to_string(), &name, &step.definition);
        let what = "adds it for what is written from now on".to_owned();
        return Ok(Ok(Next::Open { opening: target.open_all(vec![sql], false), what }));
    };
    let found: String = row.get("definition");
    let what = format!("constraint `{}`", step.name);
    if found != expected || row.get::<_, String>("type") != "c" {
        return Ok(Err(differs(&what, &found, expected)));
    }
    if !row.get::<_, bool>("enforced") {
        let hint = "drop it, or leave it out here".to_owned();
        return Ok(Err((format!("{what} is there already and is NOT ENFORCED"), Some(hint))));
    }
    if row.get("valid") {
        return Ok(Ok(Next::Done));
    }
    Ok(Ok(validate(target, &name)))
}

fn validate(target: &Target, name: &Ident) -> Next {
    let table = &target.top().name;
    let undo = target.open_all(vec![ddl::drop_constraint(table, name)], false);
    Next::Validate { sql: ddl::validate(table, name), undo }
}

/// The check that proves NOT NULL. Not a name that others give, and the same each time.
pub(super) fn not_null_helper(step: &Step) -> Ident {
    Ident(uncut_name("pgbackfill_", &step.name, "_not_null"))
}

async fn not_null(session: &Session, target: &Target, step: &Step) -> Result<Result<Next, Refused>, Error> {
    let (table, column) = (&target.top().name, named(&target.now(&step.name)));
    let params = [(&target.top().relation as _, Type::OID), (&column.0 as _, Type::TEXT)];
    let Some(row) = session.query_opt(fixed::STEP_NOT_NULL, &params).await? else {
        return Ok(Err((format!("column `{}` does not exist", step.name), None)));
    };
    let (helper, name) = (not_null_helper(step), row.get::<_, Option<String>>("name"));
    let params = [(&target.top().relation as _, Type::OID), (&helper.0 as _, Type::TEXT)];
    let proof = session.query_opt(fixed::STEP_CHECK, &params).await?;
    if row.get("valid") {
        // Done by others meanwhile.
        return Ok(Ok(proof.map_or(Next::Done, |_| {
            let opening = target.open_all(vec![ddl::drop_constraint(table, &helper)], true);
            Next::Open { opening, what: "drops the check that proved it".to_owned() }
        })));
    }
    let what = "adds it for what is written from now on".to_owned();
    if target.server_version >= NOT_NULL_NOT_VALID_FROM {
        if let Some(name) = name {
            return Ok(Ok(validate(target, &named(&name))));
        }
        let name = named(&uncut_name("", &step.name, "_not_null"));
        let sql = ddl::add_not_null(table, &name, &column);
        return Ok(Ok(Next::Open { opening: target.open_all(vec![sql], false), what }));
    }
    let Some(proof) = proof else {
        let sql = ddl::add_check(&table.to_string(), &helper, &ddl::is_not_null(&column));
        return Ok(Ok(Next::Open { opening: target.open_all(vec![sql], false), what }));
    };
    if !proof.get::<_, bool>("valid") {
        return Ok(Ok(validate(target, &helper)));
    }
    // Two statements: a check that goes in the same one is no proof.
    let statements = vec![ddl::set_not_null(table, &column), ddl::drop_constraint(table, &helper)];
    let what = "sets it, as the check proves".to_owned();
    Ok(Ok(Next::Open { opening: target.open_all(statements, true), what }))
}
