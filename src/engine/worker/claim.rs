//! How a worker comes to its next batch: it claims a range or plans one, and reads its boundaries.
//!
//! Must not know: how a batch is run.

use super::super::claimed::{ClaimedRange, NextBatch};
use super::super::complete::{self, Ending};
use super::super::exit::End;
use super::super::lease::BatchError;
use super::super::part::Part;
use super::super::proof::{self, Proved};
use super::super::suspects;
use super::state::{Interruption, LOOK_AGAIN, Worker};
use crate::db::{Error, Session};
use crate::event::Event;
use crate::human;
use crate::plan;
use crate::run::{Hold, RunKind};
use crate::scan::{CELLS_MAX, Cell};
use crate::store::{self, Claim};
use crate::throttle::{Reason, Why};

impl Worker {
    /// Claims a range that no other worker is at, or plans the next one; `range` stays empty if there is none
    /// just now.
    pub(super) async fn claim_or_plan(&mut self, session: &mut Session) -> Result<(), Interruption> {
        let part = self.part.clone();
        let run = part.facts.run_id();
        // Where batches are short so that the application feels them less, so is the look at the range's
        // keys.
        let knobs = part.throttle.knobs(self.index);
        // A worker that rests in between takes longer for a range.
        let cycle = part.strategy.cycle_max().mul_f64(part.throttle.duty(self.index));
        let choice = part.strategy.choice();
        let cut = self.size.cut(&knobs, part.team.share(), choice, cycle, part.team.everywhere());
        let hint = self.hint(self.rows());
        if let Some(claim) = store::claim(session, run, &hint).await? {
            if claim.rested {
                self.start_isolated();
            }
            let cells = cells_ahead(&part, session, &claim, cut.step).await?;
            self.range = ClaimedRange::new(claim, cells);
            return Ok(());
        }
        if let Some(planned) = plan::next_range(session, run, &part.facts.plan, &cut, &hint).await? {
            part.events.emit(Event::RangePlanned {
                range: planned.claim.number,
                table: planned.claim.table.to_string(),
                stripes: planned.claim.striping.stripes().get(),
                why: planned.why,
            });
            self.range = ClaimedRange::new(planned.claim, planned.cells);
            return Ok(());
        }
        finish(&part, self.index, session).await
    }

    /// The next batch; a cell that is too large for it is read again in finer steps.
    pub(super) async fn next_batch(
        &self,
        session: &mut Session,
        range: &mut ClaimedRange,
    ) -> Result<NextBatch, Error> {
        let rows = self.rows();
        if self.size.isolates() {
            refine(&self.part, session, range, 1).await?;
            return Ok(range.smallest_batch());
        }
        let stripes = range.claim.striping.stripes().get();
        refine(&self.part, session, range, rows.saturating_mul(stripes)).await?;
        Ok(range.next_batch(rows))
    }

    /// Rows for the next batch.
    fn rows(&self) -> u32 {
        let (part, knobs) = (&self.part, self.part.throttle.knobs(self.index));
        let rows = self.size.next(&knobs, part.team.share()).get();
        let left = part.rows_left_each().unwrap_or(u64::MAX);
        u32::try_from(left).map_or(rows, |left| rows.min(left.max(1)))
    }
}

/// There seems to be nothing left: the run is completed, or it is said what is waited for.
async fn finish(part: &Part, worker: u32, session: &mut Session) -> Result<(), Interruption> {
    let mut found = complete::look(part, session).await?;
    if found == Ending::AllDone && part.facts.run.kind == RunKind::Verify {
        found = suspects::look_again(part, session).await?;
    }
    if found == Ending::AllDone {
        found = end(part, session).await?;
    }
    match found {
        Ending::Complete => Err(Interruption::Leave(End::Complete)),
        Ending::MoreWork | Ending::AllDone => Ok(()),
        Ending::NotYet => {
            let others = || Reason::idle("the last ranges are with other workers");
            let resting = part.account.resting().map(|why| Reason::new(Hold::Blocked, Why::Retry, why));
            part.wait(worker, resting.unwrap_or_else(others), LOOK_AGAIN).await;
            Ok(())
        }
        Ending::Suspects(rows) => {
            let rows = human::counted(rows.unsigned_abs(), "row differs", "rows differ");
            part.wait(worker, Reason::idle(format!("{rows} and looked at again")), LOOK_AGAIN).await;
            Ok(())
        }
        Ending::LeafGone(name) => Err(BatchError::TableChanged(leaf_gone(&name)).into()),
    }
}

/// Completes the run, once it is known whether a row was missed.
async fn end(part: &Part, session: &mut Session) -> Result<Ending, Interruption> {
    let proved = tokio::select! {
        proved = proof::prove(part, session) => proved?,
        () = part.exit.token().cancelled() => return Err(Interruption::Idle),
    };
    let proof = match &proved {
        Proved::NotNeeded => None,
        Proved::Told(proof) => Some(proof),
        Proved::Found(found) => return Ok(complete::sweep_again(part, session, found).await?),
        Proved::Elsewhere => return Ok(Ending::NotYet),
    };
    part.primary.dial_again().await?;
    let ended = complete::complete(part, session, proof).await?;
    if let Some(proof) = proof.filter(|_| ended == Ending::Complete) {
        part.events.notice(if proof.proven {
            proof.text.clone()
        } else {
            format!("complete, but not proven: {}", proof.text)
        });
    }
    Ok(ended)
}

/// The boundaries between a claimed range's cursor and its end.
async fn cells_ahead(
    part: &Part,
    session: &mut Session,
    claim: &Claim,
    step: u32,
) -> Result<Vec<Cell>, Error> {
    let scan = part.scan(claim);
    scan.cells(session, &claim.ahead(), step, CELLS_MAX).await
}

/// Makes the first cell finer if a batch must be smaller than it.
async fn refine(
    part: &Part,
    session: &mut Session,
    range: &mut ClaimedRange,
    rows_max: u32,
) -> Result<(), Error> {
    if let Some(span) = range.too_coarse(rows_max) {
        let scan = part.scan(&range.claim);
        range.refine(scan.cells(session, &span, rows_max, CELLS_MAX).await?);
    }
    Ok(())
}

fn leaf_gone(name: &str) -> String {
    format!(
        "partition {name} is gone (detached or dropped) and was not finished\nhint: attach it again and resume, or start over with --new-run"
    )
}
