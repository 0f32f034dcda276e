//! Which messages there are between engine and server, and what can befall each: every fault of the wire, in
//! both directions, and for every request an error of every class. This visits every moment at which a COMMIT
//! can be lost, and its answer.
//!
//! A clean run tells the messages: one worker, three batches (the first, a middle one, the last), its
//! heartbeat, and all that comes before and after.
//!
//! Must not know: how the proxy injects, what must hold afterwards.

use std::collections::BTreeSet;

use super::proxy::{Direction, Fault, Seen, Spot};
use super::schedule::{Case, What};
use super::work::Work;

/// One or two of each class that the engine tells apart; and no connection left, a server that is starting.
const ERRORS: [&str; 12] = [
    "40001", "40P01", "55P03", "57014", "53200", "22012", "23505", "53100", "42501", "57P01", "53300",
    "57P03",
];

/// What makes a connection that is lost be replaced: in the middle of the first batch, and at its end, which
/// is not heard of.
const LOSSES: [(&str, Fault); 2] =
    [("-- name: range_checkpoint\n", Fault::Reset), ("COMMIT", Fault::DeliverAndCut)];

/// All cases of each fault.
pub(super) fn cases(work: Work, seen: &[Seen], in_full: bool) -> Vec<Vec<Case>> {
    let faults = faults(work, in_full).into_iter();
    let case = |spot, fault| Case { work, what: What::Message(spot, fault) };
    faults
        .map(|fault| spots(seen, fault, in_full).into_iter().map(|spot| case(spot, fault)).collect())
        .collect()
}

/// The same at each message of the connection that takes the place of one that was lost by this fault.
pub(super) fn cases_after(work: Work, first: (Spot, Fault), seen: &[Seen], in_full: bool) -> Vec<Vec<Case>> {
    let faults = faults(work, in_full).into_iter();
    let is_new = |spot: &Spot| spot.connection > first.0.connection;
    let case = |spot, fault| Case { work, what: What::After(first, spot, fault) };
    let of_fault = |fault| {
        spots(seen, fault, in_full).into_iter().filter(is_new).map(|spot| case(spot, fault)).collect()
    };
    faults.map(of_fault).collect()
}

/// Of these cases those at a message of a transaction with this request, kind by kind.
pub(super) fn around(request: &str, seen: &[Seen], kinds: &[Vec<Case>]) -> Vec<Vec<Case>> {
    let spots = transactions_with(request, seen);
    let is_there = |case: &&Case| matches!(case.what, What::Message(spot, _) if spots.contains(&spot));
    kinds.iter().map(|kind| kind.iter().filter(is_there).copied().collect()).collect()
}

/// From BEGIN to the last answer.
fn transactions_with(request: &str, seen: &[Seen]) -> Vec<Spot> {
    let mut spots = Vec::new();
    for (at, one) in seen.iter().enumerate().filter(|(_, seen)| seen.asks(request)) {
        let is_same = |other: &&Seen| other.spot.connection == one.spot.connection;
        let before =
            seen[..at].iter().rposition(|other| is_same(&other) && other.asks("BEGIN")).unwrap_or(at);
        let mut committed = false;
        let rest = seen[before..].iter().filter(is_same).take_while(|seen| {
            let is_next = committed && seen.asks("");
            committed |= seen.asks("COMMIT");
            !is_next
        });
        spots.extend(rest.map(|seen| seen.spot));
    }
    spots
}

/// Where the worker's connection is to be lost.
pub(super) fn losses(seen: &[Seen]) -> Vec<(Spot, Fault)> {
    let batches = of_batches(seen);
    let at =
        |text| seen.iter().find(|seen| seen.asks(text) && batches.contains(&seen.spot)).map(|seen| seen.spot);
    LOSSES.into_iter().filter_map(|(text, fault)| Some((at(text)?, fault))).collect()
}

fn faults(work: Work, in_full: bool) -> Vec<Fault> {
    let errors = ERRORS.into_iter().filter(|code| match *code {
        // A full disk is looked at again after a minute.
        "53100" => in_full,
        // While it looks for a bad row, a good one that is refused would be put aside, and rightly so.
        "22012" | "23505" => work != Work::Rich,
        _ => true,
    });
    Fault::OF_THE_WIRE.into_iter().chain(errors.map(Fault::Refuse)).collect()
}

/// Where it can happen.
fn spots(seen: &[Seen], fault: Fault, in_full: bool) -> Vec<Spot> {
    match fault {
        // Outside of batches an answer may take a minute, and so does it to notice that there is none.
        Fault::Swallow if !in_full => of_batches(seen),
        Fault::Refuse(code) => refusals(&of_all(seen), seen, code),
        _ => of_all(seen),
    }
}

/// Those of the batches: from each BEGIN with a batch's settings to the end of the answer to its COMMIT or
/// ROLLBACK.
pub(super) fn of_batches(seen: &[Seen]) -> Vec<Spot> {
    let workers: BTreeSet<_> =
        seen.iter().filter(|seen| is_batch_begin(seen)).map(|seen| seen.spot.connection).collect();
    workers.into_iter().flat_map(|worker| of_batches_on(seen, worker)).collect()
}

/// The same of one connection.
pub(super) fn of_batches_on(seen: &[Seen], connection: usize) -> Vec<Spot> {
    let of = |direction: Direction| {
        seen.iter().filter(move |seen| seen.spot.connection == connection && seen.spot.direction == direction)
    };
    let mut spots = Vec::new();
    // Each Query and each Sync is answered with one ReadyForQuery, so counting both tells which answers
    // belong to which batch.
    let (mut asked, mut inside, mut answers) = (0, false, Vec::new());
    for seen in of(Direction::ToServer) {
        inside |= is_batch_begin(seen);
        spots.extend(inside.then_some(seen.spot));
        if matches!(seen.tag, 'Q' | 'S') {
            answers.extend(inside.then_some(asked));
            asked += 1;
        }
        inside &= !(seen.asks("COMMIT") || seen.asks("ROLLBACK"));
    }
    let mut answered = 0;
    for seen in of(Direction::ToClient).skip_while(|seen| seen.tag != 'Z').skip(1) {
        spots.extend(answers.contains(&answered).then_some(seen.spot));
        answered += usize::from(seen.tag == 'Z');
    }
    spots
}

/// All but the guard's latency probes behind the first: how many of them there are is a matter of time.
pub(super) fn of_all(seen: &[Seen]) -> Vec<Spot> {
    let is_probe =
        |seen: &Seen| seen.tag == 'Q' && seen.head.starts_with("SELECT set_config('statement_timeout'");
    let Some(first) = seen.iter().find(|seen| is_probe(seen)).map(|seen| seen.spot) else {
        return seen.iter().map(|seen| seen.spot).collect();
    };
    let (mut asked, mut answered) = (0, 0);
    let mut spots = Vec::new();
    for Seen { spot, tag, .. } in seen {
        if spot.connection != first.connection {
            spots.push(*spot);
        } else if spot.direction == Direction::ToServer && spot.message <= first.message {
            asked += usize::from(matches!(tag, 'Q' | 'S'));
            spots.push(*spot);
        } else if spot.direction == Direction::ToClient && answered <= asked {
            // One of the answers is that to the start of the connection.
            answered += usize::from(*tag == 'Z');
            spots.push(*spot);
        }
    }
    spots
}

/// Where a server can refuse with this code: connections begin with what it may say then, and a ROLLBACK
/// never fails.
fn refusals(spots: &[Spot], seen: &[Seen], code: &str) -> Vec<Spot> {
    let at_the_door = ["53300", "57P03"].contains(&code);
    let is_fit = |seen: &&Seen| match seen.tag {
        '-' => at_the_door,
        'Q' => !at_the_door && !seen.head.starts_with("ROLLBACK"),
        'P' => !at_the_door && seen.spot.direction == Direction::ToServer,
        _ => false,
    };
    seen.iter().filter(is_fit).map(|seen| seen.spot).filter(|spot| spots.contains(spot)).collect()
}

pub(super) fn is_batch_begin(seen: &Seen) -> bool {
    seen.asks("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT set_config")
}
