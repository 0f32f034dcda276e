//! What a worker does after a batch that was not committed.
//!
//! Must not know: how a batch is run; which remedy fits is decided elsewhere.

use std::time::Duration;

use super::super::claimed::{ClaimedRange, NextBatch};
use super::super::error_policy::{self, Failures, Remedy};
use super::super::exit::End;
use super::super::lease::BatchError;
use super::super::part::Part;
use super::super::passes::{self, Again};
use super::super::quarantine::{self, Quarantined};
use super::super::undo_part;
use super::state::{Interruption, LOOK_AGAIN, Worker};
use crate::db::{Error, NextAct, Session, sqlstate};
use crate::event::Event;
use crate::run::{Hold, Move, RunKind, RunState};
use crate::scan::CELLS_MAX;
use crate::store::{self, Ask, BadRow, Hint, StoreError};
use crate::throttle::{Reason, Why};

/// So long no worker looks at a range whose next row others have locked.
const REST: Duration = Duration::from_secs(3);

impl Worker {
    /// Acts on what interrupted the worker; gives the reason to leave, if it is one.
    pub(super) async fn handle(&mut self, interruption: Interruption) -> Option<End> {
        match interruption {
            Interruption::Idle => {
                // The connection stands, and no batch is under way that could have broken the last one.
                self.failures.lost = 0;
                None
            }
            Interruption::NoConnection(error) => self.without_connection(&error).await,
            Interruption::Leave(end) => Some(end),
            Interruption::Batch(error) => self.batch_failed(error).await,
        }
    }

    async fn batch_failed(&mut self, error: BatchError) -> Option<End> {
        let batch = self.batch.take();
        match error {
            BatchError::ClaimLost | BatchError::RunNotRunning(RunState::Running) => {
                self.range = None;
                None
            }
            BatchError::RunNotRunning(RunState::Complete) => Some(End::Complete),
            BatchError::RunNotRunning(state @ (RunState::Blocked | RunState::Cancelled)) => {
                Some(End::Halted(state))
            }
            // The heartbeat has not heard of it yet; it will within half a second.
            BatchError::RunNotRunning(RunState::Paused) => {
                let reason = Reason::new(Hold::Paused, Why::Person, "paused");
                self.part.wait(self.index, reason, LOOK_AGAIN).await;
                None
            }
            BatchError::TableChanged(why) => Some(self.block(why).await),
            BatchError::Rewritten => walk_again(self, passes::Reason::Rewritten).await,
            BatchError::NotRepeatable(why) => walk_again(self, passes::Reason::NotRepeatable(why)).await,
            BatchError::Failed(error) => self.handle_error(&error, batch).await,
        }
    }

    /// There is no connection to be had. As long as other tasks of this process reach the server, and for a
    /// time also if none does, it is tried again.
    async fn without_connection(&mut self, error: &Error) -> Option<End> {
        let part = self.part.clone();
        if error.sqlstate() == Some(sqlstate::TOO_MANY_CONNECTIONS) && part.team.here() > 1 {
            return Some(End::NoConnectionLeft(error.to_string()));
        }
        if error.next_act() != NextAct::Reconnect {
            return Box::pin(self.handle_error(error, None)).await;
        }
        part.account.failed(&error.to_string());
        if part.primary.silent_for() > part.facts.limits.reconnect_timeout() {
            return Some(End::Unreachable(error.to_string()));
        }
        self.retry_later(error).await;
        None
    }

    async fn handle_error(&mut self, error: &Error, batch: Option<NextBatch>) -> Option<End> {
        let part = self.part.clone();
        let is_cancelled = error.sqlstate() == Some(sqlstate::QUERY_CANCELED);
        if let Some(why) = part.inflight.cancelled_because(self.index).filter(|_| is_cancelled) {
            self.make_way(why, batch.as_ref()).await;
            return None;
        }
        let act = error.next_act();
        let failures = self.failures.count(act);
        if error.sqlstate() == Some(sqlstate::UNDEFINED_TABLE) && failures == 1 {
            // Others may have finished the range while we waited for the pace, and its partition may be gone
            // since. If it went with work left, the worker that looks for more work finds that out.
            self.range = None;
            self.retry_later(error).await;
            return None;
        }
        part.account.failed(&error.to_string());
        let rows = batch.as_ref().map_or(1, |batch| batch.rows.max(1));
        let remedy = error_policy::remedy(act, failures, rows, part.facts.limits.retries);
        self.apply(remedy, error, batch).await
    }

    async fn apply(&mut self, remedy: Remedy, error: &Error, batch: Option<NextBatch>) -> Option<End> {
        let act = error.next_act();
        let stripe_rows = batch.as_ref().map_or(1, |batch| batch.stripe_rows.max(1));
        match (remedy, batch) {
            (Remedy::Again, _) | (Remedy::RestRange, None) => self.retry_later(error).await,
            (Remedy::Fewer, _) => self.retry_with_fewer(error, stripe_rows).await,
            (Remedy::RestRange, Some(_)) => self.rest_range(error).await,
            (Remedy::Bisect, Some(_)) => {
                retrying(&self.part, self.index, error.sqlstate(), error.to_string(), Duration::ZERO);
                self.size.halve(stripe_rows);
            }
            (Remedy::Quarantine, Some(batch)) => return self.quarantine(error, batch).await,
            (Remedy::Reconnect | Remedy::ReconnectFewer, batch) => {
                if remedy == Remedy::ReconnectFewer && batch.is_some() {
                    self.size.halve(stripe_rows);
                }
                self.session = None;
                self.range = None;
                self.retry_later(error).await;
            }
            (Remedy::AwaitPerson, _) => await_person(&self.part, self.index, error).await,
            (Remedy::Block | Remedy::Bisect | Remedy::Quarantine, _) if act == NextAct::Reconnect => {
                return Some(End::Unreachable(error.to_string()));
            }
            (Remedy::Block | Remedy::Bisect | Remedy::Quarantine, _) => {
                let why = describe(self.range.as_ref(), error);
                return Some(self.block(why).await);
            }
        }
        None
    }

    async fn retry_with_fewer(&mut self, error: &Error, stripe_rows: u32) {
        if error.next_act() == NextAct::Retry {
            self.usual_size.get_or_insert_with(|| self.size.clone());
            // Other rows are not waited for as long as those were.
            self.back_off = error_policy::back_off();
        }
        self.size.halve(stripe_rows);
        self.retry_later(error).await;
    }

    /// Another session waited for our batch: it was cancelled, and the next one is half as long.
    async fn make_way(&mut self, why: String, batch: Option<&NextBatch>) {
        self.size.halve(batch.map_or(1, |batch| batch.stripe_rows.max(1)));
        let pause = LOOK_AGAIN / 4;
        retrying(&self.part, self.index, Some(sqlstate::QUERY_CANCELED), why.clone(), pause);
        let reason = Reason::new(Hold::Throttled, Why::BlockedSessions, why);
        self.part.wait(self.index, reason, pause).await;
    }

    /// Another session has locked the next row: it is looked at again after a rest, and there may be other
    /// work meanwhile.
    async fn rest_range(&mut self, error: &Error) {
        let (Some(mut session), Some(range)) = (self.session.take(), self.range.take()) else {
            return self.retry_later(error).await;
        };
        let (claim, worker, run) = (range.claim, self.hint(1).worker, self.part.facts.run_id());
        // If that is lost, the hint ends by itself.
        let _ = store::rest(&mut session, run, claim.number, &worker, REST.as_secs_f64()).await;
        self.session = session.is_usable().then_some(session);
        self.failures = Failures::default();
        self.size = self.usual_size.take().unwrap_or_default();
        let why = format!("range {} of {} has rows that others hold: {error}", claim.number, claim.table);
        self.part.account.rests(why, REST);
        retrying(&self.part, self.index, error.sqlstate(), error.to_string(), REST);
    }

    /// A range that was let alone: its next row alone says whether it is free now.
    pub(super) fn start_isolated(&mut self) {
        self.usual_size = Some(self.size.clone());
        self.size.isolate();
        self.failures = Failures::locked();
    }

    /// While nothing is committed in its range, other workers would come to the same rows.
    async fn extend_hint(&mut self, pause: Duration) {
        let Some(range) = self.range.as_ref().map(|range| range.claim.number) else { return };
        let Some(mut session) = self.session.take() else { return };
        let mut hint = self.hint(1);
        let facts = &self.part.facts;
        hint.for_s += pause.as_secs_f64() + f64::from(facts.limits.lock_timeout_ms.get()) / 1000.0;
        // If that is lost, the hint ends by itself.
        let _ = store::keep(&mut session, facts.run_id(), range, &hint).await;
        self.session = session.is_usable().then_some(session);
    }

    async fn retry_later(&mut self, error: &Error) {
        let pause = self.back_off.next().unwrap_or(LOOK_AGAIN);
        self.extend_hint(pause).await;
        retrying(&self.part, self.index, error.sqlstate(), error.to_string(), pause);
        let reason = Reason::new(Hold::Blocked, Why::Retry, format!("trying again after: {error}"));
        self.part.wait(self.index, reason, pause).await;
    }

    /// Puts the row at fault aside, or blocks the run if there are too many of them.
    async fn quarantine(&mut self, error: &Error, batch: NextBatch) -> Option<End> {
        let claim = self.range.as_ref()?.claim.clone();
        match self.try_quarantine(error, &batch).await {
            Ok((Quarantined::Full, Some(row))) => {
                let limit = self.part.facts.limits.max_bad_rows;
                let why = format!(
                    "row {} of {} cannot be changed: {error}\nhint: mend the row or the expression and run the job again, or allow more than \
                     max_bad_rows = {limit} rows in the quarantine",
                    row.key, claim.table
                );
                Some(self.block(why).await)
            }
            Ok((Quarantined::Kept, Some(BadRow { key, sqlstate, message }))) => {
                self.part.events.emit(Event::BadRow { key: key.0, sqlstate, message });
                None
            }
            Ok(_) | Err(Interruption::Idle) => None,
            Err(interruption) => Box::pin(self.handle(interruption)).await,
        }
    }

    async fn try_quarantine(
        &mut self,
        error: &Error,
        batch: &NextBatch,
    ) -> Result<(Quarantined, Option<BadRow>), Interruption> {
        let (Some(mut session), Some(mut range)) = (self.session.take(), self.range.take()) else {
            return Err(Interruption::Idle);
        };
        // Rows may have come between since the boundaries were read: only a row that is alone may be put
        // aside.
        let scan = self.part.scan(&range.claim);
        let cells = scan.cells(&mut session, &batch.span, 1, 2).await?;
        if cells.len() > 1 {
            range.refine_batch(batch, scan.cells(&mut session, &batch.span, 1, CELLS_MAX).await?);
            // The next batch is the first of these cells alone: all of them together would be the same batch
            // once more.
            self.size.isolate();
            (self.session, self.range) = (Some(session), Some(range));
            return Err(Interruption::Idle);
        }
        let hint = self.hint(1);
        if self.part.facts.run.kind == RunKind::Undo {
            return put_back_one_by_one(self, (session, range), batch, &hint).await;
        }
        let done = quarantine::put_aside(&self.part, &mut session, &range, batch, error, &hint).await;
        self.session = session.is_usable().then_some(session);
        let done = done?;
        if done.0 == Quarantined::Full {
            self.range = Some(range);
        } else {
            self.failures = Failures::default();
            self.range = range.advance(batch);
        }
        Ok(done)
    }

    /// Blocks the run, so that no worker tries what would fail again.
    async fn block(&mut self, reason: String) -> End {
        // Back into the pool, which has just enough connections: this one can be used to say so.
        self.session = None;
        let (ask, facts) = (Ask::State(Move::Block), &self.part.facts);
        let told = async {
            let mut session = self.part.primary.session().await?;
            store::request(&mut session, facts.run_id(), &ask, Some(&reason), &facts.by).await
        };
        match told.await {
            // Another worker was faster, with a reason of its own.
            Ok(_) | Err(StoreError::Illegal(_)) => End::Blocked(reason),
            Err(error) => {
                End::Unreachable(format!("{reason}; and the run could not be marked as blocked: {error}"))
            }
        }
    }
}

/// The leaf of the range is walked again from its beginning, or the run is blocked.
async fn walk_again(worker: &mut Worker, reason: passes::Reason) -> Option<End> {
    let range = worker.range.take()?;
    let mut session = worker.session.take()?;
    let again = passes::walk_again(&worker.part, &mut session, &range.claim, &reason).await;
    worker.session = session.is_usable().then_some(session);
    match again {
        Ok(Again::Walked(told)) => {
            worker.part.events.notice(told);
            None
        }
        Ok(Again::Elsewhere) => None,
        Ok(Again::Impossible(why)) => Some(worker.block(why).await),
        // Batches of others are under way in the leaf.
        Err(StoreError::Database(error)) => Box::pin(worker.handle_error(&error, None)).await,
        Err(other) => Some(worker.block(other.to_string()).await),
    }
}

/// The values of this part that can be put back are, and the rows at fault are put aside.
async fn put_back_one_by_one(
    worker: &mut Worker,
    (mut session, range): (Session, ClaimedRange),
    batch: &NextBatch,
    hint: &Hint,
) -> Result<(Quarantined, Option<BadRow>), Interruption> {
    let done = undo_part::put_back_one_by_one(&worker.part, &mut session, &range, batch, hint).await;
    worker.session = session.is_usable().then_some(session);
    let done = done?;
    worker.part.counters.committed(done.rows_changed, batch.stripe_rows.into());
    for BadRow { key, sqlstate, message } in done.bad {
        worker.part.events.emit(Event::BadRow { key: key.0, sqlstate, message });
    }
    worker.failures = Failures::default();
    worker.range = range.advance(batch);
    Ok((Quarantined::Kept, None))
}

/// A batch will be tried again after a pause.
fn retrying(part: &Part, worker: u32, sqlstate: Option<&str>, message: String, pause: Duration) {
    part.counters.retried();
    part.events.emit(Event::Retrying {
        worker: Some(worker),
        sqlstate: sqlstate.map(str::to_owned),
        message,
        wait_ms: pause.as_millis() as u64,
    });
}

async fn await_person(part: &Part, worker: u32, error: &Error) {
    part.counters.retried();
    let text = format!("the server needs a person: {error}");
    part.events.notice(format!("{text}; probing once a minute"));
    part.wait(worker, Reason::new(Hold::Blocked, Why::Disk, text), error_policy::DISK_PROBE).await;
}

/// Why the run is blocked, with where it happened.
fn describe(range: Option<&ClaimedRange>, error: &Error) -> String {
    if error.sqlstate() == Some(sqlstate::UNDEFINED_TABLE) {
        // It does not matter in which range it was noticed.
        let remedy = "put it back and resume, or cancel the run";
        return format!("{error}\nhint: it was there when the run began: {remedy}");
    }
    let Some(range) = range else { return error.to_string() };
    let mut text = format!("{}, range {}: {error}", range.claim.table, range.claim.number);
    if let Some(context) = error.server().and_then(|server| server.context.as_ref()) {
        text = format!("{text}\n{context}");
    }
    if let Some(hint) = error.server().and_then(|server| server.hint.as_ref()) {
        text = format!("{text}\nhint: {hint}");
    }
    text
}
