//! Rows that differed when they were read are looked at again, after a time: an application may be between
//! two transactions that belong together.
//!
//! A row that is wrong once more in the same version is confirmed. One that is wrong in another version is
//! looked at again, three times in all.
//!
//! Must not know: how rows are compared.

use std::time::Duration;

use super::complete::Ending;
use super::part::Part;
use crate::change::Measure;
use crate::db::{Error, NextAct, Session};
use crate::key::Key;
use crate::scan::LeafOrder;
use crate::sql::settings::{SAVEPOINT, TO_SAVEPOINT};
use crate::store::{self, Looked, StoreError, Suspect};

/// So long after it was seen a row is looked at again: longer than an application takes between two
/// transactions that belong together.
const GRACE: Duration = Duration::from_secs(5);
/// So often a row may be wrong, each time in another version.
const LOOKS_MAX: i32 = 3;

/// Looks again at the rows whose time has come; gives whether any are left.
pub(super) async fn look_again(part: &Part, session: &mut Session) -> Result<Ending, StoreError> {
    while !part.exit.is_leaving() && settle_next(part, session).await? {}
    Ok(match store::pending_suspects(session, part.facts.run_id()).await? {
        0 => Ending::AllDone,
        left => Ending::Suspects(left),
    })
}

/// Looks at one of them, in a transaction of its own; false: none is due, or others are at them.
async fn settle_next(part: &Part, session: &mut Session) -> Result<bool, StoreError> {
    let settled = settle_in_txn(part, session).await;
    match settled {
        Ok(true) => Ok(true),
        Ok(false) => {
            session.rollback().await?;
            Ok(false)
        }
        Err(error) => {
            let _ = session.rollback().await;
            Err(error)
        }
    }
}

async fn settle_in_txn(part: &Part, session: &mut Session) -> Result<bool, StoreError> {
    let facts = &part.facts;
    let settings = facts.settings(part.statement_timeout());
    let found = store::next_suspect(session, &settings, facts.run_id(), GRACE.as_secs_f64()).await?;
    let Some(suspect) = found else { return Ok(false) };
    session.batch_execute(SAVEPOINT).await?;
    let verdict = match look_in_txn(part, session, &suspect).await {
        Ok(verdict) => verdict,
        Err(error) if error.next_act() == NextAct::Bisect => {
            session.batch_execute(TO_SAVEPOINT).await?;
            Looked::Fails(error.server().map_or_else(|| error.to_string(), |server| server.message.clone()))
        }
        Err(error) => return Err(error.into()),
    };
    store::settle_suspect(session, facts.run_id(), &suspect, &verdict).await?;
    Ok(true)
}

/// The key of what is walked: its own, or the number of the part of the kept values that it is in, which its
/// version names.
fn walked_key(suspect: &Suspect) -> Key {
    match suspect.version.split_once(' ') {
        Some((_, number)) => Key(vec![number.to_owned()]),
        None => suspect.key.clone(),
    }
}

async fn look_in_txn(part: &Part, session: &Session, suspect: &Suspect) -> Result<Looked, Error> {
    let (scan, change) =
        (part.facts.plan.walk.leaf(suspect.table.clone(), LeafOrder::Keys), &part.facts.plan.change);
    let rows = scan.row(&walked_key(suspect));
    let Some(compare) = change.compare_one(&rows, &suspect.key) else { return Ok(Looked::Dropped) };
    let answer = compare.run_in_txn(session, Measure::Rows).await?;
    Ok(match answer.mismatches.into_iter().next() {
        None => Looked::Dropped,
        Some(now) if now.version == suspect.version => Looked::Confirmed,
        Some(now) if suspect.looks < LOOKS_MAX => Looked::Again(now),
        Some(now) => Looked::Moving(now),
    })
}
