//! Every message between engine and server meets every fault of the wire, every request an error of every
//! class, every await of the engine a signal, every request a panic; and `retry` all that can befall its
//! messages: every row is changed once all the same.
//!
//! `make test` tries a share of all that with a seed, `make torture` all of it, again and again.
//!
//! Must not know: how a fault is made.

use std::time::Instant;

use fastrand::Rng;

use super::every_await::{self, Mishap};
use super::every_message::{self, is_batch_begin, losses, of_all, of_batches};
use super::proxy::{Fault, Seen};
use super::schedule::{Case, Schedule, What};
use super::test_bed::TestBed;
use super::work::Work;
use crate::support::{machine, own_server_for, random};

/// Nearly all of them wait nearly all of the time.
const BEDS: usize = 24;
const TORTURE_BEDS: usize = 96;
/// Whoever looks at the sessions of a server, as each guard does, looks at those of all its beds.
const TORTURE_SERVERS: usize = 4;
/// Of a server: each bed has those of the engine, the oracle's, and some that a fault has left behind.
const CONNECTIONS: u32 = 200;
/// Of each fault in a plain run, in `make test`; and of all other kinds.
const SHARE: usize = 10;
const SHARE_OF_OTHERS: usize = 3;
/// Few of the requests are made by the tasks beside the workers.
const SHARE_OF_PANICS: usize = 24;

/// Of the many and long cases of the rich run one in so many comes before all others are tried again.
const PART_OF_RICH: usize = 10;

/// Of `make torture`.
const PERCENT: u32 = 80;

/// More often than the patience of the job lasts.
#[tokio::test(flavor = "multi_thread")]
async fn connections_lost_in_one_batch_after_the_other_do_not_add_up() {
    let server = own_server_for(20);
    let bed = TestBed::on(&server, Work::Run).await;
    let (mut seen, mut losses) = (bed.seen().await, Vec::new());
    for _ in 0..2 {
        // The second batch of the last connection: the first one has shown that all is well.
        let begins: Vec<_> = seen.iter().filter(|seen| is_batch_begin(seen)).map(|seen| seen.spot).collect();
        let last = begins.iter().map(|spot| spot.connection).max();
        let mut of_last = begins.into_iter().filter(|spot| Some(spot.connection) == last);
        losses.push((of_last.nth(1).expect("it has two"), Fault::Reset));
        seen = bed.seen_past(&losses).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_at_whatever_moment_every_row_is_changed_once() {
    let _machine = machine::loaded().await;
    let (until, mut rng) = (machine::torture(PERCENT).map(|time| Instant::now() + time), random::seeded());
    let in_full = until.is_some();
    let servers: Vec<_> =
        (0..if in_full { TORTURE_SERVERS } else { 1 }).map(|_| own_server_for(CONNECTIONS)).collect();
    let mut kinds = Vec::new();
    for work in Work::ALL {
        let bed = TestBed::on(&servers[0], work).await;
        kinds.extend(kinds_of(work, &bed, in_full).await);
    }
    let schedule = Schedule::on(servers);
    loop {
        let cases = kinds.iter().flat_map(|kind| part(kind, in_full, &mut rng)).collect();
        schedule.run(cases, if in_full { TORTURE_BEDS } else { BEDS }, until, &mut rng).await;
        if until.is_none_or(|until| Instant::now() >= until) {
            break;
        }
    }
    let (report, exact) = schedule.report();
    println!("{report}");
    assert!(exact, "{report}");
    assert!(schedule.is_thorough(), "too few were met:\n{report}");
}

/// All cases of this work, kind by kind.
async fn kinds_of(work: Work, bed: &TestBed, in_full: bool) -> Vec<Vec<Case>> {
    let (seen, moments) = (bed.seen().await, every_await::count(bed).await);
    println!(
        "{work}: {} messages, {} of them in batches; {moments:?}",
        of_all(&seen).len(),
        of_batches(&seen).len()
    );
    assert_visits(work, &seen);
    let mut kinds = every_message::cases(work, &seen, in_full);
    kinds.extend(every_await::cases(work, moments));
    if work == Work::Rich {
        if !in_full {
            // Two short moments of many.
            kinds.extend(every_message::around(QUARANTINE, &seen, &kinds));
        }
        for loss in losses(&seen) {
            let seen = bed.seen_past(&[loss]).await;
            let new = |seen: &&Seen| seen.spot.connection > loss.0.connection;
            assert!(seen.iter().filter(new).any(|seen| seen.asks(CLAIM)), "nobody claims the range again");
            kinds.extend(every_message::cases_after(work, loss, &seen, in_full));
        }
    }
    kinds
}

/// The beginning of the pass that proves that no row was missed.
const PROOF: &str = "-- name: proof_lock\n";
/// The beginnings of a claim, the plan of a range, a row of the quarantine, and what becomes of it in the
/// end.
const CLAIM: &str = "-- name: range_claim\n";
const PLAN: &str = "-- name: leaf_next\n";
const QUARANTINE: &str = "-- name: bad_row_insert\n";
const SETTLED: &str = "-- name: bad_row_settle\n";

/// What a piece of work is there for is among its messages.
fn assert_visits(work: Work, seen: &[Seen]) {
    let times = |text| seen.iter().filter(|seen| seen.asks(text)).count();
    match work {
        Work::Run => {
            let batches = seen.iter().filter(|seen| is_batch_begin(seen)).count();
            assert_eq!(batches, 3, "it was to be three batches");
        }
        Work::ByBlock => {
            let batches = seen.iter().filter(|seen| is_batch_begin(seen)).count();
            assert_eq!(batches, 6, "it was to be three batches, and three of the sweep");
            assert_eq!(times(PROOF), 1, "one pass was to prove it");
        }
        Work::Rich => {
            assert_eq!(times(QUARANTINE), 2, "two rows were to be put aside");
            let claimed =
                seen.iter().find(|seen| seen.asks(CLAIM) || seen.asks(PLAN) || is_batch_begin(seen));
            assert!(claimed.is_some_and(|seen| seen.asks(CLAIM)), "nobody claims");
            let planned = seen.iter().position(|seen| seen.asks(PLAN));
            let batch = seen.iter().position(is_batch_begin);
            assert!(batch < planned, "the range that was there was to be claimed");
        }
        Work::Retry => assert_eq!(times(SETTLED), 3, "three rows were to be mended"),
    }
}

/// All of a kind, or a share.
fn part(kind: &[Case], in_full: bool, rng: &mut Rng) -> Vec<Case> {
    let share = match kind.first() {
        Some(Case { work: Work::Rich, .. }) if in_full => kind.len().div_ceil(PART_OF_RICH),
        _ if in_full => usize::MAX,
        Some(Case { work: Work::Run, what: What::Await(Mishap::Panic, _) }) => SHARE_OF_PANICS,
        Some(Case { work: Work::Run, .. }) => SHARE,
        Some(_) | None => SHARE_OF_OTHERS,
    };
    let mut cases = kind.to_vec();
    rng.shuffle(&mut cases);
    cases.truncate(share);
    cases
}
