//! One worker: claims a range, runs its batches one after the other, pays the ceilings, recovers from errors, leaves.
//!
//! Must not know: the other workers.

mod recover;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use backon::ExponentialBackoff;

use super::batch::{self, Done, Gauge, Halt};
use super::finish::{self, Finish};
use super::held::{Held, Piece};
use super::ledger::Wait;
use super::retry::{self, Failures};
use super::shared::Shared;
use super::size::Size;
use crate::catalog;
use crate::db::{Error, Session};
use crate::event::Event;
use crate::pace::Debt;
use crate::plan;
use crate::run::{Hold, RunState};
use crate::store::{self, Claim, RangeState, StoreError};

/// How often a worker that waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Batches that take longer than so many times their target count as that long.
const TOOK_MAX: u32 = 4;

/// Why a worker left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The run is complete.
    Complete,
    /// The caller wants to stop.
    Stopped,
    /// There are more workers than wanted.
    Surplus,
    /// The server has no connection left for this one, and others of this process have theirs.
    NoRoom(String),
    /// This process has changed as many rows as it may.
    MaxRows,
    /// The run was blocked or cancelled elsewhere.
    Halted(RunState),
    /// This worker blocked the run.
    Blocked(String),
    /// The database cannot be reached.
    Unreachable(String),
    /// The database has moved to a server that was promoted.
    Moved(String),
    /// The address leads to a server of another origin.
    Foreign(String),
}

/// What interrupts a worker's turn.
enum Trouble {
    End(End),
    Halt(Halt),
    /// There is no connection.
    Away(Error),
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
    /// What it was before others were in the way.
    usual: Option<Size>,
    debt: Debt,
    failures: Failures,
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
        usual: None,
        debt: Debt::default(),
        failures: Failures::default(),
        back_off: retry::back_off(),
    };
    worker.shared.works(index);
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
                let wait = Wait::new(Hold::Paused, "person", reason.unwrap_or_else(|| "paused".into()));
                // Others may need the connection more.
                self.session = None;
                self.shared.wait(self.index, wait, LOOK_AGAIN * 5).await;
                return None;
            }
            RunState::Complete => return Some(End::Complete),
            RunState::Blocked | RunState::Cancelled => return Some(End::Halted(state)),
        }
        if let Some((wait, at_most)) = self.shared.braking.holds(self.index, Instant::now()) {
            // The guard, perhaps, which alone can let us go on.
            self.session = None;
            let time = at_most.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN);
            self.shared.wait(self.index, wait, time).await;
            return None;
        }
        match self.turn().await {
            Ok(()) => None,
            Err(Trouble::Idle) => {
                // The connection stands and no batch is in hand that could have broken the last one.
                self.failures.lost = 0;
                None
            }
            Err(Trouble::Away(error)) => self.away(&error).await,
            Err(Trouble::End(end)) => Some(end),
            Err(Trouble::Halt(halt)) => self.recover(halt).await,
        }
    }

    fn dismissed(&self) -> Option<End> {
        if self.shared.is_stopping() || self.shared.is_leaving() {
            return Some(End::Stopped);
        }
        if self.shared.rows_left() == Some(0) {
            return Some(End::MaxRows);
        }
        let room = self.shared.room.load(Ordering::Relaxed);
        (self.index >= self.shared.wanted().min(room)).then_some(End::Surplus)
    }

    /// One batch, and whatever has to come before it.
    async fn turn(&mut self) -> Result<(), Trouble> {
        let mut session = self.session().await?;
        let began = Instant::now();
        let done = self.turn_on(&mut session).await;
        if session.is_usable() {
            self.session = Some(session);
        }
        done?;
        // Looking up a range costs the server as much as working on it.
        let took = began.elapsed();
        self.shared.tally.busy(took);
        let ended = Instant::now();
        self.settle().await;
        self.rest(took, ended.elapsed()).await;
        Ok(())
    }

    async fn turn_on(&mut self, session: &mut Session) -> Result<(), Trouble> {
        if self.held.is_none() {
            self.take(session).await?;
        }
        let Some(mut held) = self.held.take() else { return Err(Trouble::Idle) };
        let piece = self.next_piece(session, &mut held).await?;
        let rows = piece.stripe_rows;
        self.piece = Some(piece.clone());
        self.shared.hands.batch(self.index, rows);
        let gauge =
            if self.shared.share().wal_bytes_per_s.is_some() { Gauge::RowsAndWal } else { Gauge::Rows };
        let hint = self.shared.hint(self.index, rows);
        match batch::batch(&self.shared, session, &held, &piece, gauge, &hint).await {
            Ok(done) => {
                if self.committed(held, &piece, done) == RangeState::Done && self.shared.seeks_holder() {
                    self.seek_holder(session).await?;
                }
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

    /// The session in hand, or a new one.
    async fn session(&mut self) -> Result<Session, Trouble> {
        if let Some(session) = self.session.take() {
            return Ok(session);
        }
        tokio::select! {
            session = self.connect() => session.map_err(Trouble::Away),
            // A server that is away may take its time with every address.
            () = self.shared.called_off() => Err(Trouble::Idle),
        }
    }

    async fn connect(&self) -> Result<Session, Error> {
        let session = self.shared.session().await?;
        self.shared.hands.take(self.index, session.canceller(), session.open_transaction());
        Ok(session)
    }

    /// The next batch; a cell that is too large for it is read again in finer steps.
    async fn next_piece(&self, session: &mut Session, held: &mut Held) -> Result<Piece, Error> {
        let rows = self.rows();
        if self.size.isolates() {
            self.refine(session, held, 1).await?;
            return Ok(held.smallest());
        }
        self.refine(session, held, rows.saturating_mul(held.claim.striping.stripes().get())).await?;
        Ok(held.piece(rows))
    }

    /// Rows for the next batch.
    fn rows(&self) -> u32 {
        let rows = self.size.next(&self.shared.knobs(self.index), self.shared.share()).get();
        let left = self.shared.rows_left_each().unwrap_or(u64::MAX);
        u32::try_from(left).map_or(rows, |left| rows.min(left.max(1)))
    }

    /// Claims a range that nobody works on, or plans the next one; `held` stays empty if there is none just now.
    async fn take(&mut self, session: &mut Session) -> Result<(), Trouble> {
        let run = self.shared.run.id;
        // Where batches are short so that the application feels them less, so is the look at the range's keys.
        let knobs = self.shared.knobs(self.index);
        // Whoever rests in between takes longer for a range.
        let duty = self.shared.braking.level().duty(self.index).max(crate::pace::FLOOR);
        let (choice, cycle) = (self.shared.choice(), self.shared.cycle_max().mul_f64(duty));
        let slice =
            self.size.slice(&knobs, self.shared.share(), choice, cycle, self.shared.workers_everywhere());
        let hint = self.shared.hint(self.index, self.rows());
        if let Some(claim) = store::claim(session, run, &hint).await? {
            if claim.rested {
                self.approach();
            }
            let cells = self.cells_ahead(session, &claim, slice.step).await?;
            self.held = Held::new(claim, cells);
            return Ok(());
        }
        if let Some(planned) = plan::next_range(session, run, &self.shared.plan, &slice, &hint).await? {
            self.shared.planned(&planned.claim, planned.why);
            self.held = Held::new(planned.claim, planned.cells);
            return Ok(());
        }
        self.finish(session).await
    }

    async fn finish(&mut self, session: &mut Session) -> Result<(), Trouble> {
        let mut found = finish::finish(&self.shared, session, false).await?;
        if found == Finish::AllDone {
            self.shared.ask_the_address().await?;
            found = finish::finish(&self.shared, session, true).await?;
        }
        match found {
            Finish::Complete => Err(Trouble::End(End::Complete)),
            Finish::MoreWork | Finish::AllDone => Ok(()),
            Finish::NotYet => {
                let others = || Wait::idle("the last ranges are with other workers");
                let resting = self.shared.resting().map(|why| Wait::new(Hold::Blocked, "retry", why));
                self.shared.wait(self.index, resting.unwrap_or_else(others), LOOK_AGAIN).await;
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
        step: u32,
    ) -> Result<Vec<plan::Cell>, Error> {
        let after = claim.position.cursor.clone().or_else(|| claim.keys.after.clone());
        let keys = crate::key::KeyRange { after, through: claim.keys.through.clone() };
        let target = self.shared.plan.target(claim.table.clone());
        plan::read_cells(session, &target, &keys, step, plan::CELLS_MAX).await
    }

    /// Makes the first cell finer if a batch must be smaller than it.
    async fn refine(&self, session: &mut Session, held: &mut Held, keys_max: u32) -> Result<(), Error> {
        if let Some(keys) = held.too_coarse(keys_max) {
            let target = self.shared.plan.target(held.claim.table.clone());
            held.refine(plan::read_cells(session, &target, &keys, keys_max, plan::CELLS_MAX).await?);
        }
        Ok(())
    }

    /// Names whoever keeps dead rows from being removed.
    async fn seek_holder(&self, session: &Session) -> Result<(), Error> {
        if let Some(holder) = catalog::horizon(session).await? {
            self.shared.blame(&holder);
        }
        Ok(())
    }

    /// Gives the state of its range.
    fn committed(&mut self, held: Held, piece: &Piece, done: Done) -> RangeState {
        let range = held.claim.number;
        self.piece = None;
        self.failures = Failures::default();
        self.usual = None;
        self.back_off = retry::back_off();
        self.shared.tally.committed(done.rows_changed);
        // A single key is mostly of another stripe; that it passed is a success all the same, and the next may be two.
        let rows = piece.stripe_rows.max(u32::from(self.size.isolates()));
        if rows > 0 {
            let target = Duration::from_millis(self.shared.knobs(self.index).batch_time_ms.get().into());
            self.size.succeeded(rows, done.update_took, target);
        }
        self.size
            .wrote(done.wal_bytes.unwrap_or(0), if done.wal_bytes.is_some() { done.rows_changed } else { 0 });
        self.debt.rows += done.rows_changed as f64;
        self.debt.wal_bytes += done.wal_bytes.unwrap_or(0) as f64;
        self.shared.emit(Event::BatchCommitted {
            worker: self.index,
            range,
            rows_changed: done.rows_changed,
            rows_passed: piece.stripe_rows.into(),
            micros: done.took.as_micros() as u64,
            wal_bytes: done.wal_bytes,
        });
        let (_, state) = held.position_after(piece);
        if state == RangeState::Done {
            self.shared.learn(held.claim.striping, done.counters);
            self.shared.emit(Event::RangeDone { range });
        }
        self.held = held.advance(piece);
        state
    }

    /// Pays for what was done, at the price of the moment.
    async fn settle(&mut self) {
        while !self.debt.is_settled() && !self.shared.is_stopping() && !self.shared.is_leaving() {
            // Before the price is read: a change after it is seen.
            let mut orders = self.shared.orders.subscribe();
            let share = self.shared.share();
            if !share.is_unlimited() {
                self.shared.waits(self.index, Wait::new(Hold::Throttled, "ceiling", ceiling(&self.shared)));
            }
            tokio::select! {
                () = self.shared.ceilings.settle(&mut self.debt, share) => {}
                _ = orders.changed() => {}
                () = self.shared.called_off() => {}
            }
        }
        self.shared.works(self.index);
    }

    /// Rests after a turn as the pace wants it; what was waited for a ceiling is a rest, too.
    async fn rest(&self, took: Duration, rested: Duration) {
        // What a batch waited for others, or for the network, was no work of the server's.
        let batch_time = Duration::from_millis(self.shared.knobs(self.index).batch_time_ms.get().into());
        if let Some((wait, time)) = self.shared.braking.rest(self.index, took.min(batch_time * TOOK_MAX)) {
            self.shared.wait(self.index, wait, time.saturating_sub(rested)).await;
        }
    }

    async fn leave(mut self) {
        if let (Some(mut session), Some(held)) = (self.session.take(), self.held.take()) {
            let worker = self.shared.hint(self.index, 1).worker;
            // If it is lost, the hint ends by itself.
            let _ = store::release(&mut session, self.shared.run.id, held.claim.number, &worker).await;
        }
        self.shared.gone(self.index);
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
