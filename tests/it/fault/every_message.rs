//! Every message between engine and server, in both directions, meets every fault of the wire once, and every request an error of
//! every class: every row is changed once all the same. This visits every moment at which a COMMIT can be lost, and its answer.
//!
//! A clean run tells which messages there are: one worker, three batches (the first, a middle one, the last), its heartbeat, and all
//! that comes before and after. `make test` tries a share of all that with a seed, `make torture` all of it, again and again.
//!
//! Must not know: how the proxy injects.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pgbackfill::db::{ConnectParams, Pool};
use pgbackfill::engine::{self, Options, Stop};
use pgbackfill::event::Outcome;
use pgbackfill::run::{Move, RunState};
use pgbackfill::sandbox::Server;
use pgbackfill::store::{self, Turn};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time;

use super::proxy::{Fault, Proxy, Seen, Spot, Way};
use crate::engine::{job, options};
use crate::support::oracle::{assert_nothing_left, assert_once, assert_tiled};
use crate::support::{Database, Dice, counted_table, database_on, own_server_for, storm};

const ROWS: i64 = 24;
/// Three batches, always.
const JOB: &str = "table = 't'\nset.n = 'n + 1'\norder.stripes = 1\npace.max_rows_per_batch = 8\npace.min_rows_per_batch = 8\n";
/// Nearly all of them wait nearly all of the time.
const LANES: usize = 24;
const TORTURE_LANES: usize = 96;
/// Each lane has those of the engine, the oracle's, and some that a fault has left behind.
const CONNECTIONS: u32 = 600;
/// Of each fault, in `make test`.
const SHARE: usize = 24;
/// A fault costs at most a deadline and a few pauses; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// Processes that may come to one run: the one that met the fault while it entered, and the next.
const PROCESSES: u32 = 3;

/// One or two of each class that the engine tells apart; and no connection left, a server that is starting.
const ERRORS: [&str; 12] = [
    "40001", "40P01", "55P03", "57014", "53200", "22012", "23505", "53100", "42501", "57P01", "53300",
    "57P03",
];

/// How long `make torture` goes on, in seconds.
const TORTURE: &str = "PGBACKFILL_TORTURE_SECONDS";

type Case = (Spot, Fault);

/// A database that is used for one case after the other.
struct Lane {
    db: Database,
}

impl Lane {
    async fn on(server: &Server) -> Self {
        let lane = Self { db: database_on(server).await };
        counted_table(&lane.db, ROWS).await;
        // From here on the control schema is there, so that each case meets the same messages.
        lane.past(server, None).await;
        lane
    }

    /// As it was before the first case.
    async fn reset(&self) {
        let sql = "TRUNCATE pgbackfill.run RESTART IDENTITY CASCADE; UPDATE t SET n = 0;
                   UPDATE pgbackfill.guard SET leader = NULL, leader_until = NULL";
        self.db.client().await.batch_execute(sql).await.unwrap();
    }

    /// The messages of a run that nothing befalls.
    async fn seen(&self, server: &Server) -> Vec<Seen> {
        self.reset().await;
        self.past(server, None).await.seen()
    }

    /// Whether the fault met its message; what must hold in the end holds in any case.
    async fn case(&self, server: &Server, case: Case) -> bool {
        let proxy = self.past(server, Some(case)).await;
        let fired = proxy.fired();
        // With it go connections that the fault has hidden from one side.
        drop(proxy);
        let client = self.db.client().await;
        assert_once(&client, "t", ROWS).await;
        assert_tiled(&client, ROWS).await;
        assert_nothing_left(&self.db).await;
        fired
    }

    /// Runs the job to its end, past the fault.
    async fn past(&self, server: &Server, case: Option<Case>) -> Proxy {
        let proxy = Proxy::before(([127, 0, 0, 1], server.port()).into(), case).await;
        let url =
            format!("postgresql://postgres@127.0.0.1:{}/{}?sslmode=disable", proxy.port(), self.db.name);
        let complete = async {
            let mut errors = Vec::new();
            for _ in 0..PROCESSES {
                match process(&url).await {
                    Ok(()) => return,
                    Err(error) => errors.push(error),
                }
                self.resume(server).await;
            }
            panic!("after {PROCESSES} processes it is not complete: {errors:?}");
        };
        time::timeout(PATIENCE, complete).await.unwrap_or_else(|_| panic!("it hangs"));
        proxy
    }

    /// What a person does with a run that is blocked.
    async fn resume(&self, server: &Server) {
        let params = ConnectParams::resolve(&server.connection_string(&self.db.name), &|_| None).unwrap();
        let mut session = Pool::new(&params, 1).unwrap().session().await.unwrap();
        let run = store::latest(&session, job(JOB).name.as_str()).await.unwrap();
        if let Some(run) = run.filter(|run| run.state == RunState::Blocked) {
            let turn = Turn::State(Move::Resume);
            store::request(&mut session, run.id, &turn, None, "somebody").await.unwrap();
        }
    }
}

/// One process at the run; an error if the fault kept it from entering, drove it away, or blocked the run.
async fn process(url: &str) -> Result<(), String> {
    let params = ConnectParams::resolve(url, &|_| None).unwrap();
    let pool = Pool::new(&params, 3).unwrap();
    let (events, _nobody) = mpsc::unbounded_channel();
    let (_keep, stop) = watch::channel(Stop::NotYet);
    let options = Options { workers: NonZeroU32::new(1), ..options() };
    let summary = engine::run(&pool, &job(JOB), &options, &events, stop).await;
    let summary = summary.map_err(|error| error.to_string())?;
    match summary.outcome {
        // An earlier process may have completed the run and not have heard of it.
        Outcome::Complete | Outcome::AlreadyComplete => Ok(()),
        Outcome::Blocked => Err(format!("blocked: {:?}", summary.reason)),
        other => panic!("{other:?} {:?}", summary.reason),
    }
}

/// Those of the batches: from each BEGIN with a batch's settings to the end of the answer to its COMMIT.
fn of_batches(seen: &[Seen]) -> Vec<Spot> {
    let Some(worker) = seen.iter().find(|seen| is_batch_begin(seen)).map(|seen| seen.spot.connection) else {
        return vec![];
    };
    let of =
        |way: Way| seen.iter().filter(move |seen| seen.spot.connection == worker && seen.spot.way == way);
    let mut spots = Vec::new();
    // Each Query and each Sync is answered with one ReadyForQuery, so counting both tells which answers belong to which batch.
    let (mut asked, mut inside, mut answers) = (0, false, Vec::new());
    for seen in of(Way::ToServer) {
        inside |= is_batch_begin(seen);
        spots.extend(inside.then_some(seen.spot));
        if matches!(seen.tag, 'Q' | 'S') {
            answers.extend(inside.then_some(asked));
            asked += 1;
        }
        inside &= !(seen.tag == 'Q' && seen.head.starts_with("COMMIT"));
    }
    let mut answered = 0;
    for seen in of(Way::ToClient).skip_while(|seen| seen.tag != 'Z').skip(1) {
        spots.extend(answers.contains(&answered).then_some(seen.spot));
        answered += usize::from(seen.tag == 'Z');
    }
    spots
}

/// All but the guard's canaries behind the first: how many of them there are is a matter of time.
fn of_all(seen: &[Seen]) -> Vec<Spot> {
    let is_canary =
        |seen: &Seen| seen.tag == 'Q' && seen.head.starts_with("SELECT set_config('statement_timeout'");
    let Some(first) = seen.iter().find(|seen| is_canary(seen)).map(|seen| seen.spot) else {
        return seen.iter().map(|seen| seen.spot).collect();
    };
    let (mut asked, mut answered) = (0, 0);
    let mut spots = Vec::new();
    for Seen { spot, tag, .. } in seen {
        if spot.connection != first.connection {
            spots.push(*spot);
        } else if spot.way == Way::ToServer && spot.message <= first.message {
            asked += usize::from(matches!(tag, 'Q' | 'S'));
            spots.push(*spot);
        } else if spot.way == Way::ToClient && answered <= asked {
            // One of the answers is that to the start of the connection.
            answered += usize::from(*tag == 'Z');
            spots.push(*spot);
        }
    }
    spots
}

/// Where a server can refuse with this code: connections begin with what it may say then, and a ROLLBACK never fails.
fn refusals(spots: &[Spot], seen: &[Seen], code: &str) -> Vec<Spot> {
    let at_the_door = ["53300", "57P03"].contains(&code);
    let is_fit = |seen: &&Seen| match seen.tag {
        '-' => at_the_door,
        'Q' => !at_the_door && !seen.head.starts_with("ROLLBACK"),
        'P' => !at_the_door && seen.spot.way == Way::ToServer,
        _ => false,
    };
    seen.iter().filter(is_fit).map(|seen| seen.spot).filter(|spot| spots.contains(spot)).collect()
}

fn is_batch_begin(seen: &Seen) -> bool {
    seen.tag == 'Q' && seen.head.starts_with("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT set_config")
}

/// What came of the cases of one fault.
#[derive(Default)]
struct Tally {
    met: u32,
    /// Its message did not come: what is last depends on who of worker and heartbeat is first.
    missed: u32,
    longest: Duration,
    violations: Vec<String>,
}

/// All cases, taken by whichever lane is free.
struct Course {
    server: Server,
    cases: Mutex<Vec<Case>>,
    tallies: Mutex<BTreeMap<Fault, Tally>>,
}

impl Course {
    fn tally(&self, fault: Fault, note: impl FnOnce(&mut Tally)) {
        note(self.tallies.lock().unwrap().entry(fault).or_default());
    }

    async fn lane(self: Arc<Self>) {
        let mut lane = Arc::new(Lane::on(&self.server).await);
        loop {
            let Some(case) = self.cases.lock().unwrap().pop() else { return };
            lane.reset().await;
            let (course, on, began) = (self.clone(), lane.clone(), Instant::now());
            // A task of its own, so that what the oracle says of one case does not end the others.
            let outcome = tokio::spawn(async move { on.case(&course.server, case).await }).await;
            let took = began.elapsed();
            match outcome {
                Ok(met) => self.tally(case.1, |tally| {
                    tally.met += u32::from(met);
                    tally.missed += u32::from(!met);
                    tally.longest = tally.longest.max(took);
                }),
                Err(error) => {
                    let said = panic_text(error);
                    self.tally(case.1, |tally| tally.violations.push(format!("{case:?}: {said}")));
                    lane = Arc::new(Lane::on(&self.server).await);
                }
            }
        }
    }

    /// Runs these cases, all lanes at once.
    async fn run(self: &Arc<Self>, cases: Vec<Case>, lanes: usize) {
        *self.cases.lock().unwrap() = cases;
        let mut at_work = JoinSet::new();
        for _ in 0..lanes {
            at_work.spawn(self.clone().lane());
        }
        while let Some(ended) = at_work.join_next().await {
            ended.unwrap();
        }
    }

    fn report(&self) -> String {
        let tallies = self.tallies.lock().unwrap();
        let mut text =
            format!("{:<16}{:>8}{:>8}{:>12}{:>14}\n", "fault", "met", "missed", "violations", "longest");
        let mut all = 0;
        for (fault, tally) in tallies.iter() {
            let (name, violations) = (fault.to_string(), tally.violations.len());
            let longest = tally.longest.as_secs_f64();
            writeln!(text, "{name:<16}{:>8}{:>8}{violations:>12}{longest:>12.1} s", tally.met, tally.missed)
                .unwrap();
            all += tally.met + violations as u32;
        }
        let bound = 100.0 * 3.0 / f64::from(all.max(1));
        writeln!(text, "{all} faults; were none to fail, less than {bound:.3} % would, with 95 % confidence")
            .unwrap();
        for violation in tallies.values().flat_map(|tally| &tally.violations) {
            writeln!(text, "VIOLATION {violation}").unwrap();
        }
        text
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

fn shuffled(mut cases: Vec<Case>, dice: &mut Dice) -> Vec<Case> {
    for at in (1..cases.len()).rev() {
        cases.swap(at, dice.index(at + 1));
    }
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_befalls_a_message_every_row_is_changed_once() {
    let _storm = storm().await;
    let torture = env::var(TORTURE).ok().map(|time| Duration::from_secs(time.parse().unwrap()));
    let (began, mut dice) = (Instant::now(), Dice::new());
    let server = own_server_for(CONNECTIONS);
    let seen = Lane::on(&server).await.seen(&server).await;
    let (all, batches) = (of_all(&seen), of_batches(&seen));
    println!("{} messages, {} of them in batches", all.len(), batches.len());
    assert_eq!(seen.iter().filter(|seen| is_batch_begin(seen)).count(), 3, "it was to be three batches");
    let course = Arc::new(Course { server, cases: Mutex::default(), tallies: Mutex::default() });
    loop {
        let mut cases = Vec::new();
        for fault in Fault::OF_THE_WIRE.into_iter().chain(ERRORS.map(Fault::Refuse)) {
            let spots = match fault {
                // Outside of batches an answer may take a minute, and so does it to notice that there is none.
                Fault::Swallow if torture.is_none() => batches.clone(),
                // A full disk is looked at again after a minute.
                Fault::Refuse("53100") if torture.is_none() => continue,
                Fault::Refuse(code) => refusals(&all, &seen, code),
                _ => all.clone(),
            };
            let of_fault = shuffled(spots.iter().map(|spot| (*spot, fault)).collect(), &mut dice);
            cases.extend(of_fault.into_iter().take(if torture.is_some() { usize::MAX } else { SHARE }));
        }
        course.run(shuffled(cases, &mut dice), if torture.is_some() { TORTURE_LANES } else { LANES }).await;
        if torture.is_none_or(|time| began.elapsed() >= time) {
            break;
        }
    }
    let report = course.report();
    println!("{report}");
    let tallies = course.tallies.lock().unwrap();
    assert!(tallies.values().all(|tally| tally.violations.is_empty()), "{report}");
    assert!(tallies.values().all(|tally| tally.met > 4 * tally.missed), "too few were met:\n{report}");
}
