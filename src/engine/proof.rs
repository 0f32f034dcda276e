//! The proof that a walk by block has missed no row: one pass over all blocks under one snapshot, which only
//! reads.
//!
//! A sweep that finds nothing is none: a row can move behind its cursor, too.
//!
//! Must not know: sweeps.

use std::time::{Duration, Instant};

use super::part::Part;
use crate::db::{Error, NextAct, Session, sqlstate};
use crate::human;
use crate::scan::{LeafOrder, Scan, ScanOrder};
use crate::sql::settings;
use crate::store::{self, Proof, StoreError, StoredLeaf, Swept};

/// After so many sweeps rows that match are told, and not looked for again.
const SWEEPS_MAX: i32 = 8;

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proved {
    /// Every leaf is walked by key, which misses no row.
    NotNeeded,
    /// To be written down with the end of the run.
    Told(Proof),
    /// A row of these leaves still matches.
    Found(Vec<u32>),
    /// Another worker is at it.
    Elsewhere,
}

/// Why a pass has ended early.
enum Ended {
    /// It is no proof, for this reason.
    Unproven(String),
    Failed(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        match &error {
            Error::Server(server) if server.sqlstate == sqlstate::QUERY_CANCELED => {
                Self::Unproven("it took longer than `proof` allows, or was cancelled".into())
            }
            // Of a row that is in the quarantine, say.
            Error::Server(server) if error.next_act() == NextAct::Bisect => {
                Self::Unproven(format!("it failed: {}", server.message))
            }
            _ => Self::Failed(error),
        }
    }
}

/// Proves it, if there is anything to prove; at most one worker of a run at a time.
pub(super) async fn prove(part: &Part, session: &mut Session) -> Result<Proved, StoreError> {
    let leaves = store::leaves(session, part.facts.run_id()).await?;
    let leaves: Vec<_> = leaves.into_iter().filter(|leaf| leaf.order.order() == ScanOrder::Heap).collect();
    if leaves.is_empty() {
        return Ok(Proved::NotNeeded);
    }
    let unproven = |why: &str| Proved::Told(Proof { proven: false, text: unproven(part, why) });
    if let Some(leaf) = leaves.iter().find(|leaf| leaf.swept == Some(Swept::RowsCome)) {
        return Ok(unproven(&format!(
            "the application writes rows of {} that match: two sweeps in a row found no fewer",
            leaf.table
        )));
    }
    let Some(proof_ms) = part.facts.proof_ms else {
        return Ok(unproven("the job says proof = \"off\""));
    };
    let time = Duration::from_millis(proof_ms.get().into());
    session.answers_within(time + Duration::from_secs(10));
    let began = Instant::now();
    let passed = pass(part, session, &leaves, time).await;
    let ended = session.rollback().await;
    match passed {
        Ok(Some(found)) if found.is_empty() => {
            ended?;
            let text = format!(
                "no row matches any more: one pass under one snapshot, {}",
                human::duration(began.elapsed())
            );
            Ok(Proved::Told(Proof { proven: true, text }))
        }
        // An application may write such rows for ever.
        Ok(Some(_)) if leaves.iter().any(|leaf| leaf.sweep >= SWEEPS_MAX) => {
            ended?;
            Ok(unproven(&format!("rows match still, after {SWEEPS_MAX} sweeps")))
        }
        Ok(Some(found)) => ended.map(|()| Proved::Found(found)).map_err(Into::into),
        Ok(None) => ended.map(|()| Proved::Elsewhere).map_err(Into::into),
        Err(Ended::Unproven(why)) => {
            ended?;
            Ok(unproven(&format!("the pass under one snapshot that would prove it was given up: {why}")))
        }
        Err(Ended::Failed(error)) => Err(error.into()),
    }
}

/// Leaves with a row that matches and is not in the quarantine; none: another worker is at it.
async fn pass(
    part: &Part,
    session: &mut Session,
    leaves: &[StoredLeaf],
    time: Duration,
) -> Result<Option<Vec<u32>>, Ended> {
    let facts = &part.facts;
    let meaning = facts.settings(time);
    session.begin(&format!("{}; {meaning}", settings::ONE_SNAPSHOT)).await?;
    if !store::lock_proof_in_txn(session, facts.run_id()).await? {
        return Ok(None);
    }
    part.events.notice(format!(
        "looking for rows that were missed: one pass under one snapshot, which reads for at most {}",
        human::duration(time)
    ));
    let began = Instant::now();
    let mut found = Vec::new();
    for leaf in leaves {
        let left = time.saturating_sub(began.elapsed());
        session.batch_execute(&settings::statement_timeout(left)).await?;
        if has_missed_in_txn(part, session, leaf).await? {
            found.push(leaf.relation);
        }
        session.batch_execute(&meaning).await?;
    }
    Ok(Some(found))
}

async fn has_missed_in_txn(part: &Part, session: &Session, leaf: &StoredLeaf) -> Result<bool, Error> {
    let (facts, scan) = (&part.facts, scan(part, leaf));
    let bad_rows = store::bad_rows_of_leaf_in_txn(session, facts.run_id(), leaf.number).await?;
    // More than are in the quarantine cannot all be of it.
    let selected = format!("{}\nLIMIT {}", facts.plan.change.selected(&scan), bad_rows + 1);
    let rows = session.query(&selected, &[]).await?;
    if rows.len() as i64 > bad_rows {
        return Ok(true);
    }
    session.batch_execute(settings::AS_MARKS).await?;
    for place in rows.iter().filter_map(|row| scan.mark_of(None, row.get(0))) {
        if let Some(key) = scan.key_at_in_txn(session, &place).await?
            && !store::has_bad_row_in_txn(session, facts.run_id(), leaf.number, &key).await?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn scan(part: &Part, leaf: &StoredLeaf) -> Scan {
    part.facts.plan.walk.leaf(leaf.table.clone(), leaf.order)
}

/// Why, and the statement that a person can prove it with, for all partitions at once.
fn unproven(part: &Part, why: &str) -> String {
    let plan = &part.facts.plan;
    let statement = plan.change.remaining(&plan.walk.leaf(plan.table.name.clone(), LeafOrder::Keys));
    // In one line a comment of the job would swallow what follows it.
    let statement = if statement.contains("--") { statement } else { statement.replace('\n', " ") };
    format!("{why}; it is proven where this gives 0: {statement}")
}
