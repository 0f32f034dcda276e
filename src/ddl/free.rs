//! A step of the job's own: SQL that a person wrote, and a query that tells whether it is done.
//!
//! Must not know: what it does.

use super::door::Opening;
use super::target::{Next, Refused, Target};
use crate::db::{Error, Session};
use crate::human;
use crate::job::Step;
use crate::sql::{LockMode, bare};

/// The next thing to do for it. Without a query its row tells, which is written in its transaction.
pub(super) async fn next(
    session: &Session,
    target: &Target,
    (step, is_recorded, is_pooled): (&Step, bool, bool),
) -> Result<Result<Next, Refused>, Error> {
    let Some(free) = &step.free else { return Ok(Ok(Next::Done)) };
    let is_done = match &free.done {
        None => is_recorded,
        Some(done) => match asked(session, done).await? {
            Ok(is_done) => is_done,
            Err(why) => return Ok(Err(why)),
        },
    };
    if is_done {
        return Ok(Ok(Next::Done));
    }
    let statements: Vec<_> = free.statements.iter().map(|one| bare(one).to_owned()).collect();
    for statement in &statements {
        // Where a pooler stands between, what is prepared may not be known any more.
        let several = !is_pooled && session.parses(statement).await.is_err_and(|error| is_several(&error));
        if several {
            let hint = "write do = [\"…\", \"…\"]: each of them gets what is left of the time".to_owned();
            return Ok(Err((
                format!("step `{}`: `do` has several statements in one text", step.name),
                Some(hint),
            )));
        }
    }
    if free.concurrently {
        return Ok(Ok(Next::Run { sql: statements.join(";\n") }));
    }
    let opening = Opening {
        // It takes its locks itself.
        tables: Vec::new(),
        relations: target.nodes.iter().map(|node| node.relation).collect(),
        mode: LockMode::AccessExclusive,
        statements,
        is_last: true,
    };
    Ok(Ok(Next::Open { opening, what: "does it".to_owned() }))
}

/// Other errors are told when it is run.
fn is_several(error: &Error) -> bool {
    error.sqlstate() == Some("42601")
        && error.server().is_some_and(|server| server.message.contains("multiple commands"))
}

async fn asked(session: &Session, done: &str) -> Result<Result<bool, Refused>, Error> {
    let hint = || Some("`done` is a query of one row with one boolean".to_owned());
    let rows = match session.query(bare(done), &[]).await {
        Ok(rows) => rows,
        Err(error) => {
            let Some(server) = error.server() else { return Err(error) };
            return Ok(Err((format!("`done`: {}", human::one_line(&server.message)), hint())));
        }
    };
    let answer = match &rows[..] {
        [row] if row.len() == 1 => row.try_get::<_, Option<bool>>(0).ok().flatten(),
        _ => None,
    };
    Ok(answer.ok_or_else(|| ("`done` does not answer with one boolean".to_owned(), hint())))
}
