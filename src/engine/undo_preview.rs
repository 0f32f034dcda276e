//! What an undo would do: how many rows it would put back, and how many it would leave as they are.
//!
//! Must not know: who asks.

use serde::Serialize;

use super::attend::{of_run, writable};
use super::{EngineError, subject};
use crate::db::{Error, Pool, Session};
use crate::job::Job;
use crate::plan::{self, Plan};
use crate::run::RunKind;
use crate::scan::{Mark, Span, Stripe};
use crate::sql::settings::set_all;

/// What an undo would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UndoPreview {
    /// The run that would be undone.
    pub run: i64,
    /// Rows that would be put back.
    pub put_back: i64,
    /// Rows that were changed since, and would stay as they are.
    pub changed: i64,
    /// Rows that are gone.
    pub gone: i64,
}

/// Looks at every row of the kept values, part by part, each in a transaction of its own; changes nothing.
///
/// # Errors
/// See [`EngineError`].
pub async fn preview_undo(pool: &Pool, job: &Job) -> Result<UndoPreview, EngineError> {
    let mut session = pool.session().await?;
    let server = writable(&session, pool).await?;
    let plan = plan::preflight(&mut session, job, &server.user, RunKind::Undo).await?;
    let run = subject::subject(&session, job, &plan, &server, RunKind::Undo).await?;
    let Some(run) = run else { return Ok(UndoPreview::default()) };
    let plan = of_run(plan, &run, &server);
    let timeout = plan::statement_timeout(job.limits, run.knobs.batch_time_ms.get());
    let mut all = plan::batch_settings((&run.job, &run.settings), job.limits, server.version);
    all.push(("statement_timeout".into(), timeout.as_millis().to_string()));
    let pairs: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut found = UndoPreview { run: run.id.0, ..UndoPreview::default() };
    session.answers_within(plan::answer_max(timeout));
    look(&mut session, &plan, &set_all(&pairs), &mut found).await?;
    Ok(found)
}

async fn look(
    session: &mut Session,
    plan: &Plan,
    settings: &str,
    found: &mut UndoPreview,
) -> Result<(), Error> {
    let Some(leaf) = plan.leaves.first() else { return Ok(()) };
    let scan = plan.scan(leaf.name.clone());
    let Some(last) = scan.last(session).await? else { return Ok(()) };
    let mut after: Option<Mark> = None;
    loop {
        let rest = Span { after: after.clone(), through: last.clone() };
        let cells = scan.cells(session, &rest, 1, 100).await?;
        for cell in &cells {
            let span = Span { after: after.replace(cell.through.clone()), through: cell.through.clone() };
            let rows = scan.rows(&span, Stripe::ALL, 1);
            let Some(sql) = plan.change.undo_preview(&rows) else { return Ok(()) };
            let told = session.query_and_rollback(settings, &sql, &rows.params()).await?;
            let number = |column: usize| told.first().map_or(0, |row| row.get::<_, i64>(column));
            found.put_back += number(0);
            found.changed += number(1);
            found.gone += number(2);
        }
        if cells.is_empty() || after.as_ref() == Some(&last) {
            return Ok(());
        }
    }
}
