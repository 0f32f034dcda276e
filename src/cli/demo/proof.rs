//! What the table says: the only witness that counts.
//!
//! Must not know: how the rows were changed, how it is shown.

use std::time::Duration;

use tokio::time::interval;
use tokio_postgres::{Client, Error};

use super::backfill::{End, Part};

/// Between two looks for the killed process's backends.
const LOOK: Duration = Duration::from_millis(10);

/// Both sides between the two parts, from one snapshot: they have to be equal at any instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seam {
    /// Rows that the checkpoints say are changed.
    pub(super) recorded: i64,
    /// Rows of the table that are changed.
    pub(super) changed: i64,
}

/// The rows of the table at the end, each in one of the first three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) never: i64,
    pub(super) once: i64,
    pub(super) more: i64,
    /// Rows whose `status_v2` is not what the job says.
    pub(super) wrong: i64,
}

/// Compares the checkpoints with the table, as soon as the server has noticed that its client is dead: until
/// then a batch in flight may still be committed.
pub(super) async fn seam(client: &Client) -> Result<Seam, Error> {
    let mut looks = interval(LOOK);
    while client.query_one(include_str!("others.sql"), &[]).await?.get::<_, i64>(0) > 0 {
        looks.tick().await;
    }
    let row = client.query_one(include_str!("seam.sql"), &[]).await?;
    Ok(Seam { recorded: row.get("recorded"), changed: row.get("changed") })
}

/// Counts the rows by how often they were changed; `status_v2` is the job's own expression.
pub(super) async fn count(client: &Client, status_v2: &str) -> Result<Count, Error> {
    let row = client.query_one(&include_str!("count.sql").replace(":status_v2", status_v2), &[]).await?;
    let get = |name| row.get::<&str, i64>(name);
    Ok(Count { never: get("never"), once: get("once"), more: get("more"), wrong: get("wrong") })
}

/// Everything that speaks against "killed half way, and every row was changed exactly once". Empty: proven.
pub(super) fn verdict(rows: i64, first: End, seam: &Seam, count: &Count) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };
    must(first == End::Killed, "the backfill was done before it could be killed\nhint: more --rows".into());
    must(
        seam.recorded == seam.changed,
        format!("after the kill, the checkpoints said {} rows and the table {}", seam.recorded, seam.changed),
    );
    must(count.once == rows, format!("{} of {rows} rows were changed exactly once", count.once));
    must(count.never == 0, format!("{} rows were never changed", count.never));
    must(count.more == 0, format!("{} rows were changed more than once", count.more));
    must(count.wrong == 0, format!("status_v2 is wrong in {} rows", count.wrong));
    faults
}

/// The two parts of the backfill and what was found between them.
pub(super) struct Parts {
    pub(super) first: Part,
    pub(super) seam: Seam,
    pub(super) second: Part,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAM: Seam = Seam { recorded: 5, changed: 5 };
    const COUNT: Count = Count { never: 0, once: 10, more: 0, wrong: 0 };

    #[test]
    fn every_row_once_after_a_kill_is_proof() {
        assert_eq!(verdict(10, End::Killed, &SEAM, &COUNT), Vec::<String>::new());
    }

    #[test]
    fn nothing_is_proven_by_a_backfill_that_nobody_killed() {
        assert_eq!(verdict(10, End::Done, &SEAM, &COUNT).len(), 1);
    }

    #[test]
    fn a_row_changed_twice_is_a_fault_even_if_the_value_is_right() {
        let count = Count { once: 9, more: 1, ..COUNT };
        assert_eq!(verdict(10, End::Killed, &SEAM, &count).len(), 2);
    }

    #[test]
    fn a_row_that_vanished_is_a_fault() {
        assert_eq!(verdict(11, End::Killed, &SEAM, &COUNT).len(), 1);
    }

    #[test]
    fn a_checkpoint_that_disagrees_with_the_table_is_a_fault() {
        let seam = Seam { recorded: 5, changed: 6 };
        assert_eq!(verdict(10, End::Killed, &seam, &COUNT).len(), 1);
    }

    #[test]
    fn a_wrong_value_is_a_fault() {
        let count = Count { wrong: 1, ..COUNT };
        assert_eq!(verdict(10, End::Killed, &SEAM, &count).len(), 1);
    }
}
