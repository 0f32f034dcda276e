//! Who is in the way of a lock, and since when.
//!
//! Must not know: what is done about it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::db::{Error, Session};
use crate::human;
use crate::sql::{LockMode, fixed};

/// Of a statement that is shown.
const QUERY_SHOWN: usize = 80;

/// Since when each transaction is known of, by our clock: a role may not see how old those of others are.
#[derive(Debug, Default)]
pub(super) struct Holders(BTreeMap<String, Instant>);

/// One session or prepared transaction that holds a lock, or waits for one.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    holds: bool,
    age: Duration,
    is_autovacuum: bool,
    is_wraparound: bool,
    /// Its transaction.
    pub(super) who: String,
    /// In words.
    pub(super) text: String,
}

impl Holder {
    /// Whether it is no use to try now: it has held its lock for longer than we may stand in the queue, or it
    /// waits itself. An autovacuum goes when it is asked, unless it must not.
    pub(super) fn is_in_the_way(&self, stall: Duration) -> bool {
        match (self.is_autovacuum, self.is_wraparound) {
            (true, is_wraparound) => is_wraparound,
            (false, _) => !self.holds || self.age >= stall,
        }
    }
}

impl Holders {
    /// Who holds, or waits for, a lock that conflicts with this mode on one of these relations, the longest
    /// first; a session of ours aside.
    pub(super) async fn look(
        &mut self,
        session: &Session,
        (relations, mode, ours): (&[u32], LockMode, i32),
    ) -> Result<Vec<Holder>, Error> {
        let modes = mode.conflicts();
        let params =
            [(&relations as _, Type::OID_ARRAY), (&modes as _, Type::TEXT_ARRAY), (&ours as _, Type::INT4)];
        let rows = session.query(fixed::DOOR_LOOK, &params).await?;
        let now = Instant::now();
        let whos: Vec<String> = rows.iter().map(|row| row.get("who")).collect();
        self.0.retain(|who, _| whos.contains(who));
        let known = rows.iter().zip(whos).map(|(row, who)| {
            let since = *self.0.entry(who.clone()).or_insert(now);
            holder(row, who, now.duration_since(since))
        });
        Ok(known.collect())
    }
}

fn holder(row: &Row, who: String, known_for: Duration) -> Holder {
    let told = row.get::<_, Option<f64>>("age_ms").map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1000.0));
    let holds: bool = row.get("holds");
    let age = told.unwrap_or(known_for);
    Holder {
        holds,
        age,
        is_autovacuum: is_autovacuum(row),
        is_wraparound: row.get("wraparound"),
        who,
        text: text(row, holds, age),
    }
}

/// A role that may not see what another session is knows an autovacuum by its lock, and asks for its own in
/// front of no read or write: an autovacuum goes then, and any other session does not.
fn is_autovacuum(row: &Row) -> bool {
    let is_hidden =
        row.get::<_, Option<String>>("state").is_none() && row.get::<_, Option<i32>>("pid").is_some();
    let has_its_lock = row.get::<_, &str>("modes") == "ShareUpdateExclusiveLock" && row.get("holds");
    row.get::<_, Option<bool>>("autovacuum").unwrap_or(is_hidden && has_its_lock)
}

fn text(row: &Row, holds: bool, age: Duration) -> String {
    let get = |column: &str| row.get::<_, Option<String>>(column);
    let age = human::duration(age);
    if let Some(gid) = get("gid") {
        return format!("prepared transaction '{gid}', prepared {age} ago");
    }
    if row.get::<_, Option<bool>>("autovacuum").unwrap_or(false) {
        let why = if row.get("wraparound") { ", to prevent wraparound" } else { "" };
        return format!("an autovacuum, at work for {age}{why}");
    }
    let mut text = match row.get::<_, Option<i32>>("pid") {
        Some(pid) => format!("session {pid}"),
        None => "a prepared transaction".to_owned(),
    };
    text.push_str(&get("user_name").map(|user| format!(" of {user}")).unwrap_or_default());
    text.push_str(&get("application").map(|name| format!(" ({name})")).unwrap_or_default());
    let modes: String = row.get("modes");
    let doing = match (holds, get("state").as_deref()) {
        (false, _) => format!(" has been waiting for {modes} for {age}"),
        (true, Some("idle in transaction" | "idle in transaction (aborted)")) => {
            format!(", in a transaction for {age} and idle now, holds {modes}")
        }
        (true, _) => format!(", in a transaction for {age}, holds {modes}"),
    };
    text.push_str(&doing);
    if let Some(query) = get("query").map(|query| human::one_line(&query)).filter(|query| !query.is_empty()) {
        let shown: String = query.chars().take(QUERY_SHOWN).collect();
        let more = if shown.len() < query.len() { "…" } else { "" };
        text.push_str(": ");
        text.push_str(&shown);
        text.push_str(more);
    }
    text
}

/// Who they are, whatever their age is.
pub(super) fn key(holders: &[&Holder]) -> String {
    holders.iter().map(|holder| holder.who.as_str()).collect::<Vec<_>>().join(", ")
}

/// The first of them, and how many there are.
pub(super) fn shown(holders: &[&Holder]) -> String {
    let texts: Vec<_> = holders.iter().take(3).map(|holder| holder.text.clone()).collect();
    let others = holders.len().saturating_sub(texts.len());
    let more = if others > 0 { format!("; and {others} more") } else { String::new() };
    format!("{}{more}", texts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(holds: bool, ms: u64) -> Holder {
        let age = Duration::from_millis(ms);
        let (who, text) = (String::new(), String::new());
        Holder { holds, age, is_autovacuum: false, is_wraparound: false, who, text }
    }

    #[test]
    fn the_old_and_those_that_wait_are_in_the_way() {
        let stall = Duration::from_millis(200);
        assert!(!holder(true, 199).is_in_the_way(stall));
        assert!(holder(true, 200).is_in_the_way(stall));
        assert!(holder(false, 1).is_in_the_way(stall));
    }

    #[test]
    fn an_autovacuum_goes_when_it_is_asked_unless_it_must_not() {
        let stall = Duration::from_millis(200);
        let vacuum = Holder { is_autovacuum: true, ..holder(true, 60_000) };
        assert!(!vacuum.is_in_the_way(stall));
        assert!(Holder { is_wraparound: true, ..vacuum }.is_in_the_way(stall));
    }

    #[test]
    fn three_are_shown_and_the_others_counted() {
        let all = [holder(true, 1), holder(true, 1), holder(true, 1), holder(true, 1)];
        let all: Vec<_> = all.iter().collect();
        assert!(shown(&all).ends_with("; and 1 more") && !shown(&all[..3]).contains("more"));
    }
}
