//! Leaves that are walked by block are passed more than once: sweeps look for rows that moved behind the
//! cursor, and what cannot be gone on with is walked again from its beginning.
//!
//! Must not know: batches.

use super::part::Part;
use crate::catalog;
use crate::db::Session;
use crate::plan;
use crate::run::RunState;
use crate::scan::{LeafOrder, Mark, ScanOrder};
use crate::sql::settings::PLANNING;
use crate::store::{self, Claim, LeafNo, PassedLeaf, StoreError, Swept};

/// Why a leaf is walked again from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The file that its marks are of was replaced.
    Rewritten,
    /// What was changed still matches.
    NotRepeatable(String),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It is walked again; what a person should know.
    Walked(String),
    /// Another process has seen to it.
    Elsewhere,
    /// There is no other way to walk it.
    Impossible(String),
}

/// What follows a pass in which so many rows were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It found nothing.
    End(Swept),
    Sweep,
}

/// A sweep that finds no fewer rows than the one before it will not come to an end.
fn next(leaf: &PassedLeaf) -> Next {
    match leaf.found_before {
        _ if leaf.found == 0 => Next::End(Swept::Clean),
        Some(before) if leaf.found >= before => Next::End(Swept::RowsCome),
        _ => Next::Sweep,
    }
}

/// Begins the next sweep of each leaf that needs one; gives how many begin. The caller has locked the run,
/// and no range is open.
pub(super) async fn sweep_in_txn(part: &Part, session: &Session) -> Result<u32, StoreError> {
    let run = part.facts.run_id();
    let mut begun = 0;
    for leaf in store::passed_leaves_in_txn(session, run).await? {
        match next(&leaf) {
            Next::End(swept) => store::end_sweeps_in_txn(session, run, leaf.number, swept).await?,
            Next::Sweep => {
                store::lock_leaf_in_txn(session, run, leaf.number).await?;
                let place = Place { number: leaf.number, relation: leaf.relation };
                let found = (leaf.sweep > 0).then_some(leaf.found);
                again_in_txn(part, session, &place, ScanOrder::Heap, true, found, "swept").await?;
                begun += 1;
            }
        }
    }
    Ok(begun)
}

/// Sweeps these leaves once more, in which a row was found to match.
pub(super) async fn sweep_again_in_txn(
    part: &Part,
    session: &Session,
    found: &[u32],
) -> Result<(), StoreError> {
    for leaf in store::leaves(session, part.facts.run_id()).await? {
        if !found.contains(&leaf.relation) {
            continue;
        }
        store::lock_leaf_in_txn(session, part.facts.run_id(), leaf.number).await?;
        let place = Place { number: leaf.number, relation: leaf.relation };
        again_in_txn(part, session, &place, ScanOrder::Heap, true, None, "swept").await?;
    }
    Ok(())
}

/// A leaf of the run.
struct Place {
    number: LeafNo,
    relation: u32,
}

async fn again_in_txn(
    part: &Part,
    session: &Session,
    place: &Place,
    order: ScanOrder,
    are_swept: bool,
    found_before: Option<i64>,
    why: &str,
) -> Result<bool, StoreError> {
    let facts = &part.facts;
    let now = catalog::leaves_in_txn(session, facts.run.target, &facts.plan.walk.key_names()).await?;
    let Some(leaf) = now.into_iter().find(|leaf| leaf.relation == place.relation) else {
        return Ok(false);
    };
    let order = match order {
        ScanOrder::Keys => LeafOrder::Keys,
        ScanOrder::Heap => plan::by_block(&leaf, are_swept),
    };
    let scan = facts.plan.walk.leaf(leaf.name.clone(), order);
    let bound: Option<Mark> = scan.last(session).await?;
    let (rows, blocks) = (leaf.rows_estimated, leaf.blocks);
    let again = store::Again { bound: bound.as_ref(), order, rows, blocks, found_before, why };
    store::walk_again_in_txn(session, facts.run_id(), place.number, &again).await?;
    Ok(true)
}

/// Lets the leaf of a range be walked again: by block in its new file, or by key, if it has one.
pub(super) async fn walk_again(
    part: &Part,
    session: &mut Session,
    claim: &Claim,
    reason: &Reason,
) -> Result<Again, StoreError> {
    let order = match reason {
        Reason::Rewritten => ScanOrder::Heap,
        Reason::NotRepeatable(why) if !part.facts.plan.walk.has_key() => {
            return Ok(Again::Impossible(format!(
                "{} cannot be walked by block: {why}\nhint: let `where` select only rows that are not changed yet, or give the table a key",
                claim.table
            )));
        }
        Reason::NotRepeatable(_) => ScanOrder::Keys,
    };
    session.begin(PLANNING).await?;
    let again = walk_again_in_txn(part, session, claim, reason, order).await;
    session.commit_or_rollback(again).await
}

async fn walk_again_in_txn(
    part: &Part,
    session: &Session,
    claim: &Claim,
    reason: &Reason,
    order: ScanOrder,
) -> Result<Again, StoreError> {
    let run = part.facts.run_id();
    // Batches of others end first, and none begins: they lock a range, and never the leaf behind it.
    let Some(now) = store::lock_leaf_in_txn(session, run, claim.leaf).await? else {
        return Ok(Again::Elsewhere);
    };
    let is_settled = match reason {
        Reason::Rewritten => !now.is_rewritten,
        Reason::NotRepeatable(_) => now.order == ScanOrder::Keys,
    };
    if is_settled || now.run_state != RunState::Running {
        return Ok(Again::Elsewhere);
    }
    let told = match reason {
        Reason::Rewritten => {
            format!(
                "{} was rewritten (VACUUM FULL, CLUSTER), so it is walked again from its first block",
                claim.table
            )
        }
        Reason::NotRepeatable(why) => {
            format!("{} is walked by key from now on: {why}", claim.table)
        }
    };
    let place = Place { number: claim.leaf, relation: claim.relation };
    if !part.facts.plan.walk.has_key() {
        // They were named by places of a file that is gone.
        store::forget_bad_rows_in_txn(session, run, claim.leaf).await?;
    }
    if again_in_txn(part, session, &place, order, false, None, &told).await? {
        Ok(Again::Walked(told))
    } else {
        Ok(Again::Elsewhere)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Qualified;

    fn leaf(sweep: i32, found: i64, found_before: Option<i64>) -> PassedLeaf {
        let table = Qualified::new("public", "t");
        PassedLeaf { number: LeafNo(1), relation: 1, table, sweep, found, found_before }
    }

    #[test]
    fn a_leaf_is_swept_until_nothing_is_found() {
        assert_eq!(next(&leaf(0, 1_000_000, None)), Next::Sweep);
        assert_eq!(next(&leaf(1, 40, None)), Next::Sweep);
        assert_eq!(next(&leaf(2, 3, Some(40))), Next::Sweep);
        assert_eq!(next(&leaf(3, 0, Some(3))), Next::End(Swept::Clean));
        assert_eq!(next(&leaf(0, 0, None)), Next::End(Swept::Clean));
    }

    #[test]
    fn sweeps_that_find_no_fewer_rows_end() {
        assert_eq!(next(&leaf(2, 40, Some(40))), Next::End(Swept::RowsCome));
        // The first sweep has none before it, nor one that follows a proof.
        assert_eq!(next(&leaf(3, 40, None)), Next::Sweep);
    }
}
