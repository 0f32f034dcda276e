//! Asks the catalog about the job's table and the server about its expressions, before anything is changed.
//!
//! Must not know: what a run is.

use super::{Code, Keeps, Ordering, Plan, Refusal, check, compare, fit, undo};
use crate::catalog;
use crate::change::{Change, Lookup, Needs, Update, Verify};
use crate::db::Session;
use crate::job::{Diagnostic, Job, Part, did_you_mean};
use crate::run::RunKind;
use crate::scan::{self, Walk};
use crate::sql::{Ident, settings};

/// The plan of a run of a job, or everything that keeps it from running.
pub async fn preflight(session: &mut Session, job: &Job, user: &str, kind: RunKind) -> Result<Plan, Refusal> {
    let table = find_table(session, job).await?;
    let facts = fit::Facts {
        columns: catalog::columns(session, table.relation).await?,
        keys: catalog::keys(session, table.relation).await?,
        table,
        user: user.to_owned(),
    };
    let fit::Fitted { key, without_key } = fit::fit(job, &facts)?;
    let names: Vec<_> = key.iter().map(|column| column.name.clone()).collect();
    let mut update = update(job);
    let needs = needs(kind);
    let relation = facts.table.relation;
    let leaves = catalog::leaves(session, settings::CHECKING, relation, &names, needs.privileges).await?;
    fit::fit_leaves(job, &facts, &leaves, needs)?;
    let alias = Ident(job.table.name.clone());
    let set: Vec<_> = update.set.iter().map(|(column, _)| column.0.clone()).collect();
    let (order, quiet) = catalog::order(session, relation, &set, &names).await?;
    if job.order.quiet {
        update.quiet = quiet.into_iter().map(Ident).collect();
    }
    let is_ours = |name: &str| scan::is_name_of_bands(name);
    let joins_bands = update.lookup.is_none()
        && !is_ours(&alias.0)
        && !facts.columns.iter().any(|column| is_ours(&column.name));
    let walk = Walk { alias, key, joins_bands, reads_alone: false };
    let (change, ordering) = (Change::Update(update), Ordering::of_key(walk.has_key()));
    let mut plan = Plan {
        table: facts.table,
        key: walk.key.clone(),
        walk,
        change,
        order,
        leaves,
        columns: facts.columns.clone(),
        volatile: vec![],
        ordering,
        walks_kept: false,
        left_out: vec![],
        keeps: Keeps { is_asked: false, why: String::new(), yes: false },
    };
    if kind == RunKind::Backfill {
        check(session, job, &plan).await?;
        super::order::decide(session, job, &mut plan, &facts.columns, without_key).await?;
        plan.keeps = undo::decide(job, &plan)?;
    } else if kind == RunKind::Undo {
        undo::put_back(session, job, &mut plan, without_key).await?;
        check(session, job, &plan).await?;
    } else {
        compare::decide(session, job, &mut plan, kind, without_key).await?;
        plan.change = compare::change(plan.change, kind);
        check(session, job, &plan).await?;
    }
    Ok(plan)
}

/// The table that the job names.
pub async fn find_table(session: &Session, job: &Job) -> Result<catalog::Table, Refusal> {
    match catalog::table(session, &quoted(job)).await? {
        Some(table) => Ok(table),
        None => Err(vec![unknown_table(job, &catalog::table_names(session).await?)].into()),
    }
}

fn needs(kind: RunKind) -> Needs {
    match kind {
        RunKind::Backfill | RunKind::Repair | RunKind::Undo => Update::NEEDS,
        RunKind::Verify => Verify::NEEDS,
    }
}

/// What the job does to its rows.
fn update(job: &Job) -> Update {
    let lookup = |lookup: &crate::job::Lookup| Lookup { from: lookup.from.clone(), on: lookup.on.clone() };
    Update {
        set: job.set.iter().map(|a| (Ident(a.column.clone()), a.expression.clone())).collect(),
        quiet: vec![],
        filter: job.filter.clone(),
        differs: None,
        lookup: job.lookup.as_ref().map(lookup),
        keeps: None,
    }
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
