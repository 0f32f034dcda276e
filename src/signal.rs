//! Signals: what the guard reads of the server, how much of each is too much, and how it is said.
//!
//! Must not know: how a signal is read, what follows when there is too much of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::human;

/// One thing that the guard reads. The spelling is that of a job file and of the control schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// How far a standby is behind, in milliseconds.
    ReplicaLag,
    /// WAL that a replication slot retains, in bytes.
    SlotWal,
    /// Segments of WAL that wait for the archive.
    ArchiveBacklog,
    /// For how long a vacuum or another maintenance command has been at work on the table, in milliseconds.
    Maintenance,
    /// Dead rows of the table, in percent of all its rows.
    DeadRows,
    /// For how long a session has kept dead rows from being removed, in milliseconds.
    OldSnapshot,
    /// For how long a command that needs the table for itself has been waiting for it, in milliseconds.
    DdlWaiting,
    /// Sessions of others that are running a statement.
    ActiveSessions,
    /// Percent of `max_wal_size` that the server writes a second.
    WalFill,
}

/// What a signal's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Time,
    /// Bytes.
    Bytes,
    /// A plain number.
    Count,
}

/// From where on a signal slows us down, and from where on it stops us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Slower from here on; none: never.
    pub slow: Option<u64>,
    /// Stop from here on; none: never.
    pub stop: Option<u64>,
}

/// One value, as it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Which signal.
    pub signal: Signal,
    /// The run whose table it is about; none: the whole server.
    pub run: Option<i64>,
    /// Whom it is about: a standby, a slot, a session, a table.
    pub subject: String,
    /// How much, in the signal's unit; none: this role may not read it.
    pub value: Option<f64>,
    /// A consumer of changes, and not a standby: it counts where a person lists it.
    #[serde(default)]
    pub logical: bool,
    /// It is this much or more: the leader has not led for so long.
    #[serde(default)]
    pub at_least: bool,
}

impl Reading {
    /// What was read, as the first half of a sentence: `replica r1 is 4.2 s behind`; none: nothing could be.
    #[must_use]
    pub fn said(&self) -> Option<String> {
        let shown = self.signal.shown(self.value?);
        let shown = if self.at_least { format!("at least {shown}") } else { shown };
        Some(self.signal.says(&self.subject, &shown))
    }
}

impl Signal {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 9] = [
        Self::DdlWaiting,
        Self::ReplicaLag,
        Self::SlotWal,
        Self::ArchiveBacklog,
        Self::OldSnapshot,
        Self::DeadRows,
        Self::Maintenance,
        Self::ActiveSessions,
        Self::WalFill,
    ];

    /// The spelling in a job file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReplicaLag => "replica_lag",
            Self::SlotWal => "slot_wal",
            Self::ArchiveBacklog => "archive_backlog",
            Self::Maintenance => "maintenance",
            Self::DeadRows => "dead_rows",
            Self::OldSnapshot => "old_snapshot",
            Self::DdlWaiting => "ddl_waiting",
            Self::ActiveSessions => "active_sessions",
            Self::WalFill => "wal_fill",
        }
    }

    /// What its numbers are.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::ReplicaLag | Self::Maintenance | Self::OldSnapshot | Self::DdlWaiting => Unit::Time,
            Self::SlotWal => Unit::Bytes,
            Self::ArchiveBacklog | Self::DeadRows | Self::ActiveSessions | Self::WalFill => Unit::Count,
        }
    }

    /// The bounds unless others are set.
    #[must_use]
    pub const fn usual(self) -> Bounds {
        let (slow, stop) = match self {
            Self::ReplicaLag => (Some(500), Some(1000)),
            Self::SlotWal => (Some(4 << 30), Some(16 << 30)),
            // 42 segments of 16 MiB are 672 MiB that a full disk would have to hold beside everything else.
            Self::ArchiveBacklog => (Some(21), Some(42)),
            Self::Maintenance => (Some(0), None),
            Self::DeadRows => (Some(50), None),
            Self::OldSnapshot => (Some(5 * 60_000), Some(60 * 60_000)),
            // A session that waits for the table keeps all behind it waiting, too.
            Self::DdlWaiting => (None, Some(0)),
            // How many are many depends on the machine, which the server does not tell.
            Self::ActiveSessions => (None, None),
            // Faster than that, and a checkpoint begins every few seconds.
            Self::WalFill => (Some(10), None),
        };
        Bounds { slow, stop }
    }

    /// True for what lies beyond this server, where an application may read, too.
    #[must_use]
    pub const fn is_beyond(self) -> bool {
        matches!(self, Self::ReplicaLag | Self::SlotWal | Self::ArchiveBacklog)
    }

    /// True where less of our work does not make the signal fall: then we go at half speed instead of ever
    /// slower.
    #[must_use]
    pub const fn is_standing(self) -> bool {
        matches!(self, Self::Maintenance | Self::DeadRows | Self::OldSnapshot)
    }

    /// A value as a person reads it.
    #[must_use]
    pub fn shown(self, value: f64) -> String {
        match self {
            Self::ReplicaLag | Self::Maintenance | Self::OldSnapshot | Self::DdlWaiting => {
                human::elapsed(Duration::from_millis(value.max(0.0) as u64))
            }
            Self::SlotWal => human::bytes(value.max(0.0) as u64),
            Self::DeadRows | Self::WalFill => format!("{value:.0} %"),
            Self::ArchiveBacklog | Self::ActiveSessions => human::count(value.max(0.0) as u64),
        }
    }

    fn says(self, subject: &str, shown: &str) -> String {
        match self {
            Self::ReplicaLag => format!("replica {subject} is {shown} behind"),
            Self::SlotWal => format!("replication slot {subject} retains {shown} of WAL"),
            Self::ArchiveBacklog => format!("{shown} segments of WAL wait for the archive{subject}"),
            Self::DeadRows => format!("{shown} of the rows of {subject} are dead"),
            Self::OldSnapshot => format!("{subject} has kept dead rows from being removed for {shown}"),
            Self::Maintenance | Self::DdlWaiting => format!("{subject} for {shown}"),
            Self::ActiveSessions => format!("{shown} sessions are active"),
            Self::WalFill => format!("the server writes {shown} of max_wal_size a second"),
        }
    }
}

/// What the guard may let pass, and what not. A person may change it while the run is live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guard {
    /// Bounds that a person set; the others are the usual ones.
    pub bounds: BTreeMap<Signal, Bounds>,
    /// The standbys that must be connected, by `application_name`; none: every one that was seen.
    pub standbys: Option<Vec<String>>,
    /// A session that has waited for a batch of ours for so long ends the batch, in milliseconds; none:
    /// never.
    pub blocked_sessions_ms: Option<u32>,
    /// How much longer than without us a short transaction of the application may take, in milliseconds.
    pub added_latency_ms: u32,
    /// Signals that could not be read for so long stop us, in milliseconds.
    pub deadline_ms: u32,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            bounds: BTreeMap::new(),
            standbys: None,
            blocked_sessions_ms: Some(100),
            added_latency_ms: 5,
            deadline_ms: 15_000,
        }
    }
}

impl Guard {
    /// The bounds of a signal.
    #[must_use]
    pub fn bounds(&self, signal: Signal) -> Bounds {
        self.bounds.get(&signal).copied().unwrap_or_else(|| signal.usual())
    }

    /// Whether a person set a bound of the signal, and did not only take one away.
    #[must_use]
    pub fn relies_on(&self, signal: Signal) -> bool {
        let usual = signal.usual();
        let is_set = |bound: Option<u64>, usual| bound.is_some() && bound != usual;
        self.bounds
            .get(&signal)
            .is_some_and(|set| *set == usual || is_set(set.slow, usual.slow) || is_set(set.stop, usual.stop))
    }
}

/// The signals that could not be read, each with what it is about: `replica_lag (r1), old_snapshot (other
/// sessions)`.
#[must_use]
pub fn blind(readings: &[Reading]) -> Option<String> {
    let blind = readings.iter().filter(|reading| reading.value.is_none());
    let all: Vec<_> =
        blind.map(|reading| format!("{} ({})", reading.signal.as_str(), reading.subject)).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(signal: Signal, subject: &str, value: f64) -> Reading {
        let subject = subject.to_owned();
        Reading { signal, run: None, subject, value: Some(value), logical: false, at_least: false }
    }

    #[test]
    fn every_signal_says_what_was_read() {
        let read = [
            (Signal::ReplicaLag, "r1", 4_210.0),
            (Signal::SlotWal, "\"old\"", 5.0 * (1u64 << 30) as f64),
            (Signal::ArchiveBacklog, " (the last attempt failed)", 43.0),
            (Signal::Maintenance, "autovacuum has been at work on orders", 12_000.0),
            (Signal::DeadRows, "orders", 53.4),
            (Signal::OldSnapshot, "session 7 of app", 400_000.0),
            (Signal::DdlWaiting, "session 7 of app has been waiting to lock orders", 0.0),
            (Signal::ActiveSessions, "", 40.0),
            (Signal::WalFill, "", 25.0),
        ];
        let said = read.map(|(signal, subject, value)| reading(signal, subject, value).said().unwrap());
        insta::assert_snapshot!(said.join("\n"), @r#"
        replica r1 is 4.2 s behind
        replication slot "old" retains 5.0 GiB of WAL
        43 segments of WAL wait for the archive (the last attempt failed)
        autovacuum has been at work on orders for 12.0 s
        53 % of the rows of orders are dead
        session 7 of app has kept dead rows from being removed for 6 min 40 s
        session 7 of app has been waiting to lock orders for 0 ms
        40 sessions are active
        the server writes 25 % of max_wal_size a second
        "#);
    }

    #[test]
    fn what_is_known_in_part_is_said_so_and_what_is_unknown_is_not_said() {
        let known = Reading { at_least: true, ..reading(Signal::ReplicaLag, "r1", 4_210.0) };
        insta::assert_snapshot!(known.said().unwrap(), @"replica r1 is at least 4.2 s behind");
        assert_eq!(Reading { value: None, ..known }.said(), None);
    }

    #[test]
    fn a_signal_is_stored_as_it_is_spelled() {
        for signal in Signal::ALL {
            assert_eq!(serde_json::to_value(signal).unwrap(), signal.as_str());
        }
    }

    #[test]
    fn a_bound_that_is_only_taken_away_is_not_relied_on() {
        let usual = Signal::OldSnapshot.usual();
        let relies_on = |slow, stop| {
            let bounds = [(Signal::OldSnapshot, Bounds { slow, stop })].into();
            Guard { bounds, ..Guard::default() }.relies_on(Signal::OldSnapshot)
        };
        assert!(
            relies_on(usual.slow, usual.stop) && relies_on(Some(1), usual.stop) && relies_on(None, Some(1))
        );
        assert!(!relies_on(None, usual.stop) && !relies_on(None, None));
        assert!(!Guard::default().relies_on(Signal::OldSnapshot));
    }

    #[test]
    fn what_is_not_stored_is_usual() {
        let guard: Guard =
            serde_json::from_str(r#"{"bounds": {"replica_lag": {"slow": null, "stop": 5000}}}"#).unwrap();
        assert_eq!(guard.bounds(Signal::ReplicaLag), Bounds { slow: None, stop: Some(5000) });
        assert_eq!(guard.bounds(Signal::SlotWal), Signal::SlotWal.usual());
        assert_eq!(guard.deadline_ms, 15_000);
    }
}
