//! Partitions that come and go while a run lasts.
//!
//! Must not know: batches.

use std::collections::{BTreeMap, BTreeSet};

use super::part::Part;
use crate::catalog;
use crate::db::Session;
use crate::run::{RunKind, RunState};
use crate::scan::{LeafOrder, ScanOrder, Span, Stripe};
use crate::sql::settings::PLANNING;
use crate::store::{self, StoreError};

/// How the leaves in the catalog differ from those of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    Same,
    New,
    Gone(String),
}

/// Adds leaves that were attached, each with the last mark that it has now, and finds those that are gone
/// with work left.
///
/// A leaf that was finished may go: its rows were changed, and the nightly rotation of partitions must not
/// stop a run.
///
/// The caller has locked the run's row, so that two processes do not add the same leaf.
pub(super) async fn reconcile_in_txn(part: &Part, session: &Session) -> Result<Leaves, StoreError> {
    let facts = &part.facts;
    if facts.run.kind == RunKind::Repair || facts.plan.walks_kept {
        return Ok(Leaves::Same);
    }
    let found = catalog::leaves_in_txn(session, facts.run.target, &facts.plan.walk.key_names()).await?;
    let known = store::leaves(session, facts.run_id()).await?;
    let mut now: BTreeMap<u32, catalog::Leaf> = found.into_iter().map(|leaf| (leaf.relation, leaf)).collect();
    for leaf in &known {
        if now.remove(&leaf.relation).is_none() && leaf.has_work {
            return Ok(Leaves::Gone(leaf.table.to_string()));
        }
    }
    // Processes of an earlier version may be at a run that walks by key, and know no other order.
    let is_by_block = known.iter().any(|leaf| leaf.order.order() == ScanOrder::Heap);
    for leaf in now.values() {
        let order = if is_by_block { facts.plan.ordering.of(leaf) } else { LeafOrder::Keys };
        let bound = facts.plan.walk.leaf(leaf.name.clone(), order).last(session).await?;
        // To a verification its rows are such as came after the backfill.
        let pass = i32::from(facts.run.kind == RunKind::Verify);
        store::add_leaf_in_txn(session, facts.run_id(), leaf, order, bound.as_ref(), pass).await?;
    }
    Ok(if now.is_empty() { Leaves::Same } else { Leaves::New })
}

/// A verification goes on to the present end of each leaf, once: whether there are rows behind the last key
/// of the backfill.
pub(super) async fn extend_in_txn(part: &Part, session: &Session) -> Result<bool, StoreError> {
    let (facts, mut found) = (&part.facts, false);
    for leaf in store::leaves(session, facts.run_id()).await?.iter().filter(|leaf| leaf.pass == 0) {
        let scan = facts.plan.walk.leaf(leaf.table.clone(), leaf.order);
        let last = scan.last(session).await?;
        let behind = match (last, &leaf.bound) {
            (Some(last), Some(_)) => {
                let span = Span { after: leaf.bound.clone(), through: last };
                let rows = scan.rows(&span, Stripe::ALL, 1);
                rows.exist_in_txn(session).await?.then_some(span.through)
            }
            (last, _) => last,
        };
        found |= behind.is_some();
        store::extend_leaf_in_txn(session, facts.run_id(), leaf.number, behind.as_ref()).await?;
    }
    Ok(found)
}

/// [`reconcile_in_txn`] in a transaction of its own; the lock is taken only if there is something to do.
pub(super) async fn reconcile(part: &Part, session: &mut Session) -> Result<Leaves, StoreError> {
    if catalog_agrees(part, session).await? {
        return Ok(Leaves::Same);
    }
    session.begin(PLANNING).await?;
    let leaves = lock_and_reconcile_in_txn(part, session).await;
    session.commit_or_rollback(leaves).await
}

async fn lock_and_reconcile_in_txn(part: &Part, session: &Session) -> Result<Leaves, StoreError> {
    match store::lock_in_txn(session, part.facts.run_id()).await? {
        RunState::Running => reconcile_in_txn(part, session).await,
        // Another process has ended the run meanwhile, and nothing is added to it any more.
        RunState::Paused | RunState::Blocked | RunState::Cancelled | RunState::Complete => Ok(Leaves::Same),
    }
}

/// Whether the run has every leaf of the catalog, and the catalog every leaf that has work left.
async fn catalog_agrees(part: &Part, session: &mut Session) -> Result<bool, StoreError> {
    let facts = &part.facts;
    // It is about the rows of some ranges, and no others.
    if facts.run.kind == RunKind::Repair || facts.plan.walks_kept {
        return Ok(true);
    }
    let key = facts.plan.walk.key_names();
    let found = catalog::leaves(session, PLANNING, facts.run.target, &key, &[]).await?;
    let known = store::leaves(session, facts.run_id()).await?;
    let now: BTreeSet<u32> = found.iter().map(|leaf| leaf.relation).collect();
    let ours: BTreeSet<u32> = known.iter().map(|leaf| leaf.relation).collect();
    Ok(now.is_subset(&ours) && known.iter().all(|leaf| !leaf.has_work || now.contains(&leaf.relation)))
}
