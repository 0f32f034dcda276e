//! Which standbys should be connected and are not: by name, because that is what stays when one comes back.
//!
//! Must not know: how far behind they are, what follows if one is missing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::human;
use crate::signal::{Reading, Signal};

/// A standby may be gone for so long, to restart for example.
const GONE: Duration = Duration::from_secs(15);
/// A further connection of a name counts once it has lasted for so long: one that broke stays in the server,
/// beside the one that replaces it, until `wal_sender_timeout` ends it, which is a minute unless it is set.
const SETTLED: Duration = Duration::from_secs(90);

/// The first, second, … connection of a name.
#[derive(Clone, Copy, Debug)]
struct Connection {
    /// Without a break.
    since: Instant,
    last: Instant,
    /// Whether it is missed from now on.
    settled: bool,
}

/// The connections of a name.
#[derive(Clone, Debug, Default)]
struct Standby {
    /// It was seen how far behind it was, so it is not a backup or a consumer of changes.
    is_standby: bool,
    connections: Vec<Connection>,
}

/// Which standbys were there, and when.
#[derive(Clone, Debug, Default)]
pub(super) struct Standbys {
    seen: BTreeMap<String, Standby>,
    /// The first and the last readings: no standby is known to be gone for longer than it was looked.
    read: Option<(Instant, Instant)>,
}

impl Standbys {
    /// Remembers which are there.
    pub(super) fn take(&mut self, readings: &[Reading], now: Instant) {
        let before = self.read.map(|(_, last)| last);
        self.read = Some((self.read.map_or(now, |(first, _)| first), now));
        let mut there: BTreeMap<&str, usize> = BTreeMap::new();
        for reading in readings.iter().filter(|reading| reading.signal == Signal::ReplicaLag) {
            *there.entry(&reading.subject).or_default() += 1;
            let standby = self.seen.entry(reading.subject.clone()).or_default();
            standby.is_standby |= reading.value.is_some() && !reading.logical;
        }
        for (name, count) in there {
            self.seen.entry(name.to_owned()).or_default().take(count, before, now);
        }
    }

    /// What is missing, in words: of those that are listed, or else of every standby that was seen.
    pub(super) fn missing(&self, listed: Option<&[String]>) -> Vec<String> {
        let Some((first, last)) = self.read else { return Vec::new() };
        let missed = |(name, wanted): (&str, usize)| {
            let standby = self.seen.get(name);
            let connection = |nth: usize| standby.and_then(|standby| standby.connections.get(nth));
            let gone = last.duration_since(connection(wanted.checked_sub(1)?).map_or(first, |one| one.last));
            let here = (0..wanted).filter(|nth| connection(*nth).is_some_and(|one| one.last == last)).count();
            (gone > GONE).then(|| sentence(name, here, wanted, gone))
        };
        self.wanted(listed).into_iter().filter_map(missed).collect()
    }

    /// Whether one that should be connected was not there at the last reading.
    pub(super) fn is_one_away(&self, listed: Option<&[String]>) -> bool {
        let last = self.read.map(|(_, last)| last);
        let here = |name, nth: usize| self.seen.get(name).and_then(|standby| standby.connections.get(nth));
        self.wanted(listed)
            .into_iter()
            .any(|(name, wanted)| (0..wanted).any(|nth| here(name, nth).map(|one| one.last) != last))
    }

    /// How many connections each name should have.
    fn wanted<'a>(&'a self, listed: Option<&'a [String]>) -> BTreeMap<&'a str, usize> {
        let Some(listed) = listed else {
            let standbys = self.seen.iter().filter(|(_, standby)| standby.is_standby);
            return standbys.map(|(name, standby)| (name.as_str(), standby.settled())).collect();
        };
        let mut wanted = BTreeMap::new();
        for name in listed {
            *wanted.entry(name.as_str()).or_default() += 1;
        }
        wanted
    }
}

impl Standby {
    fn take(&mut self, count: usize, before: Option<Instant>, now: Instant) {
        for nth in 0..count {
            match self.connections.get_mut(nth) {
                Some(one) => {
                    if Some(one.last) != before {
                        one.since = now;
                    }
                    one.last = now;
                    one.settled |= now.duration_since(one.since) >= SETTLED;
                }
                None => self.connections.push(Connection { since: now, last: now, settled: nth == 0 }),
            }
        }
    }

    fn settled(&self) -> usize {
        self.connections.iter().filter(|one| one.settled).count()
    }
}

fn sentence(name: &str, here: usize, wanted: usize, gone: Duration) -> String {
    let gone = human::duration(gone);
    match wanted {
        1 => format!(
            "replica {name} has not been connected for {gone}; if it is gone for good, set standbys to those that are left"
        ),
        _ => format!(
            "only {here} of {wanted} connections of replica {name} have been there for {gone}; if the other is gone for good, set standbys to those that are left"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Standbys, a clock, and what is read each second.
    struct Minute {
        standbys: Standbys,
        now: Instant,
    }

    impl Minute {
        fn new() -> Self {
            Self { standbys: Standbys::default(), now: Instant::now() }
        }

        fn read(&mut self, seconds: u64, readings: &[Reading]) -> Vec<String> {
            for _ in 0..seconds {
                self.now += Duration::from_secs(1);
                self.standbys.take(readings, self.now);
            }
            self.standbys.missing(None)
        }
    }

    fn connected(name: &str) -> Reading {
        let subject = name.to_owned();
        Reading {
            signal: Signal::ReplicaLag,
            run: None,
            subject,
            value: Some(0.0),
            logical: false,
            at_least: false,
        }
    }

    #[test]
    fn a_connection_whose_lag_was_never_seen_is_not_missed() {
        let mut minute = Minute::new();
        let backup = Reading { value: None, ..connected("pg_basebackup") };
        let consumer = Reading { logical: true, ..connected("debezium") };
        minute.read(5, &[backup, consumer]);
        assert_eq!(minute.read(60, &[]), Vec::<String>::new());
        let listed = ["debezium".to_owned()];
        assert_eq!(minute.standbys.missing(Some(&listed)).len(), 1);
    }

    #[test]
    fn a_standby_whose_lag_cannot_be_read_for_a_while_is_still_connected() {
        let mut minute = Minute::new();
        minute.read(1, &[connected("r1")]);
        assert_eq!(minute.read(60, &[Reading { value: None, ..connected("r1") }]), Vec::<String>::new());
    }

    #[test]
    fn one_of_two_standbys_of_a_name_is_missed() {
        let mut minute = Minute::new();
        let both = [connected("walreceiver"), connected("walreceiver")];
        minute.read(91, &both);
        assert_eq!(minute.read(15, &both[..1]), Vec::<String>::new());
        insta::assert_snapshot!(minute.read(1, &both[..1]).join(""), @"only 1 of 2 connections of replica walreceiver have been there for 16 s; if the other is gone for good, set standbys to those that are left");
        let left = ["walreceiver".to_owned()];
        assert_eq!(minute.standbys.missing(Some(&left)), Vec::<String>::new());
        assert_eq!(minute.standbys.missing(Some(&[left[0].clone(), left[0].clone()])).len(), 1);
        assert_eq!(minute.read(1, &both), Vec::<String>::new());
    }

    #[test]
    fn a_broken_connection_that_lingers_beside_its_successor_is_not_missed() {
        let mut minute = Minute::new();
        let both = [connected("r1"), connected("r1")];
        minute.read(30, &both[..1]);
        minute.read(60, &both);
        assert_eq!(minute.read(60, &both[..1]), Vec::<String>::new());
        // Nor do two such minutes add up.
        minute.read(60, &both);
        assert_eq!(minute.read(60, &both[..1]), Vec::<String>::new());
    }

    #[test]
    fn while_nothing_is_read_no_standby_is_gone_for_longer() {
        let mut minute = Minute::new();
        minute.read(1, &[connected("r1")]);
        minute.read(10, &[]);
        minute.now += Duration::from_secs(600);
        assert_eq!(minute.standbys.missing(None), Vec::<String>::new());
    }
}
