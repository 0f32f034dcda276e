//! Cases one after the other, many at once, and what came of each kind of them.
//!
//! Must not know: what is done in a case.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use pgbackfill::sandbox::Server;
use tokio::task::JoinSet;

use super::every_await::{self, Mishap};
use super::proxy::{Fault, Spot};
use super::test_bed::TestBed;
use super::work::Work;

/// Something befalls a piece of work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) work: Work,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A fault at a message.
    Message(Spot, Fault),
    /// A fault at a message that there is because of another fault.
    After((Spot, Fault), Spot, Fault),
    /// A mishap of a process, at the moment of this number.
    Await(Mishap, usize),
}

impl Case {
    fn kind(&self) -> String {
        let what = match self.what {
            What::Message(_, fault) => fault.to_string(),
            What::After(_, _, fault) => format!("{fault} after another"),
            What::Await(mishap, _) => mishap.to_string(),
        };
        match self.work {
            Work::Run => what,
            Work::ByBlock | Work::Rich | Work::Retry => format!("{what}, in {}", self.work),
        }
    }

    /// Whether it came to it.
    async fn play(self, bed: &TestBed) -> bool {
        match self.what {
            What::Message(spot, fault) => bed.at_messages(&[(spot, fault)]).await,
            What::After(first, spot, fault) => bed.at_messages(&[first, (spot, fault)]).await,
            What::Await(mishap, at) => every_await::inject(bed, mishap, at).await,
        }
    }
}

/// What came of the cases of one kind.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) met: u32,
    /// Its moment did not come: how many messages there are, and who of worker and heartbeat is first, is a
    /// matter of time.
    pub(super) missed: u32,
    longest: Duration,
    pub(super) violations: Vec<String>,
}

impl Tally {
    fn all(&self) -> u32 {
        self.met + self.violations.len() as u32
    }
}

/// Faults, for whoever watches hours of it.
const TOLD_EVERY: u32 = 1000;

/// All cases, taken by whichever bed is free.
pub(super) struct Schedule {
    servers: Vec<Server>,
    cases: Mutex<Vec<Case>>,
    tallies: Mutex<BTreeMap<String, Tally>>,
}

impl Schedule {
    pub(super) fn on(servers: Vec<Server>) -> Arc<Self> {
        Arc::new(Self { servers, cases: Mutex::default(), tallies: Mutex::default() })
    }

    fn tally(&self, kind: String, note: impl FnOnce(&mut Tally)) {
        let mut tallies = self.tallies.lock().unwrap();
        note(tallies.entry(kind).or_default());
        let all: u32 = tallies.values().map(Tally::all).sum();
        if all > 0 && all.is_multiple_of(TOLD_EVERY) {
            println!("{all} faults");
        }
    }

    fn next(&self, until: Option<Instant>) -> Option<Case> {
        if until.is_some_and(|until| Instant::now() >= until) {
            None
        } else {
            self.cases.lock().unwrap().pop()
        }
    }

    async fn bed(self: Arc<Self>, number: usize, until: Option<Instant>) {
        let server = &self.servers[number % self.servers.len()];
        let mut beds: BTreeMap<Work, Arc<TestBed>> = BTreeMap::new();
        while let Some(case) = self.next(until) {
            let bed = match beds.get(&case.work) {
                Some(bed) => bed.clone(),
                None => Arc::new(TestBed::on(server, case.work).await),
            };
            beds.insert(case.work, bed.clone());
            bed.reset().await;
            let began = Instant::now();
            // A task of its own, so that what the oracle says of one case does not end the others.
            let outcome = tokio::spawn(async move { case.play(&bed).await }).await;
            let took = began.elapsed();
            match outcome {
                Ok(met) => self.tally(case.kind(), |tally| {
                    tally.met += u32::from(met);
                    tally.missed += u32::from(!met);
                    tally.longest = tally.longest.max(took);
                }),
                Err(error) => {
                    let said = panic_text(error);
                    // At once, and not only at the end of hours.
                    println!("VIOLATION {case:?}: {said}");
                    self.tally(case.kind(), |tally| tally.violations.push(format!("{case:?}: {said}")));
                    // Whatever it has left.
                    beds.remove(&case.work);
                }
            }
        }
    }

    /// Runs these cases in any order, so many at once, as many as begin before that time.
    pub(super) async fn run(
        self: &Arc<Self>,
        mut cases: Vec<Case>,
        beds: usize,
        until: Option<Instant>,
        rng: &mut Rng,
    ) {
        rng.shuffle(&mut cases);
        *self.cases.lock().unwrap() = cases;
        let mut at_work = JoinSet::new();
        for number in 0..beds {
            at_work.spawn(self.clone().bed(number, until));
        }
        while let Some(ended) = at_work.join_next().await {
            ended.unwrap();
        }
    }

    /// A table; and whether nothing was violated.
    pub(super) fn report(&self) -> (String, bool) {
        let tallies = self.tallies.lock().unwrap();
        let mut text =
            format!("{:<36}{:>8}{:>8}{:>12}{:>14}\n", "fault", "met", "missed", "violations", "longest");
        let mut all = 0;
        for (kind, tally) in tallies.iter() {
            let violations = tally.violations.len();
            let longest = tally.longest.as_secs_f64();
            writeln!(text, "{kind:<36}{:>8}{:>8}{violations:>12}{longest:>12.1} s", tally.met, tally.missed)
                .unwrap();
            all += tally.all();
        }
        let bound = 100.0 * 3.0 / f64::from(all.max(1));
        writeln!(text, "{all} faults; were none to fail, less than {bound:.3} % would, with 95 % confidence")
            .unwrap();
        for violation in tallies.values().flat_map(|tally| &tally.violations) {
            writeln!(text, "VIOLATION {violation}").unwrap();
        }
        (text, tallies.values().all(|tally| tally.violations.is_empty()))
    }

    /// Whether nine in ten of all moments came, and some of each kind of which several were awaited.
    pub(super) fn is_thorough(&self) -> bool {
        let tallies = self.tallies.lock().unwrap();
        let sum = |count: fn(&Tally) -> u32| tallies.values().map(count).sum::<u32>();
        tallies.values().all(|tally| tally.met > 0 || tally.missed < 3)
            && sum(|tally| tally.met) > 9 * sum(|tally| tally.missed)
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(other) => {
                other.downcast_ref::<&str>().map_or_else(|| "a panic".into(), |text| (*text).into())
            }
        },
        Err(error) => error.to_string(),
    }
}
