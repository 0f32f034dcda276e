//! The end of a run, and the partitions that come and go before it.
//!
//! Must not know: batches.

use std::collections::{BTreeMap, BTreeSet};

use super::shared::Shared;
use crate::catalog;
use crate::db::Session;
use crate::plan::{self, PLANNING};
use crate::run::{Move, RunState};
use crate::store::{self, StoreError};

/// What was found when there seemed to be nothing left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// Nothing is left, and the run could be completed.
    AllDone,
    /// The run is complete.
    Complete,
    /// New partitions were found: go on.
    MoreWork,
    /// Others still work on the last ranges.
    NotYet,
    /// A partition with work left is gone.
    LeafGone(String),
}

/// Completes the run, if that is asked for and every range of every leaf is done. Its COMMIT is flushed, and with it all before it.
pub(super) async fn finish(
    shared: &Shared,
    session: &mut Session,
    complete: bool,
) -> Result<Finish, StoreError> {
    session.begin(PLANNING).await?;
    let finish = finish_in_txn(shared, session, complete).await;
    session.commit_or_rollback(finish).await
}

async fn finish_in_txn(shared: &Shared, session: &Session, complete: bool) -> Result<Finish, StoreError> {
    session.batch_execute("SET LOCAL synchronous_commit = on").await?;
    match store::lock_in_txn(session, shared.run.id).await? {
        RunState::Running => {}
        RunState::Complete => return Ok(Finish::Complete),
        RunState::Paused | RunState::Blocked | RunState::Cancelled => return Ok(Finish::NotYet),
    }
    match reconcile_in_txn(shared, session).await? {
        Leaves::Same => {}
        Leaves::New => return Ok(Finish::MoreWork),
        Leaves::Gone(name) => return Ok(Finish::LeafGone(name)),
    }
    if store::open_work(session, shared.run.id).await? > 0 {
        return Ok(Finish::NotYet);
    }
    if !complete {
        return Ok(Finish::AllDone);
    }
    store::move_in_txn(session, shared.run.id, Move::Complete, None, &shared.by).await?;
    Ok(Finish::Complete)
}

/// How the leaves in the catalog differ from those of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    Same,
    New,
    Gone(String),
}

/// Adds leaves that were attached, each with the last key that it has now, and finds those that are gone with work left.
///
/// A leaf that was finished may go: its rows were changed, and the nightly rotation of partitions must not stop a run.
///
/// The caller has locked the run's row, so that two processes do not add the same leaf.
async fn reconcile_in_txn(shared: &Shared, session: &Session) -> Result<Leaves, StoreError> {
    let found = catalog::leaves_in_txn(session, shared.run.target, &shared.plan.key_names()).await?;
    let known = store::leaves(session, shared.run.id).await?;
    let mut now: BTreeMap<u32, catalog::Leaf> = found.into_iter().map(|leaf| (leaf.relation, leaf)).collect();
    for leaf in &known {
        if now.remove(&leaf.relation).is_none() && leaf.has_work {
            return Ok(Leaves::Gone(leaf.table.to_string()));
        }
    }
    for leaf in now.values() {
        let bound = plan::last_key(session, &shared.plan.target(leaf.name.clone())).await?;
        store::add_leaf_in_txn(session, shared.run.id, leaf, bound.as_ref()).await?;
    }
    Ok(if now.is_empty() { Leaves::Same } else { Leaves::New })
}

/// The same in a transaction of its own; the lock is taken only if there is something to do.
pub(super) async fn reconcile(shared: &Shared, session: &mut Session) -> Result<Leaves, StoreError> {
    if catalog_agrees(shared, session).await? {
        return Ok(Leaves::Same);
    }
    session.begin(PLANNING).await?;
    let done = async {
        match store::lock_in_txn(session, shared.run.id).await? {
            RunState::Running => reconcile_in_txn(shared, session).await,
            // Others have ended it meanwhile, and nothing is added to it any more.
            _ => Ok(Leaves::Same),
        }
    };
    let leaves = done.await;
    session.commit_or_rollback(leaves).await
}

/// Whether the run has every leaf of the catalog, and the catalog every leaf that has work left.
async fn catalog_agrees(shared: &Shared, session: &mut Session) -> Result<bool, StoreError> {
    let found = catalog::leaves(session, PLANNING, shared.run.target, &shared.plan.key_names()).await?;
    let known = store::leaves(session, shared.run.id).await?;
    let now: BTreeSet<u32> = found.iter().map(|leaf| leaf.relation).collect();
    let ours: BTreeSet<u32> = known.iter().map(|leaf| leaf.relation).collect();
    Ok(now.is_subset(&ours) && known.iter().all(|leaf| !leaf.has_work || now.contains(&leaf.relation)))
}
