//! Which server a session leads to, and which history of it.
//!
//! Must not know: what follows if it is another one.

use super::{Error, Session};
use crate::sql::fixed;

/// Which server it is, and which history of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Which cluster this is; a restored copy has the same, a dump loaded elsewhere another.
    pub system_identifier: String,
    /// A promoted standby has a later one; none on a standby.
    pub timeline: Option<i32>,
}

/// Which server this session leads to.
pub async fn identity(session: &Session) -> Result<Identity, Error> {
    let row = session.query_one(fixed::IDENTITY, &[]).await?;
    Ok(Identity { system_identifier: row.get("system_identifier"), timeline: row.get("timeline") })
}
