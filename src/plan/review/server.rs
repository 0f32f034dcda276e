//! What the server and the role are like, and who else is there.
//!
//! Must not know: how the facts were read.

use std::fmt::Write as _;

use super::Subject;
use super::queries::{Prepared, ServerFacts, Settings, Snapshot};
use crate::plan::{Code, Finding};

/// A snapshot that is older keeps dead rows from being removed for longer than a stripe can wait, in seconds.
const SNAPSHOT_S_MAX: f64 = 5.0;
/// The age of an old snapshot where only its transactions are known: some seconds on a busy server.
const SNAPSHOT_TRANSACTIONS_MAX: i64 = 50_000;
/// Vacuum begins to freeze at an age; at so many times that, it does not get anywhere.
const BEHIND: i64 = 2;
/// However late vacuum may begin, this is old: the server stops at two thousand million.
const AGE_MAX: i64 = 1_500_000_000;
/// Checkpoints that are closer together log nearly every page as a whole again, in seconds.
const CHECKPOINT_S_MIN: f64 = 30.0;

pub(super) fn judge(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    found.extend(small_max_wal_size(subject));
    found.extend(older_server(subject.server.version));
    let Some(server) = &subject.facts.server else { return };
    snapshots(server, found);
    found.extend(wraparound(server));
    timeouts(&server.settings, found);
    found.extend(role(subject, server));
    if subject.facts.pooled {
        found.push(Finding::new(
            Code::Pooler,
            "a pooler such as PgBouncer stands before the server".into(),
            "that is fine, in transaction mode, too; its pool needs a connection for each worker and two more for each process, three with signals of the job's own",
        ));
    }
}

/// What is done without, and what comes instead.
fn older_server(version: i32) -> Option<Finding> {
    (version < 140_000).then(|| {
        Finding::new(
            Code::OlderServer,
            format!(
                "PostgreSQL {} has no client_connection_check_interval, and does not say since when a lock is waited for",
                version / 10_000
            ),
            "the statement of a process that was killed goes on to its end, at most to statement_timeout, before another takes its range; \
             who waits for a batch is judged by the age of his statement: from 14 on both are exact",
        )
    })
}

fn snapshots(server: &ServerFacts, found: &mut Vec<Finding>) {
    const REMEDY: &str =
        "no dead row can be removed until it ends, so the table grows by every changed row: end it first";
    for Snapshot { who, held_s, transactions } in &server.snapshots {
        let since = match held_s {
            Some(s) if *s > SNAPSHOT_S_MAX => format!("{s:.0} s"),
            None if *transactions > SNAPSHOT_TRANSACTIONS_MAX => format!("{transactions} transactions"),
            _ => continue,
        };
        found.push(Finding::new(
            Code::OldSnapshot,
            format!("{who} has held an old snapshot for {since}"),
            REMEDY,
        ));
    }
    for Prepared { name, held_s } in server.prepared.iter().filter(|old| old.held_s > SNAPSHOT_S_MAX) {
        let fact = format!("transaction '{name}' has been prepared for {held_s:.0} s");
        found.push(Finding::new(Code::PreparedTransaction, fact, REMEDY));
    }
}

fn wraparound(server: &ServerFacts) -> Option<Finding> {
    let (oldest, age_max) = (&server.oldest_database, server.settings.autovacuum_freeze_max_age);
    (oldest.age > (age_max * BEHIND).min(AGE_MAX)).then(|| {
        Finding::new(
            Code::Wraparound,
            format!(
                "database \"{}\" has transaction ids of age {}, although vacuum should begin at {age_max} (autovacuum_freeze_max_age)",
                oldest.name, oldest.age
            ),
            "find out what keeps vacuum from freezing, and let it finish first: each batch is one more transaction",
        )
    })
}

fn timeouts(settings: &Settings, found: &mut Vec<Finding>) {
    let forced = [
        ("statement_timeout", Some(settings.statement_timeout)),
        ("idle_in_transaction_session_timeout", Some(settings.idle_in_transaction_session_timeout)),
        ("transaction_timeout", settings.transaction_timeout),
        ("idle_session_timeout", settings.idle_session_timeout),
    ];
    let forced = forced.into_iter().filter_map(|(name, ms)| Some((name, ms.filter(|ms| *ms > 0)?)));
    found.extend(forced.map(|(name, ms)| {
        let remedy = match name {
            "idle_session_timeout" => "a connection that is ended while the run is paused is made again",
            "transaction_timeout" => {
                "nothing to do: each transaction switches it off and keeps limits of its own"
            }
            _ => "nothing to do: each batch sets its own",
        };
        Finding::new(Code::ForcedTimeout, format!("{name} is {ms} ms for this role"), remedy)
    }));
}

fn role(subject: &Subject<'_>, server: &ServerFacts) -> Option<Finding> {
    let user = &subject.server.user;
    if server.superuser {
        return Some(Finding::new(
            Code::Superuser,
            format!("role \"{user}\" is a superuser"),
            "a role that may do no more than this job is safer: pgbackfill plan shows how to make one",
        ));
    }
    (!server.sees_others).then(|| {
        Finding::new(
            Code::BlindStatistics,
            format!("role \"{user}\" does not see others' sessions: old snapshots and the lag of standbys stay hidden"),
            &format!("GRANT pg_read_all_stats TO \"{user}\""),
        )
    })
}

/// The pace is known only where a batch was measured.
fn small_max_wal_size(subject: &Subject<'_>) -> Option<Finding> {
    let estimate = subject.estimate?;
    let between = subject.server.checkpoints.wal_bytes;
    let every_s = between / estimate.wal_bytes_per_s.max(1.0);
    (every_s < CHECKPOINT_S_MIN && estimate.wal_bytes > between).then(|| {
        let mut remedy = "raise max_wal_size, or set a ceiling (max_wal_per_second)".to_owned();
        // Writing to a String cannot fail.
        let _ = write!(remedy, " of {:.0} MiB or less", between / CHECKPOINT_S_MIN / 1_048_576.0);
        Finding::new(
            Code::SmallMaxWalSize,
            format!("at this pace max_wal_size has a checkpoint begin every {every_s:.0} s, and after each of them whole pages are logged again"),
            &remedy,
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::queries::Database;
    use super::*;

    fn settings(transaction_timeout: Option<i64>) -> Settings {
        serde_json::from_value(json!({
            "autovacuum": true, "autovacuum_freeze_max_age": 200_000_000, "autovacuum_vacuum_threshold": 50,
            "autovacuum_vacuum_scale_factor": 0.2, "max_slot_wal_keep_size_mb": -1, "statement_timeout": 0,
            "idle_in_transaction_session_timeout": 0, "transaction_timeout": transaction_timeout,
        }))
        .unwrap()
    }

    fn server(age: i64, snapshots: Vec<Snapshot>) -> ServerFacts {
        ServerFacts {
            superuser: false,
            sees_others: true,
            backend: 1,
            control_schema: false,
            settings: settings(None),
            oldest_database: Database { name: "shop".into(), age },
            snapshots,
            prepared: vec![],
            slots: vec![],
            standbys: vec![],
        }
    }

    #[test]
    fn a_snapshot_of_unknown_time_is_old_by_its_transactions() {
        let held =
            |held_s, transactions| Snapshot { who: "replication slot 's'".into(), held_s, transactions };
        let mut found = Vec::new();
        // A standby has been connected for days and is up to date; a session is young on a busy server.
        snapshots(&server(0, vec![held(None, 10), held(Some(1.0), 1_000_000)]), &mut found);
        assert_eq!(found, []);
        snapshots(&server(0, vec![held(None, 60_000)]), &mut found);
        assert_eq!(found[0].fact, "replication slot 's' has held an old snapshot for 60000 transactions");
    }

    #[test]
    fn ids_are_too_old_when_vacuum_should_have_frozen_them_long_ago() {
        assert_eq!(wraparound(&server(210_000_000, vec![])), None);
        assert!(wraparound(&server(400_000_001, vec![])).is_some());
    }

    #[test]
    fn a_transaction_timeout_is_told_as_one_that_is_overridden() {
        let told = |transaction_timeout| {
            let mut found = Vec::new();
            timeouts(&settings(transaction_timeout), &mut found);
            found.iter().map(|finding| (finding.code, finding.fact.clone())).collect::<Vec<_>>()
        };
        // Before version 17 there is none; 0 is none as well.
        assert_eq!([told(None), told(Some(0))], [vec![], vec![]]);
        let fact = "transaction_timeout is 5000 ms for this role".to_owned();
        assert_eq!(told(Some(5_000)), [(Code::ForcedTimeout.as_str(), fact)]);
    }

    #[test]
    fn a_server_that_lacks_nothing_is_not_called_old() {
        assert_eq!(older_server(140_000), None);
        assert!(older_server(130_023).unwrap().fact.starts_with("PostgreSQL 13 has no"));
    }
}
