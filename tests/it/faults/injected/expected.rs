//! How the process that meets a fault has to end, by where the fault met it and what it was: what README and
//! docs/reliability.md promise.
//!
//! Where a message belongs is read from what was said before it in this very case, because who of worker and
//! heartbeat comes first is a matter of time.
//!
//! Must not know: how a fault is made.

use super::every_message::of_batches_on;
use super::proxy::{Fault, Seen, Spot};
use super::test_bed::Ended;
use super::work::Work;

/// What decides about the next act after an error of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Of the line, or one that the server answers with by hanging up.
    Connection,
    /// Somebody else was in the way, or it took too long: the same again.
    Passing,
    /// A row is at fault.
    Row,
    /// A person is needed, and is waited for.
    Person,
    /// It would fail again.
    Final,
}

impl Class {
    fn of(fault: Fault) -> Option<Self> {
        match fault {
            Fault::Hold => None,
            Fault::Reset | Fault::Close | Fault::Swallow | Fault::DeliverAndCut => Some(Self::Connection),
            Fault::Refuse(code) => Some(match code {
                "57P01" | "57P03" | "53300" => Self::Connection,
                "40001" | "40P01" | "55P03" | "57014" | "53200" => Self::Passing,
                "22012" | "23505" => Self::Row,
                "53100" => Self::Person,
                "42501" => Self::Final,
                other => panic!("nobody has said what must follow {other}"),
            }),
        }
    }
}

/// Where a fault met a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before its first heartbeat.
    Entering,
    /// In a batch, a transaction of the quarantine, or one of `retry`.
    Batch,
    /// At the start of a connection, which asks where it leads: a worker's, or the guard's.
    Start,
    /// On a worker's connection, between batches: a claim, the plan of a range, the end of the run.
    Turn,
    /// In the pass that proves that a walk by block has missed no row; without it the run is complete all the
    /// same.
    Proof,
    /// Where nothing hangs on it: heartbeat and guard, and what is told when all is done.
    Beside,
}

/// How the process that meets it ends, and what becomes of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Expected {
    /// It completes the run by itself, and nobody has to do anything.
    Alone,
    /// It may leave with an error, as one that could not enter, and the next one completes the run without
    /// more ado.
    Leaves,
    /// It blocks the run, which says why with this code; when a person has resumed it, the next one completes
    /// it.
    Blocks(&'static str),
    /// One of these two.
    AloneOrBlocks(&'static str),
}

impl Expected {
    /// After a fault at this message, which is among those seen.
    pub(super) fn after(work: Work, seen: &[Seen], spot: Spot, fault: Fault) -> Self {
        let Some(class) = Class::of(fault) else { return Self::Alone };
        let until = seen.iter().position(|seen| seen.spot == spot).expect("it was seen");
        let place = place(&seen[..=until], spot);
        if work == Work::Retry { in_retry(place, class) } else { in_run(place, class, fault) }
    }

    /// Asserts that it is so: how each process ended that was needed, and how often the run was blocked.
    pub(super) fn assert(self, ended: &[Ended], blocked: i64) {
        let (last, before) = ended.split_last().expect("there was a process");
        assert_eq!(*last, Ended::Complete);
        let expected = match self {
            Self::AloneOrBlocks(_) if before.is_empty() => Self::Alone,
            Self::AloneOrBlocks(code) => Self::Blocks(code),
            one => one,
        };
        expected.assert_one(before, blocked);
    }

    fn assert_one(self, before: &[Ended], blocked: i64) {
        match self {
            Self::Alone => assert!(before.is_empty(), "it was to do it alone: {before:?}"),
            Self::Leaves => {
                assert!(matches!(before, [] | [Ended::Left(_)]), "the next was to do it: {before:?}");
            }
            Self::Blocks(code) => {
                let [Ended::Blocked(reason)] = before else { panic!("it was to block the run: {before:?}") };
                assert!(reason.contains(code), "the run does not say why it is blocked: {reason}");
            }
            Self::AloneOrBlocks(_) => unreachable!("it is known by now which"),
        }
        let times = i64::from(!before.is_empty() && matches!(self, Self::Blocks(_)));
        assert_eq!(blocked, times, "the run was blocked so many times: {before:?}");
    }
}

fn in_run(place: Place, class: Class, fault: Fault) -> Expected {
    match (place, class, fault) {
        (Place::Entering, _, _) => Expected::Leaves,
        (Place::Start, Class::Final | Class::Row, Fault::Refuse(code)) => Expected::AloneOrBlocks(code),
        // Outside of a batch there is no row that could be put aside.
        (Place::Batch | Place::Turn | Place::Proof, Class::Final, Fault::Refuse(code))
        | (Place::Turn, Class::Row, Fault::Refuse(code)) => Expected::Blocks(code),
        (Place::Batch | Place::Start | Place::Turn | Place::Proof | Place::Beside, _, _) => Expected::Alone,
    }
}

/// `retry` is called by a person, who calls it again: only what passes by itself is waited for.
fn in_retry(place: Place, class: Class) -> Expected {
    match (place, class) {
        (Place::Batch, Class::Passing) => Expected::Alone,
        (_, _) => Expected::Leaves,
    }
}

/// Of the last message.
fn place(seen: &[Seen], spot: Spot) -> Place {
    let said =
        |head: &str| seen.iter().any(|seen| seen.spot.connection == spot.connection && seen.asks(head));
    if of_batches_on(seen, spot.connection).contains(&spot) {
        Place::Batch
    } else if spot.connection == 0 && !said(BEAT) {
        Place::Entering
    } else {
        role(seen, spot.connection)
    }
}

/// Whose connection it is, by what it said last: the pool hands it from one to the other.
fn role(seen: &[Seen], connection: usize) -> Place {
    let says = |seen: &Seen| {
        let one_of = |heads: &[&str]| heads.iter().any(|head| seen.asks(head));
        match () {
            () if one_of(&[WHO]) => Some(Place::Start),
            () if one_of(&WORKER) => Some(Place::Turn),
            () if one_of(&PROOF) => Some(Place::Proof),
            () if one_of(&BESIDE) => Some(Place::Beside),
            () => None,
        }
    };
    let of_it: Vec<_> = seen.iter().rev().filter(|seen| seen.spot.connection == connection).collect();
    // Before it says anything it is being made, for whomever.
    let place = of_it.iter().find_map(|seen| says(seen)).unwrap_or(Place::Start);
    let is_over = of_it.iter().take_while(|seen| says(seen).is_none()).any(|seen| seen.asks("ROLLBACK"));
    if place == Place::Proof && is_over { Place::Turn } else { place }
}

/// How requests begin: the first of a heartbeat, the first of a connection, those that only workers make,
/// those of the proof, and those that only others make.
const BEAT: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_comm";
const WHO: &str = "-- name: identity\n";
const WORKER: [&str; 3] = ["-- name: range_claim\n", "-- name: range_lock\n", "-- name: leaf_next\n"];
const PROOF: [&str; 2] =
    ["BEGIN ISOLATION LEVEL READ COMMITTED; SET TRANSACTION ISOLATION", "-- name: proof_lock\n"];
const BESIDE: [&str; 4] = [
    "-- name: process_beat\n",
    "SELECT set_config('statement_timeout'",
    "-- name: guard_read\n",
    "-- name: process_leave\n",
];
