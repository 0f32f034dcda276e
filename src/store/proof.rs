//! Whether a walk by block has missed no row: what was found out, and who finds it out.
//!
//! Must not know: how.

use serde::Serialize;
use tokio_postgres::types::Type;

use crate::db::{Error, Session};
use crate::run::RunId;
use crate::sql::fixed;

/// Whether a walk by block has missed no row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Whether that was found out.
    pub proven: bool,
    /// How, or why not.
    pub text: String,
}

/// Lets one worker at a time look for rows that were missed, until its transaction ends.
pub async fn lock_proof_in_txn(session: &Session, run: RunId) -> Result<bool, Error> {
    Ok(session.query_one(fixed::PROOF_LOCK, &[(&run.0, Type::INT8)]).await?.get(0))
}

/// What was found out; none: it has not ended, or walked by key.
pub async fn proof(session: &Session, run: RunId) -> Result<Option<Proof>, Error> {
    let row = session.query_one(fixed::RUN_PROVEN, &[(&run.0, Type::INT8)]).await?;
    let (proven, text): (Option<bool>, Option<String>) = (row.get("proven"), row.get("proof"));
    Ok(proven.zip(text).map(|(proven, text)| Proof { proven, text }))
}

/// Writes down what was found out.
pub async fn note_proof_in_txn(session: &Session, run: RunId, proof: &Proof) -> Result<(), Error> {
    let params =
        [(&run.0 as _, Type::INT8), (&proof.proven as _, Type::BOOL), (&proof.text as _, Type::TEXT)];
    session.execute(fixed::RUN_PROOF, &params).await.map(drop)
}
