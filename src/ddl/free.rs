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
    (step, is_recorded): (&Step, bool),
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
    let sql = bare(&step.definition).to_owned();
    if free.concurrently {
        return Ok(Ok(Next::Run { sql }));
    }
    let opening = Opening {
        // It takes its locks itself.
        tables: Vec::new(),
        relations: target.nodes.iter().map(|node| node.relation).collect(),
        mode: LockMode::AccessExclusive,
        statements: vec![sql],
        is_last: true,
    };
    Ok(Ok(Next::Open { opening, what: "does it".to_owned() }))
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
