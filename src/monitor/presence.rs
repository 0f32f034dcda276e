//! Whether sessions of others are at work in the cluster, by what each look at them shows.
//!
//! A session that writes is at work, however slowly it does. One that reads is if it reads again and again,
//! or for long; a monitor or a dashboard that reads every few seconds is not.
//!
//! Must not know: how a look is taken, what follows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::recent::Recent;
use crate::store::OthersSeen;

/// Without a sign of others for so long since the beginning, we are alone.
const AT_FIRST: Duration = Duration::from_millis(250);
/// After a sign of others, we are alone after so long.
const GONE: Duration = Duration::from_secs(5);
/// Statements of readers are counted over so long.
const RECENT: Duration = Duration::from_secs(3);
/// So many of them in that time are an application. A dashboard draws a handful of pictures at once, which a
/// few looks see, and then rests.
const READS: i64 = 6;
/// A statement that runs for so long is an application's, or has to be taken for one.
const LASTING: Duration = Duration::from_millis(500);
/// A look that is older says nothing any more.
const BELIEVED: Duration = Duration::from_secs(2);
/// The load is a mean over so long.
const LOAD_OVER: Duration = Duration::from_secs(10);
/// Fewer looks say nothing about the load.
const LOAD_LOOKS: usize = 15;

/// What is known of others.
#[derive(Clone, Debug)]
pub(super) struct Presence {
    began: Instant,
    looked: Option<Instant>,
    /// When a sign of others was seen last.
    seen: Option<Instant>,
    /// Statements of readers, by the looks that saw them.
    reads: Recent<i64>,
    /// What runs, and since when it was seen to.
    running: BTreeMap<String, Instant>,
    /// How many ran at each of the latest looks.
    load: Recent<usize>,
}

impl Presence {
    /// Nothing is known yet.
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            looked: None,
            seen: None,
            reads: Recent::of(RECENT),
            running: BTreeMap::new(),
            load: Recent::of(LOAD_OVER),
        }
    }

    /// A look has shown this.
    pub(super) fn look(&mut self, others: &OthersSeen, now: Instant) {
        self.looked = Some(now);
        let fresh = others.running.iter().filter(|name| !self.running.contains_key(*name)).count() as i64;
        self.running.retain(|name, _| others.running.contains(name));
        for name in &others.running {
            self.running.entry(name.clone()).or_insert(now);
        }
        self.load.add(others.running.len(), now);
        // Where statements are hidden, a transaction that was not there before is one that has begun.
        let reads = others.changed.max(fresh);
        self.reads.add(reads, now);
        let lasts = self.running.values().any(|since| now.duration_since(*since) >= LASTING);
        // One more, of enough of them: those of the last seconds are no sign of others any more.
        let is_read = reads > 0 && self.reads.iter().sum::<i64>() >= READS;
        if others.is_pooled || others.writing > 0 || others.wrote > 0 || lasts || is_read {
            self.seen = Some(now);
        }
    }

    /// For how long we have been alone; none: we are not, or nothing is known.
    #[must_use]
    pub(super) fn alone_for(&self, now: Instant) -> Option<Duration> {
        self.looked.filter(|at| now.duration_since(*at) <= BELIEVED)?;
        let (since, enough) = self.seen.map_or((self.began, AT_FIRST), |seen| (seen, GONE));
        Some(now.duration_since(since)).filter(|time| *time >= enough)
    }

    /// How many sessions of others have been running a statement lately, on average; none: too few looks.
    #[must_use]
    pub(super) fn load(&self) -> Option<f64> {
        let looks = self.load.len();
        (looks >= LOAD_LOOKS).then(|| self.load.iter().sum::<usize>() as f64 / looks as f64)
    }

    /// Forgets the load: another one begins.
    pub(super) fn forget_load(&mut self) {
        self.load.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(50);

    /// Looks, twenty a second.
    struct Watch {
        presence: Presence,
        now: Instant,
        looks: u32,
    }

    impl Watch {
        fn new() -> Self {
            let now = Instant::now();
            Self { presence: Presence::new(now), now, looks: 0 }
        }

        /// What `shows` says of each look in this time, which is counted in looks.
        fn watch(&mut self, time: Duration, shows: impl Fn(u32) -> OthersSeen) -> bool {
            let end = self.now + time;
            while self.now < end {
                self.now += EVERY;
                self.presence.look(&shows(self.looks), self.now);
                self.looks += 1;
            }
            self.presence.alone_for(self.now).is_some()
        }
    }

    fn nothing(_: u32) -> OthersSeen {
        OthersSeen::default()
    }

    fn changed(changed: i64, wrote: i64) -> OthersSeen {
        OthersSeen { changed, wrote, ..OthersSeen::default() }
    }

    fn running(names: &[&str]) -> OthersSeen {
        let running = names.iter().map(ToString::to_string).collect();
        OthersSeen { running, ..OthersSeen::default() }
    }

    #[test]
    fn at_first_we_are_alone_after_a_quarter_of_a_second() {
        let mut watch = Watch::new();
        assert!(!watch.watch(Duration::from_millis(200), nothing));
        assert!(watch.watch(Duration::from_millis(50), nothing));
    }

    #[test]
    fn others_are_gone_after_five_seconds() {
        let mut watch = Watch::new();
        assert!(!watch.watch(EVERY, |_| changed(1, 1)));
        assert!(!watch.watch(Duration::from_millis(4_900), nothing));
        assert!(watch.watch(Duration::from_millis(100), nothing));
    }

    #[test]
    fn readers_are_gone_as_soon_as_writers() {
        let mut watch = Watch::new();
        assert!(!watch.watch(Duration::from_secs(5), |_| changed(1, 0)));
        assert!(!watch.watch(Duration::from_millis(4_900), nothing));
        assert!(watch.watch(Duration::from_millis(100), nothing));
    }

    #[test]
    fn a_writer_counts_however_slow_it_is() {
        let mut watch = Watch::new();
        // Once in four seconds.
        let alone = (0..200).filter(|_| {
            watch.watch(EVERY, |look| {
                changed(i64::from(look.is_multiple_of(80)), i64::from(look.is_multiple_of(80)))
            })
        });
        assert_eq!(alone.count(), 0);
    }

    #[test]
    fn a_dashboard_that_reads_every_five_seconds_does_not_count() {
        let mut watch = Watch::new();
        watch.watch(Duration::from_secs(1), nothing);
        // Ten queries in a tenth of a second.
        let dashboard = |look: u32| changed(if look % 100 < 2 { 2 } else { 0 }, 0);
        let alone = (0..400).filter(|_| watch.watch(EVERY, dashboard)).count();
        assert_eq!(alone, 400);
    }

    #[test]
    fn an_application_that_only_reads_counts_within_a_second() {
        let mut watch = Watch::new();
        watch.watch(Duration::from_secs(1), nothing);
        assert!(
            !watch.watch(Duration::from_millis(600), |look| changed(i64::from(look.is_multiple_of(2)), 0))
        );
    }

    #[test]
    fn a_long_statement_counts_for_as_long_as_it_runs() {
        let mut watch = Watch::new();
        assert!(watch.watch(Duration::from_millis(450), |_| running(&["1/x"])));
        assert!(!watch.watch(Duration::from_secs(10), |_| running(&["1/x"])));
    }

    #[test]
    fn where_statements_are_hidden_new_transactions_are_counted() {
        let mut watch = Watch::new();
        watch.watch(Duration::from_secs(1), nothing);
        let names: Vec<String> = (0..1000).map(|n| format!("3/{n}")).collect();
        // One look in five meets a transaction.
        let meets = |look: u32| {
            let met = look.is_multiple_of(5).then(|| names[look as usize].as_str());
            running(&met.into_iter().collect::<Vec<_>>())
        };
        assert!(!watch.watch(Duration::from_millis(1_500), meets));
    }

    #[test]
    fn behind_a_pooler_it_cannot_be_told_who_is_there() {
        let mut watch = Watch::new();
        let pooled = |_| OthersSeen { is_pooled: true, ..OthersSeen::default() };
        assert!(!watch.watch(Duration::from_secs(20), pooled));
    }

    #[test]
    fn looks_that_do_not_come_any_more_say_nothing() {
        let mut watch = Watch::new();
        watch.watch(Duration::from_secs(1), nothing);
        assert_eq!(watch.presence.alone_for(watch.now + Duration::from_secs(3)), None);
    }

    #[test]
    fn the_load_is_the_mean_of_what_runs() {
        let mut watch = Watch::new();
        assert_eq!(watch.presence.load(), None);
        watch.watch(Duration::from_secs(10), |look| {
            if look.is_multiple_of(2) { running(&["1/x", "2/y"]) } else { nothing(look) }
        });
        assert!((watch.presence.load().unwrap() - 1.0).abs() < 0.1);
    }
}
