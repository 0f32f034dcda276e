//! The end of a run: when every range of every leaf is done.
//!
//! Must not know: batches.

use super::part::Part;
use super::partitions::{self, Leaves};
use super::passes;
use crate::db::Session;
use crate::run::{Move, RunKind, RunState};
use crate::sql::settings::{FLUSHED, PLANNING};
use crate::store::{self, Proof, StoreError};

/// What was found when there seemed to be nothing left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing is left, and the run could be completed.
    AllDone,
    /// The run is complete.
    Complete,
    /// New partitions were found: go on.
    MoreWork,
    /// Others still work on the last ranges.
    NotYet,
    /// Rows that differ are looked at again after a time.
    Suspects(i64),
    /// A partition with work left is gone.
    LeafGone(String),
}

/// Looks whether nothing is left.
pub(super) async fn look(part: &Part, session: &mut Session) -> Result<Ending, StoreError> {
    session.begin(PLANNING).await?;
    let found = look_in_txn(part, session).await;
    session.commit_or_rollback(found).await
}

/// Looks once more for rows of these leaves, in which one was found to match.
pub(super) async fn sweep_again(
    part: &Part,
    session: &mut Session,
    found: &[u32],
) -> Result<Ending, StoreError> {
    session.begin(PLANNING).await?;
    let begun = sweep_again_in_txn(part, session, found).await;
    session.commit_or_rollback(begun).await
}

async fn sweep_again_in_txn(part: &Part, session: &Session, found: &[u32]) -> Result<Ending, StoreError> {
    match look_in_txn(part, session).await? {
        Ending::AllDone => {
            passes::sweep_again_in_txn(part, session, found).await?;
            Ok(Ending::MoreWork)
        }
        other => Ok(other),
    }
}

/// Completes the run if nothing is left. Its COMMIT is flushed, and with it all before it.
pub(super) async fn complete(
    part: &Part,
    session: &mut Session,
    proof: Option<&Proof>,
) -> Result<Ending, StoreError> {
    session.begin(PLANNING).await?;
    let found = complete_in_txn(part, session, proof).await;
    session.commit_or_rollback(found).await
}

async fn complete_in_txn(
    part: &Part,
    session: &Session,
    proof: Option<&Proof>,
) -> Result<Ending, StoreError> {
    match look_in_txn(part, session).await? {
        Ending::AllDone => {
            let facts = &part.facts;
            if facts.run.kind == RunKind::Verify {
                // Another worker may have met rows that differ since this one has looked.
                if store::pending_suspects(session, facts.run_id()).await? > 0 {
                    return Ok(Ending::NotYet);
                }
                store::end_verification_in_txn(session, facts.run_id()).await?;
            }
            if let Some(proof) = proof {
                store::note_proof_in_txn(session, facts.run_id(), proof).await?;
            }
            store::move_in_txn(session, facts.run_id(), Move::Complete, None, &facts.by).await?;
            Ok(Ending::Complete)
        }
        other => Ok(other),
    }
}

async fn look_in_txn(part: &Part, session: &Session) -> Result<Ending, StoreError> {
    session.batch_execute(FLUSHED).await?;
    let run = part.facts.run_id();
    match store::lock_in_txn(session, run).await? {
        RunState::Running => {}
        RunState::Complete => return Ok(Ending::Complete),
        RunState::Paused | RunState::Blocked | RunState::Cancelled => return Ok(Ending::NotYet),
    }
    match partitions::reconcile_in_txn(part, session).await? {
        Leaves::Same => {}
        Leaves::New => return Ok(Ending::MoreWork),
        Leaves::Gone(name) => return Ok(Ending::LeafGone(name)),
    }
    if store::open_work(session, run).await? > 0 {
        return Ok(Ending::NotYet);
    }
    if passes::sweep_in_txn(part, session).await? > 0 {
        return Ok(Ending::MoreWork);
    }
    if part.facts.run.kind == RunKind::Verify && partitions::extend_in_txn(part, session).await? {
        return Ok(Ending::MoreWork);
    }
    Ok(Ending::AllDone)
}
