//! One worker: claims a range, runs its batches one after the other, pays the ceilings, recovers from errors, leaves.
//!
//! Must not know: the other workers.

use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBackoff;

use super::batch::{self, Done, Gauge, Halt};
use super::finish::{self, Finish};
use super::held::{Held, Piece};
use super::retry::{self, Remedy};
use super::shared::{Shared, Wait};
use super::size::Size;
use crate::db::{Error, NextAct, Session};
use crate::event::Event;
use crate::pace::Debt;
use crate::plan;
use crate::run::{Move, RunState};
use crate::store::{self, BadRow, Claim, StoreError, Turn};

/// How often a worker that waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Why a worker left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The run is complete.
    Complete,
    /// The caller wants to stop.
    Stopped,
    /// There are more workers than wanted.
    Surplus,
    /// This process has changed as many rows as it may.
    MaxRows,
    /// The run was blocked or cancelled elsewhere.
    Halted(RunState),
    /// This worker blocked the run.
    Blocked(String),
    /// The database cannot be reached.
    Unreachable(String),
}

/// What interrupts a worker's turn.
enum Trouble {
    End(End),
    Halt(Halt),
    /// Nothing to do just now.
    Idle,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Halt(Halt::Failed(error))
    }
}

impl From<Halt> for Trouble {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database(error) => error.into(),
            other => Self::Halt(Halt::Changed(other.to_string())),
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    index: u32,
    session: Option<Session>,
    held: Option<Held>,
    /// The batch in hand, while there is one.
    piece: Option<Piece>,
    size: Size,
    debt: Debt,
    failures: u32,
    back_off: ExponentialBackoff,
}

/// Works until there is nothing left or a reason to leave.
pub(super) async fn work(shared: Arc<Shared>, index: u32) -> End {
    let mut worker = Worker {
        shared,
        index,
        session: None,
        held: None,
        piece: None,
        size: Size::default(),
        debt: Debt::default(),
        failures: 0,
        back_off: retry::back_off(),
    };
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
        if let Some(end) = self.dismissed() {
            return Some(end);
        }
        let (state, reason) = {
            let orders = self.shared.orders.borrow();
            (orders.state, orders.reason.clone())
        };
        match state {
            RunState::Running => {}
            RunState::Paused => {
                let wait = Wait::halted(reason.unwrap_or_else(|| "paused".into()));
                self.shared.wait(self.index, wait, LOOK_AGAIN * 5).await;
                return None;
            }
            RunState::Complete => return Some(End::Complete),
            RunState::Blocked | RunState::Cancelled => return Some(End::Halted(state)),
        }
        match self.turn().await {
            Ok(()) | Err(Trouble::Idle) => None,
            Err(Trouble::End(end)) => Some(end),
            Err(Trouble::Halt(halt)) => self.recover(halt).await,
        }
    }

    fn dismissed(&self) -> Option<End> {
        if self.shared.is_stopping() {
            return Some(End::Stopped);
        }
        if self.shared.rows_left() == Some(0) {
            return Some(End::MaxRows);
        }
        (self.index >= self.shared.wanted()).then_some(End::Surplus)
    }

    /// One batch, and whatever has to come before it.
    async fn turn(&mut self) -> Result<(), Trouble> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect().await?,
        };
        let done = self.turn_on(&mut session).await;
        if session.is_usable() {
            self.session = Some(session);
        }
        done?;
        self.settle().await;
        Ok(())
    }

    async fn turn_on(&mut self, session: &mut Session) -> Result<(), Trouble> {
        if self.held.is_none() {
            self.take(session).await?;
        }
        let Some(mut held) = self.held.take() else { return Err(Trouble::Idle) };
        let rows = self.rows();
        self.refine(session, &mut held, rows).await?;
        let piece = held.piece(rows);
        self.piece = Some(piece.clone());
        let gauge =
            if self.shared.share().wal_bytes_per_s.is_some() { Gauge::RowsAndWal } else { Gauge::Rows };
        let hint = self.shared.hint(self.index, rows);
        match batch::batch(&self.shared, session, &held, &piece, gauge, &hint).await {
            Ok(done) => {
                self.committed(held, &piece, done);
                Ok(())
            }
            Err(halt) => {
                // After a failure the range is still ours unless the answer to a COMMIT was lost; then its row knows.
                if session.is_usable() && !matches!(halt, Halt::Lost) {
                    self.held = Some(held);
                }
                Err(halt.into())
            }
        }
    }

    async fn connect(&mut self) -> Result<Session, Trouble> {
        let session = self.shared.pool.session().await?;
        self.shared.running(self.index, session.canceller());
        Ok(session)
    }

    /// Rows for the next batch.
    fn rows(&self) -> u32 {
        let rows = self.size.next(&self.shared.orders.borrow().knobs, self.shared.share()).get();
        let left = self.shared.rows_left().unwrap_or(u64::MAX);
        u32::try_from(left).map_or(rows, |left| rows.min(left.max(1)))
    }

    /// Claims a range that nobody works on, or plans the next one; `held` stays empty if there is none just now.
    async fn take(&mut self, session: &mut Session) -> Result<(), Trouble> {
        let run = self.shared.run.id;
        let knobs = self.shared.orders.borrow().knobs.clone();
        let slice = self.size.slice(&knobs, self.shared.share());
        let hint = self.shared.hint(self.index, self.rows());
        if let Some(claim) = store::claim(session, run, &hint).await? {
            let cells = self.cells_ahead(session, &claim, slice).await?;
            self.held = Held::new(claim, cells);
            return Ok(());
        }
        if let Some(planned) = plan::next_range(session, run, &self.shared.plan, slice, &hint).await? {
            let (range, table) = (planned.claim.number, planned.claim.table.to_string());
            self.shared.emit(Event::RangePlanned { range, table });
            self.held = Held::new(planned.claim, planned.cells);
            return Ok(());
        }
        self.finish(session).await
    }

    async fn finish(&mut self, session: &mut Session) -> Result<(), Trouble> {
        match finish::finish(&self.shared, session).await? {
            Finish::Complete => Err(Trouble::End(End::Complete)),
            Finish::MoreWork => Ok(()),
            Finish::NotYet => {
                let wait = Wait::paced("the last ranges are with other workers");
                self.shared.wait(self.index, wait, LOOK_AGAIN).await;
                Ok(())
            }
            Finish::LeafGone(name) => Err(Halt::Changed(leaf_gone(&name)).into()),
        }
    }

    /// The boundary keys between a claimed range's cursor and its end.
    async fn cells_ahead(
        &self,
        session: &mut Session,
        claim: &Claim,
        slice: plan::Slice,
    ) -> Result<Vec<plan::Cell>, Error> {
        let after = claim.position.cursor.clone().or_else(|| claim.keys.after.clone());
        let keys = crate::key::KeyRange { after, through: claim.keys.through.clone() };
        let target = self.shared.plan.target(claim.table.clone());
        // The whole rest of the range, whatever the size of the worker that planned it.
        plan::read_cells(session, &target, &keys, slice.step, plan::WHOLE_RANGE).await
    }

    /// Makes the first cell finer if a batch must be smaller than it.
    async fn refine(&self, session: &mut Session, held: &mut Held, rows: u32) -> Result<(), Error> {
        if let Some(keys) = held.too_coarse(rows) {
            let target = self.shared.plan.target(held.claim.table.clone());
            held.refine(plan::read_cells(session, &target, &keys, rows, plan::WHOLE_RANGE).await?);
        }
        Ok(())
    }

    fn committed(&mut self, held: Held, piece: &Piece, done: Done) {
        let range = held.claim.number;
        self.piece = None;
        self.failures = 0;
        self.back_off = retry::back_off();
        self.shared.tally.committed(done.rows_changed);
        if piece.rows > 0 {
            let target = Duration::from_millis(self.shared.orders.borrow().knobs.batch_time_ms.get().into());
            self.size.succeeded(piece.rows, done.took, target);
        }
        self.size
            .wrote(done.wal_bytes.unwrap_or(0), if done.wal_bytes.is_some() { done.rows_changed } else { 0 });
        self.debt.rows += done.rows_changed as f64;
        self.debt.wal_bytes += done.wal_bytes.unwrap_or(0) as f64;
        self.shared.emit(Event::BatchCommitted {
            worker: self.index,
            range,
            rows_changed: done.rows_changed,
            rows_passed: piece.rows.into(),
            micros: done.took.as_micros() as u64,
            wal_bytes: done.wal_bytes,
        });
        tracing::debug!(worker = self.index, %range, rows = done.rows_changed, us = done.took.as_micros() as u64, "batch committed");
        self.held = held.advance(piece);
        if self.held.is_none() {
            self.shared.emit(Event::RangeDone { range });
        }
    }

    /// Pays for what was done, at the price of the moment.
    async fn settle(&mut self) {
        while !self.debt.is_settled() && !self.shared.is_stopping() {
            let share = self.shared.share();
            if !share.is_unlimited() {
                self.shared.waits(self.index, Wait::paced(ceiling(&self.shared)));
            }
            let mut orders = self.shared.orders.subscribe();
            let mut stop = self.shared.stop.clone();
            tokio::select! {
                () = self.shared.ceilings.settle(&mut self.debt, share) => {}
                _ = orders.changed() => {}
                () = super::shared::changed(&mut stop) => {}
            }
        }
        self.shared.works(self.index);
    }

    async fn recover(&mut self, halt: Halt) -> Option<End> {
        let piece = self.piece.take();
        match halt {
            Halt::Lost | Halt::Ordered(RunState::Running) => {
                self.held = None;
                None
            }
            Halt::Ordered(RunState::Complete) => Some(End::Complete),
            Halt::Ordered(state @ (RunState::Blocked | RunState::Cancelled)) => Some(End::Halted(state)),
            // The control loop has not heard of it yet; it will within a beat.
            Halt::Ordered(RunState::Paused) => {
                self.shared.wait(self.index, Wait::halted("paused"), LOOK_AGAIN).await;
                None
            }
            Halt::Changed(why) => Some(self.block(why).await),
            Halt::Failed(error) => self.mend(&error, piece).await,
        }
    }

    async fn mend(&mut self, error: &Error, piece: Option<Piece>) -> Option<End> {
        self.failures += 1;
        let rows = piece.as_ref().map_or(1, |piece| piece.rows.max(1));
        let act = error.next_act();
        self.shared.failed(&error.to_string());
        match (retry::remedy(act, self.failures, rows, self.shared.limits.retries), piece) {
            (Remedy::Again, _) => self.again(error).await,
            (Remedy::Fewer, _) => {
                self.size.halve(rows);
                self.again(error).await;
            }
            (Remedy::Bisect, Some(_)) => self.size.halve(rows),
            (Remedy::Quarantine, Some(piece)) => return self.quarantine(error, piece).await,
            (Remedy::Reconnect, _) => {
                self.session = None;
                self.held = None;
                self.again(error).await;
            }
            (Remedy::AwaitPerson, _) => self.await_person(error).await,
            (Remedy::Block | Remedy::Bisect | Remedy::Quarantine, _) if act == NextAct::Reconnect => {
                return Some(End::Unreachable(error.to_string()));
            }
            (Remedy::Block | Remedy::Bisect | Remedy::Quarantine, _) => {
                return Some(self.block(self.blame(error)).await);
            }
        }
        None
    }

    async fn again(&mut self, error: &Error) {
        let pause = self.back_off.next().unwrap_or(LOOK_AGAIN);
        self.shared.tally.retried();
        self.shared.emit(Event::Retrying {
            worker: Some(self.index),
            sqlstate: error.sqlstate().map(str::to_owned),
            message: error.to_string(),
            wait_ms: pause.as_millis() as u64,
        });
        self.shared.wait(self.index, Wait::halted(format!("trying again after: {error}")), pause).await;
    }

    async fn await_person(&mut self, error: &Error) {
        let reason = format!("the server needs a person: {error}");
        self.shared.emit(Event::Notice { message: format!("{reason}; probing once a minute") });
        self.shared.wait(self.index, Wait::halted(reason), retry::DISK_PROBE).await;
    }

    /// Puts the row at fault aside, or blocks the run if there are too many of them.
    async fn quarantine(&mut self, error: &Error, piece: Piece) -> Option<End> {
        match self.try_quarantine(error, &piece).await {
            Ok(Some(row)) => {
                self.failures = 0;
                self.shared.emit(Event::BadRow {
                    key: row.key.0,
                    sqlstate: row.sqlstate,
                    message: row.message,
                });
                None
            }
            Ok(None) => {
                let table = self.held.as_ref().map(|held| held.claim.table.to_string()).unwrap_or_default();
                let limit = self.shared.limits.max_bad_rows;
                let why = format!(
                    "row {} of {table} cannot be changed: {error}\nhint: mend the row or the expression and run the job again, or allow more than \
                     max_bad_rows = {limit} rows in the quarantine",
                    piece.keys.through
                );
                Some(self.block(why).await)
            }
            Err(Trouble::End(end)) => Some(end),
            Err(Trouble::Idle) => None,
            Err(Trouble::Halt(halt)) => Box::pin(self.recover(halt)).await,
        }
    }

    /// None: the quarantine is full.
    async fn try_quarantine(&mut self, error: &Error, piece: &Piece) -> Result<Option<BadRow>, Trouble> {
        let (Some(mut session), Some(mut held)) = (self.session.take(), self.held.take()) else {
            return Err(Trouble::Idle);
        };
        // Rows may have come between since the keys were read: only a row that is alone may be put aside.
        let target = self.shared.plan.target(held.claim.table.clone());
        let cells = plan::read_cells(&mut session, &target, &piece.keys, 1, 2).await?;
        if cells.len() > 1 {
            held.refine(plan::read_cells(&mut session, &target, &piece.keys, 1, plan::WHOLE_RANGE).await?);
            (self.session, self.held) = (Some(session), Some(held));
            return Err(Trouble::Idle);
        }
        let row = bad_row(error, piece);
        let hint = self.shared.hint(self.index, 1);
        let kept = batch::quarantine(&self.shared, &mut session, &held, piece, &row, &hint).await;
        self.session = session.is_usable().then_some(session);
        if kept? {
            self.held = held.advance(piece);
            return Ok(Some(row));
        }
        self.held = Some(held);
        Ok(None)
    }

    fn blame(&self, error: &Error) -> String {
        let Some(held) = &self.held else { return error.to_string() };
        let mut text = format!("{}, range {}: {error}", held.claim.table, held.claim.number);
        if let Some(context) = error.server().and_then(|server| server.context.as_ref()) {
            text = format!("{text}\n{context}");
        }
        if let Some(hint) = error.server().and_then(|server| server.hint.as_ref()) {
            text = format!("{text}\nhint: {hint}");
        }
        text
    }

    /// Blocks the run, so that nobody tries what would fail again.
    async fn block(&mut self, reason: String) -> End {
        let turn = Turn::State(Move::Block);
        let told = async {
            let mut session = self.shared.pool.session().await?;
            store::request(&mut session, self.shared.run.id, &turn, Some(&reason), &self.shared.by).await
        };
        self.session = None;
        match told.await {
            // Somebody was faster, with a reason of their own.
            Ok(()) | Err(StoreError::Illegal(_)) => End::Blocked(reason),
            Err(error) => {
                End::Unreachable(format!("{reason}; and the run could not be marked as blocked: {error}"))
            }
        }
    }

    async fn leave(mut self) {
        if let (Some(session), Some(held)) = (self.session.take(), self.held.take()) {
            let worker = self.shared.hint(self.index, 1).worker;
            // If it is lost, the hint ends by itself.
            let _ = store::release(&session, self.shared.run.id, held.claim.number, &worker).await;
        }
        self.shared.gone(self.index);
    }
}

fn bad_row(error: &Error, piece: &Piece) -> BadRow {
    BadRow {
        key: piece.keys.through.clone(),
        sqlstate: error.sqlstate().unwrap_or_default().to_owned(),
        message: error.to_string(),
    }
}

fn leaf_gone(name: &str) -> String {
    format!(
        "partition {name} is gone (detached or dropped) and was not finished\nhint: attach it again and resume, or start over with --new-run"
    )
}

/// Which ceiling it is that we wait for.
fn ceiling(shared: &Shared) -> String {
    let orders = shared.orders.borrow();
    let rows = orders.knobs.max_rows_per_s.map(|rows| format!("max_rows_per_second = {rows}"));
    let wal = orders.knobs.max_wal_bytes_per_s.map(|bytes| format!("max_wal_per_second = {bytes} bytes"));
    let all: Vec<_> = rows.into_iter().chain(wal).collect();
    format!("held at {}", all.join(" and "))
}
