//! What a worker does after a batch that was not committed.
//!
//! Must not know: how a batch is run; which remedy fits is decided elsewhere.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::batch::{self, Aside, Halt};
use super::super::held::Piece;
use super::super::home::FULL;
use super::super::ledger::Wait;
use super::super::retry::{self, Failures, Remedy};
use super::{End, LOOK_AGAIN, Trouble, Worker};
use crate::db::{Error, NextAct};
use crate::event::Event;
use crate::plan;
use crate::run::{Hold, Move, RunState};
use crate::store::{self, BadRow, StoreError, Turn};

/// `query_canceled`: by a timeout, by somebody else, or by ourselves.
const CANCELLED: &str = "57014";

/// So long nobody looks at a range whose next row others hold.
const REST: Duration = Duration::from_secs(3);

/// `undefined_table`.
const NO_TABLE: &str = "42P01";

impl Worker {
    pub(super) async fn recover(&mut self, halt: Halt) -> Option<End> {
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
                self.shared.wait(self.index, Wait::new(Hold::Paused, "person", "paused"), LOOK_AGAIN).await;
                None
            }
            Halt::Changed(why) => Some(self.block(why).await),
            Halt::Failed(error) => self.mend(&error, piece).await,
        }
    }

    /// There is no connection to be had. As long as the others of this process reach the server, and for a time also if nobody does,
    /// it is tried again.
    pub(super) async fn away(&mut self, error: &Error) -> Option<End> {
        if error.sqlstate() == Some(FULL) && self.shared.live.load(Ordering::Relaxed) > 1 {
            return Some(End::NoRoom(error.to_string()));
        }
        if error.next_act() != NextAct::Reconnect {
            return Box::pin(self.mend(error, None)).await;
        }
        self.shared.failed(&error.to_string());
        if self.shared.unreached_for() > self.shared.limits.reconnect_timeout() {
            return Some(End::Unreachable(error.to_string()));
        }
        self.again(error).await;
        None
    }

    async fn mend(&mut self, error: &Error, piece: Option<Piece>) -> Option<End> {
        if let Some(why) =
            self.shared.hands.why_cancelled(self.index).filter(|_| error.sqlstate() == Some(CANCELLED))
        {
            self.make_way(why, piece.as_ref()).await;
            return None;
        }
        let act = error.next_act();
        let failures = self.failures.count(act);
        let (rows, stripe_rows) =
            piece.as_ref().map_or((1, 1), |piece| (piece.rows.max(1), piece.stripe_rows.max(1)));
        if error.sqlstate() == Some(NO_TABLE) && failures == 1 {
            // Others may have finished the range while we waited for the pace, and its partition may be gone since. If it went with
            // work left, whoever looks for more work will find that out.
            self.held = None;
            self.again(error).await;
            return None;
        }
        self.shared.failed(&error.to_string());
        let remedy = retry::remedy(act, failures, rows, self.shared.limits.retries);
        if remedy == Remedy::ReconnectFewer && piece.is_some() {
            self.size.halve(stripe_rows);
        }
        match (remedy, piece) {
            (Remedy::Again, _) | (Remedy::LetGo, None) => self.again(error).await,
            (Remedy::Fewer, _) => {
                if act == NextAct::Retry {
                    self.usual.get_or_insert_with(|| self.size.clone());
                    // Other rows are not waited for as long as those were.
                    self.back_off = retry::back_off();
                }
                self.size.halve(stripe_rows);
                self.again(error).await;
            }
            (Remedy::LetGo, Some(_)) => self.let_go(error).await,
            (Remedy::Bisect, Some(_)) => {
                self.retrying(error.sqlstate(), error.to_string(), Duration::ZERO);
                self.size.halve(stripe_rows);
            }
            (Remedy::Quarantine, Some(piece)) => return self.quarantine(error, piece).await,
            (Remedy::Reconnect | Remedy::ReconnectFewer, _) => {
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

    /// Somebody waited for our batch: it was cancelled, and the next one is half as long.
    async fn make_way(&mut self, why: String, piece: Option<&Piece>) {
        self.size.halve(piece.map_or(1, |piece| piece.stripe_rows.max(1)));
        let pause = LOOK_AGAIN / 4;
        self.retrying(Some(CANCELLED), why.clone(), pause);
        self.shared.wait(self.index, Wait::new(Hold::Throttled, "blocked_sessions", why), pause).await;
    }

    /// Somebody has locked the next row: it is looked at again after a rest, and there may be other work meanwhile.
    async fn let_go(&mut self, error: &Error) {
        let (Some(mut session), Some(held)) = (self.session.take(), self.held.take()) else {
            return self.again(error).await;
        };
        let (range, worker) = (held.claim.number, self.shared.hint(self.index, 1).worker);
        // If that is lost, the hint ends by itself.
        let _ = store::rest(&mut session, self.shared.run.id, range, &worker, REST.as_secs_f64()).await;
        self.session = session.is_usable().then_some(session);
        self.failures = Failures::default();
        self.size = self.usual.take().unwrap_or_default();
        self.shared
            .rests(format!("range {range} of {} has rows that others hold: {error}", held.claim.table), REST);
        self.retrying(error.sqlstate(), error.to_string(), REST);
    }

    /// A range that was let go: its next row alone says whether it is free now.
    pub(super) fn approach(&mut self) {
        self.usual = Some(self.size.clone());
        self.size.isolate();
        self.failures = Failures::in_the_way();
    }

    /// While nothing is committed there, others would come to the same rows.
    async fn keep(&mut self, pause: Duration) {
        let Some(range) = self.held.as_ref().map(|held| held.claim.number) else { return };
        let Some(mut session) = self.session.take() else { return };
        let mut hint = self.shared.hint(self.index, 1);
        hint.for_s += pause.as_secs_f64() + f64::from(self.shared.limits.lock_timeout_ms.get()) / 1000.0;
        // As above.
        let _ = store::keep(&mut session, self.shared.run.id, range, &hint).await;
        self.session = session.is_usable().then_some(session);
    }

    fn retrying(&self, sqlstate: Option<&str>, message: String, pause: Duration) {
        self.shared.tally.retried();
        self.shared.emit(Event::Retrying {
            worker: Some(self.index),
            sqlstate: sqlstate.map(str::to_owned),
            message,
            wait_ms: pause.as_millis() as u64,
        });
    }

    async fn again(&mut self, error: &Error) {
        let pause = self.back_off.next().unwrap_or(LOOK_AGAIN);
        self.keep(pause).await;
        self.retrying(error.sqlstate(), error.to_string(), pause);
        self.shared
            .wait(
                self.index,
                Wait::new(Hold::Blocked, "retry", format!("trying again after: {error}")),
                pause,
            )
            .await;
    }

    async fn await_person(&mut self, error: &Error) {
        self.shared.tally.retried();
        let reason = format!("the server needs a person: {error}");
        self.shared.emit(Event::Notice { message: format!("{reason}; probing once a minute") });
        self.shared.wait(self.index, Wait::new(Hold::Blocked, "disk", reason), retry::DISK_PROBE).await;
    }

    /// Puts the row at fault aside, or blocks the run if there are too many of them.
    async fn quarantine(&mut self, error: &Error, piece: Piece) -> Option<End> {
        match self.try_quarantine(error, &piece).await {
            Ok(Aside::Kept) => {
                let BadRow { key, sqlstate, message } = bad_row(error, &piece);
                self.shared.emit(Event::BadRow { key: key.0, sqlstate, message });
                None
            }
            Ok(Aside::Full) => {
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
            Ok(Aside::Passed) | Err(Trouble::Idle) => None,
            Err(Trouble::Halt(halt)) => Box::pin(self.recover(halt)).await,
            Err(Trouble::Away(error)) => self.away(&error).await,
        }
    }

    async fn try_quarantine(&mut self, error: &Error, piece: &Piece) -> Result<Aside, Trouble> {
        let (Some(mut session), Some(mut held)) = (self.session.take(), self.held.take()) else {
            return Err(Trouble::Idle);
        };
        // Rows may have come between since the keys were read: only a row that is alone may be put aside.
        let target = self.shared.plan.target(held.claim.table.clone());
        let cells = plan::read_cells(&mut session, &target, &piece.keys, 1, 2).await?;
        if cells.len() > 1 {
            held.refine(plan::read_cells(&mut session, &target, &piece.keys, 1, plan::CELLS_MAX).await?);
            (self.session, self.held) = (Some(session), Some(held));
            return Err(Trouble::Idle);
        }
        let hint = self.shared.hint(self.index, 1);
        let row = bad_row(error, piece);
        let aside = batch::quarantine(&self.shared, &mut session, &held, piece, &row, &hint).await;
        self.session = session.is_usable().then_some(session);
        let aside = aside?;
        if aside == Aside::Full {
            self.held = Some(held);
        } else {
            self.failures = Failures::default();
            self.held = held.advance(piece);
        }
        Ok(aside)
    }

    fn blame(&self, error: &Error) -> String {
        if error.sqlstate() == Some(NO_TABLE) {
            // Whatever range it was noticed in.
            let remedy = "put it back and resume, or cancel the run";
            return format!("{error}\nhint: it was there when the run began: {remedy}");
        }
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
        // Back into the pool, which has just enough connections: this one can be used to say so.
        self.session = None;
        let turn = Turn::State(Move::Block);
        let told = async {
            let mut session = self.shared.session().await?;
            store::request(&mut session, self.shared.run.id, &turn, Some(&reason), &self.shared.by).await
        };
        match told.await {
            // Somebody was faster, with a reason of their own.
            Ok(()) | Err(StoreError::Illegal(_)) => End::Blocked(reason),
            Err(error) => {
                End::Unreachable(format!("{reason}; and the run could not be marked as blocked: {error}"))
            }
        }
    }
}

fn bad_row(error: &Error, piece: &Piece) -> BadRow {
    BadRow {
        key: piece.keys.through.clone(),
        sqlstate: error.sqlstate().unwrap_or_default().to_owned(),
        message: error.to_string(),
    }
}
