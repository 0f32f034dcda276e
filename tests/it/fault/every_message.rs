//! Which messages there are between engine and server, and what can befall each: every fault of the wire, in both directions, and for
//! every request an error of every class. This visits every moment at which a COMMIT can be lost, and its answer.
//!
//! A clean run tells the messages: one worker, three batches (the first, a middle one, the last), its heartbeat, and all that comes
//! before and after.
//!
//! Must not know: how the proxy injects, what must hold afterwards.

use super::course::{Case, What};
use super::lane::Work;
use super::proxy::{Fault, Seen, Spot, Way};

/// One or two of each class that the engine tells apart; and no connection left, a server that is starting.
const ERRORS: [&str; 12] = [
    "40001", "40P01", "55P03", "57014", "53200", "22012", "23505", "53100", "42501", "57P01", "53300",
    "57P03",
];

/// All cases of each fault.
pub(super) fn cases(work: Work, seen: &[Seen], in_full: bool) -> Vec<Vec<Case>> {
    let all = of_all(seen);
    let of_fault = |fault: Fault| {
        let spots = match fault {
            // Outside of batches an answer may take a minute, and so does it to notice that there is none.
            Fault::Swallow if !in_full => of_batches(seen),
            // A full disk is looked at again after a minute.
            Fault::Refuse("53100") if !in_full => vec![],
            Fault::Refuse(code) => refusals(&all, seen, code),
            _ => all.clone(),
        };
        spots.into_iter().map(|spot| Case { work, what: What::Message(spot, fault) }).collect()
    };
    Fault::OF_THE_WIRE.into_iter().chain(ERRORS.map(Fault::Refuse)).map(of_fault).collect()
}

/// Those of the batches: from each BEGIN with a batch's settings to the end of the answer to its COMMIT.
pub(super) fn of_batches(seen: &[Seen]) -> Vec<Spot> {
    let worker = seen.iter().find(|seen| is_batch_begin(seen)).map(|seen| seen.spot.connection);
    worker.map(|worker| of_batches_on(seen, worker)).unwrap_or_default()
}

/// The same of one connection.
pub(super) fn of_batches_on(seen: &[Seen], connection: usize) -> Vec<Spot> {
    let of =
        |way: Way| seen.iter().filter(move |seen| seen.spot.connection == connection && seen.spot.way == way);
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
pub(super) fn of_all(seen: &[Seen]) -> Vec<Spot> {
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

pub(super) fn is_batch_begin(seen: &Seen) -> bool {
    seen.asks("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT set_config")
}
