//! The loop of a worker: may I go, one batch, pay, rest.
//!
//! Must not know: what follows an error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::batch::{self, Committed};
use super::super::batch_size::BatchSize;
use super::super::claimed::{ClaimedRange, NextBatch};
use super::super::error_policy::{self, Failures};
use super::super::exit::End;
use super::super::lease::BatchError;
use super::super::part::Part;
use super::state::{Interruption, Worker};
use crate::catalog;
use crate::change::Measure;
use crate::db::{Error, Session};
use crate::event::Event;
use crate::run::RunState;
use crate::store::{self, RangeState};
use crate::throttle::Go;

/// Works until there is nothing left or a reason to leave.
pub(in crate::engine) async fn work(part: Arc<Part>, index: u32) -> End {
    let mut worker = Worker::new(part, index);
    worker.part.account.works(index);
    let end = loop {
        if let Some(end) = worker.step().await {
            break end;
        }
    };
    worker.leave().await;
    end
}

impl Worker {
    async fn step(&mut self) -> Option<End> {
        if let Some(end) = reason_to_leave(&self.part, self.index) {
            return Some(end);
        }
        match self.part.throttle.may_go(self.index, Instant::now()) {
            Go::Over(RunState::Complete) => Some(End::Complete),
            Go::Over(state) => Some(End::Halted(state)),
            Go::Wait { reason, at_most } => {
                // Another task may need the connection more: the one that reads the signals can alone let
                // this worker go on.
                self.session = None;
                self.part.wait(self.index, reason, at_most).await;
                None
            }
            Go::Now => match self.take_turn().await {
                Ok(()) => None,
                Err(interruption) => self.handle(interruption).await,
            },
        }
    }

    /// One batch, and what has to come before and after it.
    async fn take_turn(&mut self) -> Result<(), Interruption> {
        let mut session = self.session().await?;
        let began = Instant::now();
        let done = self.run_one_batch(&mut session).await;
        if session.is_usable() {
            self.session = Some(session);
        }
        done?;
        // Looking up a range costs the server as much as working on it.
        let took = began.elapsed();
        self.part.counters.busy(took);
        let part = self.part.clone();
        let ended = Instant::now();
        part.throttle.pay(self.index, &mut self.debt, &part.account, part.exit.token()).await;
        // What was waited for a ceiling is a rest, too.
        if let Some((reason, time)) = part.throttle.rest(self.index, took) {
            part.wait(self.index, reason, time.saturating_sub(ended.elapsed())).await;
        }
        Ok(())
    }

    async fn run_one_batch(&mut self, session: &mut Session) -> Result<(), Interruption> {
        if self.range.is_none() {
            self.claim_or_plan(session).await?;
        }
        let Some(mut range) = self.range.take() else { return Err(Interruption::Idle) };
        let batch = self.next_batch(session, &mut range).await?;
        self.batch = Some(batch.clone());
        let part = self.part.clone();
        part.inflight.start(self.index, batch.stripe_rows);
        let is_wal_limited = part.team.share().wal_bytes_per_s.is_some();
        let measure = if is_wal_limited { Measure::RowsAndWal } else { Measure::Rows };
        let hint = self.hint(batch.stripe_rows);
        match batch::run(&part, session, &range, &batch, measure, &hint).await {
            Ok(done) => {
                if self.committed(range, &batch, done) == RangeState::Done && part.strategy.seeks_holder() {
                    name_snapshot_holder(&part, session).await?;
                }
                Ok(())
            }
            Err(error) => {
                // After a failure the range is still ours unless the answer to a COMMIT was lost; then its
                // row knows.
                if session.is_usable() && !matches!(error, BatchError::ClaimLost) {
                    self.range = Some(range);
                }
                Err(error.into())
            }
        }
    }

    /// The session at hand, or a new one.
    async fn session(&mut self) -> Result<Session, Interruption> {
        if let Some(session) = self.session.take() {
            return Ok(session);
        }
        tokio::select! {
            session = connect(&self.part, self.index) => session.map_err(Interruption::NoConnection),
            // A server that does not answer may take its time with every address.
            () = self.part.exit.token().cancelled() => Err(Interruption::Idle),
        }
    }

    /// Takes note of a batch that was committed; gives the state of its range.
    fn committed(&mut self, range: ClaimedRange, batch: &NextBatch, done: Committed) -> RangeState {
        let (part, number) = (self.part.clone(), range.claim.number);
        self.batch = None;
        self.failures = Failures::default();
        self.usual_size = None;
        self.back_off = error_policy::back_off();
        part.counters.committed(done.rows_changed, batch.stripe_rows.into());
        let target = Duration::from_millis(part.throttle.knobs(self.index).batch_time_ms.get().into());
        learn_size(&mut self.size, batch, done, target);
        self.debt.rows += done.rows_changed as f64;
        self.debt.wal_bytes += done.wal_bytes.unwrap_or(0) as f64;
        part.events.emit(Event::BatchCommitted {
            worker: self.index,
            range: number,
            rows_changed: done.rows_changed,
            rows_passed: batch.stripe_rows.into(),
            micros: done.took.as_micros() as u64,
            wal_bytes: done.wal_bytes,
        });
        let (_, state) = range.position_after(batch);
        if state == RangeState::Done {
            part.strategy.learn(range.claim.striping, done.counters);
            part.events.emit(Event::RangeDone { range: number });
        }
        self.range = range.advance(batch);
        state
    }

    async fn leave(mut self) {
        if let (Some(mut session), Some(range)) = (self.session.take(), self.range.take()) {
            let worker = self.hint(1).worker;
            // If it is lost, the hint ends by itself.
            let _ = store::release(&mut session, self.part.facts.run_id(), range.claim.number, &worker).await;
        }
        self.part.gone(self.index);
    }
}

async fn connect(part: &Part, worker: u32) -> Result<Session, Error> {
    let session = part.primary.session().await?;
    part.inflight.register(worker, session.canceller(), session.open_transaction());
    Ok(session)
}

/// Names what keeps dead rows from being removed.
async fn name_snapshot_holder(part: &Part, session: &Session) -> Result<(), Error> {
    if let Some(holder) = catalog::horizon(session).await? {
        part.events.notice(part.strategy.name_holder(&holder));
    }
    Ok(())
}

fn learn_size(size: &mut BatchSize, batch: &NextBatch, done: Committed, target: Duration) {
    // A single key is mostly of another stripe; that it passed is a success all the same, and the next may be
    // two.
    let rows = batch.stripe_rows.max(u32::from(size.isolates()));
    if rows > 0 {
        size.succeeded(rows, done.statement_took, target);
    }
    if let Some(wal_bytes) = done.wal_bytes {
        size.wrote(wal_bytes, done.rows_changed);
    }
}

fn reason_to_leave(part: &Part, worker: u32) -> Option<End> {
    if part.exit.is_leaving() {
        return Some(End::Stopped);
    }
    if part.rows_left() == Some(0) {
        return Some(End::MaxRows);
    }
    (worker >= part.team.possible()).then_some(End::Surplus)
}
