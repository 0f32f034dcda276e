//! A process at its run, from server to server: after a failover it follows the run to the new primary.
//!
//! Must not know: what is done on a server.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::attend::{self, Attended, Call, Failed, Moved};
use super::{EngineError, Options, error_policy};
use crate::db::{Found, Pool, Primary};
use crate::event::{Emitter, Event, Summary};
use crate::job::Job;
use crate::run::RunId;

/// Takes part in the job's run until it is complete or `stop` is cancelled: then the batches in flight are
/// finished, or cancelled after a second, and the process leaves. [`Event::Left`] is the last event, or
/// [`Event::Failed`].
///
/// # Errors
/// See [`EngineError`]; a run that needs a person is no error but an [`Outcome`](crate::event::Outcome).
pub async fn run(
    pool: &Pool,
    job: &Job,
    options: &Options,
    events: &Emitter,
    stop: &CancellationToken,
) -> Result<Summary, EngineError> {
    match take_part(Call { pool, job, options, events, stop }).await {
        Ok(summary) => {
            events.of_run(summary.run).emit(Event::Left(summary.clone()));
            Ok(summary)
        }
        Err(Failed { run, error }) => {
            // The next process must not have to wait for what this one has left open.
            pool.end_lost().await;
            run.map_or_else(|| events.clone(), |run| events.of_run(run))
                .emit(Event::Failed { message: error.to_string() });
            Err(error)
        }
    }
}

async fn take_part(call: Call<'_>) -> Result<Summary, Failed> {
    let (mut options, mut before, mut left) = (call.options.clone(), None, None);
    loop {
        let gone = go_to_server(Call { options: &options, ..call }, left.as_ref()).await;
        let attended = gone.map_err(|Failed { run, error }| Failed {
            run: run.or(left.as_ref().map(|left| left.run)),
            error,
        })?;
        let summary = added(attended.summary, before.as_ref());
        let Some(Moved { from, what, workers }) = attended.moved.filter(|_| !call.stop.is_cancelled()) else {
            return Ok(summary);
        };
        call.events.of_run(summary.run).notice(format!("{what}; everything is read again"));
        call.pool.renew();
        let rows = |max: NonZeroU64| max.get().saturating_sub(summary.rows_changed_here).max(1);
        let max_rows = call.options.max_rows.and_then(|max| NonZeroU64::new(rows(max)));
        options = Options { workers, max_rows, ..options };
        left = Some(LeftServer { primary: from, run: summary.run });
        before = Some(summary);
    }
}

/// The server that the process comes from.
struct LeftServer {
    primary: Arc<Primary>,
    run: RunId,
}

/// The first time a server that is not there is an error at once; a new primary is looked for as a lost one
/// is.
async fn go_to_server(call: Call<'_>, left: Option<&LeftServer>) -> Result<Attended, Failed> {
    let (began, mut pauses) = (Instant::now(), error_policy::back_off());
    loop {
        let failed = match attend_where_the_address_leads(call, left).await {
            Err(failed)
                if matches!(failed.error, EngineError::Unreachable(_) | EngineError::Standby { .. }) =>
            {
                failed
            }
            other => return other,
        };
        let is_over = began.elapsed() > call.job.limits.reconnect_timeout();
        if left.is_none() || is_over || call.stop.is_cancelled() {
            return Err(failed);
        }
        let pause = pauses.next().unwrap_or_default();
        call.events.emit(Event::Retrying {
            worker: None,
            sqlstate: None,
            message: failed.error.to_string(),
            wait_ms: pause.as_millis() as u64,
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = call.stop.cancelled() => {}
        }
    }
}

async fn attend_where_the_address_leads(
    call: Call<'_>,
    left: Option<&LeftServer>,
) -> Result<Attended, Failed> {
    let session = call.pool.session().await?;
    let server = attend::writable(&session, call.pool).await?;
    match left.map(|left| left.primary.judge(&server.identity())) {
        Some(Found::Stale(what)) => {
            drop(session);
            call.pool.renew();
            return Err(EngineError::Unreachable(what).into());
        }
        Some(Found::Other(what)) => return Err(EngineError::Foreign(what).into()),
        Some(Found::Same | Found::Promoted(_)) | None => {}
    }
    Box::pin(attend::attend(call, session, &server, left.map(|left| left.run))).await
}

/// What this process did on one server after the other.
fn added(summary: Summary, before: Option<&Summary>) -> Summary {
    let Some(before) = before else { return summary };
    Summary {
        rows_changed_here: summary.rows_changed_here + before.rows_changed_here,
        batches_here: summary.batches_here + before.batches_here,
        retries_here: summary.retries_here + before.retries_here,
        elapsed_ms: summary.elapsed_ms + before.elapsed_ms,
        halted_ms: summary.halted_ms + before.halted_ms,
        ..summary
    }
}
