//! The sync trigger: what it is made of, asked of the server on the empty copy, and whether it is there.
//!
//! Must not know: how its lock is got.

use serde_json::Value;
use tokio_postgres::types::{Json, Type};

use super::door::Opening;
use super::target::{Next, Refused, Target};
use crate::catalog::Table;
use crate::db::{Error, Session};
use crate::human;
use crate::job::{Conflict, Job, Sync};
use crate::sql::{
    Ident, LockMode, SyncSource, SyncTarget, SyncTrigger, Wins, ddl, fixed, sync_function, sync_triggers,
};

/// The job and its table.
pub(super) struct Subject<'a> {
    pub(super) job: &'a Job,
    pub(super) table: &'a Table,
    pub(super) target: &'a Target,
    /// The settings that decide what an expression means, as JSON.
    pub(super) settings: &'a str,
}

fn refused<T>(message: impl Into<String>, hint: &str) -> Result<T, Refused> {
    Err((message.into(), Some(hint.to_owned())))
}

/// What expressions over the copy read.
struct Reads {
    columns: Vec<String>,
    other_rows: bool,
    is_volatile: bool,
}

/// The trigger of a job, or why there can be none. The copy has the new columns by now.
pub(super) async fn trigger(
    session: &Session,
    subject: &Subject<'_>,
    sync: &Sync,
) -> Result<Result<SyncTrigger, Refused>, Error> {
    let job = subject.job;
    let relation: u32 = session.query_one(fixed::STEP_COPY, &[]).await?.get("relation");
    let targets = match targets(session, job, relation).await? {
        Ok(targets) => targets,
        Err(why) => return Ok(Err(why)),
    };
    let sources = match sources(session, subject, relation).await? {
        Ok(sources) => sources,
        Err(why) => return Ok(Err(why)),
    };
    let mut known: Vec<String> = job.set.iter().map(|value| value.column.clone()).collect();
    known.extend(sources.iter().map(|source| source.column.0.clone()));
    known.extend(sync.back.iter().map(|(column, _)| column.clone()));
    match back(session, subject, (sync, relation)).await? {
        Ok(read) => known.extend(read),
        Err(why) => return Ok(Err(why)),
    }
    match rows(session, subject).await? {
        Ok(read) => known.extend(read),
        Err(why) => return Ok(Err(why)),
    }
    known.sort_unstable();
    known.dedup();
    let settings: Value = serde_json::from_str(subject.settings).unwrap_or_default();
    let settings = settings.as_object().into_iter().flatten();
    Ok(Ok(SyncTrigger {
        job: job.name.as_str().to_owned(),
        table: subject.table.name.clone(),
        alias: Ident(job.table.name.clone()),
        targets,
        sources,
        known: known.into_iter().map(Ident).collect(),
        back: sync.back.iter().map(|(column, value)| (Ident(column.clone()), value.clone())).collect(),
        rows: job.verify.rows.clone(),
        lookup: job.lookup.as_ref().map(|lookup| (lookup.from.clone(), lookup.on.clone())),
        wins: match sync.conflict {
            Conflict::Old => Wins::Old,
            Conflict::New => Wins::New,
            Conflict::Error => Wins::Nobody,
        },
        raises: sync.raise,
        settings: settings
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        is_subscribed: false,
        is_partitioned: subject.table.kind == "p",
        owner: None,
        renamed: Vec::new(),
    }))
}

/// The columns that are set.
async fn targets(
    session: &Session,
    job: &Job,
    relation: u32,
) -> Result<Result<Vec<SyncTarget>, Refused>, Error> {
    let mut targets = Vec::new();
    for value in &job.set {
        let params = [(&relation as _, Type::OID), (&value.column as _, Type::TEXT)];
        let Some(row) = session.query_opt(fixed::STEP_COLUMNS, &params).await? else {
            let hint = format!("let it be made: column.{} = \"…\" under [expand]", value.column);
            return Ok(refused(format!("column `{}` does not exist", value.column), &hint));
        };
        if row.get("domain") {
            let hint = "let the application write it, or make the column of the type that the domain is of";
            return Ok(refused(
                format!("column `{}` is of a domain, which may refuse what a trigger computes", value.column),
                hint,
            ));
        }
        targets.push(SyncTarget {
            column: Ident(value.column.clone()),
            type_name: row.get("type_name"),
            expression: value.expression.clone(),
            default: row.get("constant"),
        });
    }
    Ok(Ok(targets))
}

/// The columns that the job's expressions read.
async fn sources(
    session: &Session,
    subject: &Subject<'_>,
    copy: u32,
) -> Result<Result<Vec<SyncSource>, Refused>, Error> {
    let job = subject.job;
    let lookup = job.lookup.as_ref();
    let from = (lookup.map(|lookup| lookup.from.as_str()), lookup.map(|lookup| lookup.on.as_str()));
    let is_set = |column: &String| job.set.iter().any(|value| value.column == *column);
    let mut sources = Vec::new();
    for value in &job.set {
        let reads = match reads(session, subject, (&value.expression, from)).await? {
            Ok(reads) => reads,
            Err(why) => return Ok(Err(why)),
        };
        let name = &value.column;
        if reads.is_volatile {
            let hint = "a trigger would give another value than the run: let the application write it";
            return Ok(refused(format!("the expression for `{name}` has another value each time"), hint));
        }
        if reads.other_rows {
            let hint = "a trigger sees the row that is written; let the application write it";
            return Ok(refused(format!("the expression for `{name}` reads other rows of the table"), hint));
        }
        if let Some(column) = reads.columns.iter().find(|column| is_set(column)) {
            let hint = "what is made of itself cannot be kept in step";
            return Ok(refused(
                format!("the expression for `{name}` reads `{column}`, which the job sets"),
                hint,
            ));
        }
        sources.extend(reads.columns);
    }
    sources.sort_unstable();
    sources.dedup();
    let mut found = Vec::new();
    for column in &sources {
        let params = [(&copy as _, Type::OID), (column as _, Type::TEXT)];
        let row = session.query_one(fixed::STEP_COLUMNS, &params).await?;
        // LIKE copies neither what is generated as such, nor a default.
        let today = subject.target.now(column);
        let params = [(&subject.table.relation as _, Type::OID), (&today as _, Type::TEXT)];
        let real = session.query_opt(fixed::STEP_COLUMNS, &params).await?;
        let is_generated = real.as_ref().is_some_and(|real| real.get("generated"));
        found.push(SyncSource {
            column: Ident(column.clone()),
            default: real.and_then(|real| real.get("constant")),
            type_name: row.get("type_name"),
        });
        if row.get::<_, bool>("generated") || is_generated {
            let hint =
                "a generated column has no value yet when a trigger fires: write its expression instead";
            return Ok(refused(format!("`set` reads `{column}`, which is generated"), hint));
        }
    }
    Ok(Ok(found))
}

/// What an expression reads; or what the server says of it.
async fn reads(
    session: &Session,
    subject: &Subject<'_>,
    (value, from): (&str, (Option<&str>, Option<&str>)),
) -> Result<Result<Reads, Refused>, Error> {
    let alias = Ident(subject.job.table.name.clone());
    let asked = async {
        session.execute(&ddl::reads(&alias, &[value], from), &[]).await?;
        let row = session.query_one(fixed::STEP_READS, &[(&subject.table.relation, Type::OID)]).await?;
        let plan: Json<Value> = session.query_one(ddl::IS_VOLATILE, &[]).await?.get(0);
        Ok::<_, Error>((row, plan.0.to_string()))
    };
    let (row, plan) = match asked.await {
        Ok(told) => told,
        Err(error) => {
            let Some(server) = error.server() else { return Err(error) };
            return Ok(Err((human::one_line(&server.message), None)));
        }
    };
    session.batch_execute(ddl::DROP_READS).await?;
    Ok(Ok(Reads {
        columns: row.get("columns"),
        other_rows: row.get("reads_itself"),
        is_volatile: plan.contains("pgbackfill_reads"),
    }))
}

/// What the expressions read that the old columns follow; or why they cannot.
async fn back(
    session: &Session,
    subject: &Subject<'_>,
    (sync, copy): (&Sync, u32),
) -> Result<Result<Vec<String>, Refused>, Error> {
    let mut read = Vec::new();
    for (column, expression) in &sync.back {
        let hint = |text: &str| Some(text.to_owned());
        let params = [(&copy as _, Type::OID), (column as _, Type::TEXT)];
        if session.query_opt(fixed::STEP_COLUMNS, &params).await?.is_none() {
            return Ok(Err((format!("sync.back: column `{column}` does not exist"), None)));
        }
        if subject.job.set.iter().any(|value| value.column == *column) {
            let message = format!("sync.back: the job sets `{column}` itself");
            return Ok(Err((message, hint("back leads to a column that `set` reads"))));
        }
        if subject.table.partition_columns.contains(column) {
            let message = format!("sync.back: `{column}` is part of the partition key");
            return Ok(Err((message, hint("a row would move while it is written"))));
        }
        match reads(session, subject, (expression, (None, None))).await? {
            Err((message, hint)) => return Ok(Err((format!("sync.back.{column}: {message}"), hint))),
            Ok(reads) if reads.is_volatile => {
                let message = format!("sync.back.{column} has another value each time");
                return Ok(Err((message, None)));
            }
            Ok(reads) => read.extend(reads.columns),
        }
    }
    Ok(Ok(read))
}

/// What is read to know which rows the job is about: `where` says what is left to do, and perhaps more.
async fn rows(session: &Session, subject: &Subject<'_>) -> Result<Result<Vec<String>, Refused>, Error> {
    let job = subject.job;
    let (condition, is_said) = match (&job.verify.rows, &job.filter) {
        (Some(rows), _) => (rows, true),
        (None, Some(filter)) if job.lookup.is_none() => (filter, false),
        (None, _) => return Ok(Ok(Vec::new())),
    };
    let reads = match reads(session, subject, (condition, (None, None))).await? {
        Ok(reads) => reads,
        Err((message, hint)) => {
            let what = if is_said { "verify.rows" } else { "where" };
            return Ok(Err((format!("{what}: {message}"), hint)));
        }
    };
    let other = reads.columns.iter().find(|column| !job.set.iter().any(|value| value.column == **column));
    match other.filter(|_| !is_said) {
        Some(column) => Ok(refused(
            format!("`where` reads `{column}`: it is not known which rows the trigger is to keep in step"),
            "say which rows the job is about, done or not: rows = \"kind = 'a'\" under [verify], or rows = \"true\" for all",
        )),
        None => Ok(Ok(if is_said { reads.columns } else { Vec::new() })),
    }
}

/// What there is of a job's trigger.
struct Found {
    body: Option<String>,
    states: Vec<String>,
    tables: usize,
    is_subscribed: bool,
    used_by: Option<String>,
    other_owner: Option<String>,
    is_owned: bool,
    open_schemas: Option<String>,
}

impl Found {
    /// For every write.
    fn fires(&self) -> bool {
        let fires = |state: &String| state == "A" || (state == "O" && !self.is_subscribed);
        self.states.len() == 2 * self.tables && self.states.iter().all(fires)
    }
}

async fn found(session: &Session, target: &Target, job: &str, path: &str) -> Result<Found, Error> {
    let function = sync_function(job).name.0;
    let names = sync_triggers(job).map(|name| name.0);
    let relations: Vec<_> = target.nodes.iter().map(|node| node.relation).collect();
    let params = [
        (&relations as _, Type::OID_ARRAY),
        (&function as _, Type::TEXT),
        (&&names[..] as _, Type::TEXT_ARRAY),
        (&path as _, Type::TEXT),
    ];
    let row = session.query_one(fixed::STEP_SYNC, &params).await?;
    Ok(Found {
        body: row.get("body"),
        states: row.get("states"),
        tables: relations.len(),
        is_subscribed: row.get("subscribed"),
        used_by: row.get("used_by"),
        other_owner: row.get("other_owner"),
        is_owned: row.get("owned"),
        open_schemas: row.get("open_schemas"),
    })
}

/// Who is to own it, and whether it is to fire for replicated rows: facts of the table, not of the job.
pub(super) async fn complete_facts(session: &Session, target: &mut Target, job: &str) -> Result<(), Error> {
    let found = found(session, target, job, "").await?;
    if let Some(sync) = &mut target.sync {
        (sync.owner, sync.is_subscribed) = (found.other_owner.map(Ident), found.is_subscribed);
    }
    Ok(())
}

/// Whether the trigger of a job fires for every write.
pub(super) async fn fires(session: &Session, target: &Target, job: &str) -> Result<bool, Error> {
    Ok(found(session, target, job, "").await?.fires())
}

/// The next thing to do for the trigger.
pub(super) async fn next(
    session: &Session,
    target: &Target,
    trigger: &SyncTrigger,
) -> Result<Result<Next, Refused>, Error> {
    if target.is_old_gone || (!target.replaced.is_empty() && trigger.back.is_empty()) {
        // It has done its part.
        return Ok(Ok(Next::Done));
    }
    let [insert, update] = sync_triggers(&trigger.job);
    let path = trigger.settings.iter().find(|(name, _)| name == "search_path").map_or("", |(_, path)| path);
    let found = found(session, target, &trigger.job, path).await?;
    if let Some(table) = &found.used_by {
        let hint = format!(
            "drop its triggers first, or give this job another name: the function of job {} would not fit both tables",
            trigger.job
        );
        return Ok(refused(format!("the sync trigger of this job is on table {table}, too"), &hint));
    }
    if let Some(schemas) = &found.open_schemas {
        let hint = format!("REVOKE CREATE ON SCHEMA {schemas} FROM PUBLIC, as it is from PostgreSQL 15 on");
        let message = format!(
            "everybody may make functions in schema {schemas}, and the trigger would run them as the owner of the table"
        );
        return Ok(refused(message, &hint));
    }
    let (states, is_subscribed) = (&found.states, found.is_subscribed);
    if states.iter().any(|state| state == "D" || state == "R") {
        let hint = format!(
            "ALTER TABLE {0} ENABLE TRIGGER {1}, ENABLE TRIGGER {2}, and run the job again if writes were missed",
            trigger.table, insert, update
        );
        return Ok(refused("the sync trigger is there and was disabled", &hint));
    }
    let is_same = found.body.as_ref().is_some_and(|body| *body == trigger.body()) && found.is_owned;
    if is_same && found.fires() {
        return Ok(Ok(Next::Done));
    }
    let replaces = !states.is_empty();
    let owner = found.other_owner.clone().map(Ident);
    let statements = SyncTrigger { owner, is_subscribed, ..trigger.clone() }.create(replaces);
    // DROP TRIGGER stands in front of readers, too.
    let mode = if replaces { LockMode::AccessExclusive } else { LockMode::ShareRowExclusive };
    let opening = Opening { mode, ..target.open_all(statements, true) };
    Ok(Ok(Next::Open { opening, what: "adds the trigger; from then on every write is in step".to_owned() }))
}
