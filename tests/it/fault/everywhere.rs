//! Every message between engine and server meets every fault of the wire, every request an error of every class, every await of the
//! engine a signal, every request a panic; and `retry` all that can befall its messages: every row is changed once all the same.
//!
//! `make test` tries a share of all that with a seed, `make torture` all of it, again and again.
//!
//! Must not know: how a fault is made.

use std::env;
use std::time::{Duration, Instant};

use super::course::{Case, Course, shuffled};
use super::every_await;
use super::every_message::{self, is_batch_begin, of_all, of_batches};
use super::lane::{Lane, Work};
use crate::support::{Dice, own_server_for, storm};

/// Nearly all of them wait nearly all of the time.
const LANES: usize = 24;
const TORTURE_LANES: usize = 96;
/// Each lane has those of the engine, the oracle's, and some that a fault has left behind.
const CONNECTIONS: u32 = 700;
/// Of each fault, in `make test`.
const SHARE: usize = 24;
/// The same of `retry`, which has fewer messages.
const SHARE_OF_RETRY: usize = 6;

/// How long `make torture` goes on, in seconds.
const TORTURE: &str = "PGBACKFILL_TORTURE_SECONDS";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_at_whatever_moment_every_row_is_changed_once() {
    let _storm = storm().await;
    let seconds = env::var(TORTURE).ok().map(|seconds| Duration::from_secs(seconds.parse().unwrap()));
    let (until, mut dice) = (seconds.map(|seconds| Instant::now() + seconds), Dice::new());
    let server = own_server_for(CONNECTIONS);
    let (run, retry) = (Lane::on(&server, Work::Run).await, Lane::on(&server, Work::Retry).await);
    let (seen, seen_in_retry) = (run.seen().await, retry.seen().await);
    assert_eq!(seen.iter().filter(|seen| is_batch_begin(seen)).count(), 3, "it was to be three batches");
    let moments = every_await::count(&run).await;
    println!(
        "{} messages, {} of them in batches; {} in retry; {moments:?}",
        of_all(&seen).len(),
        of_batches(&seen).len(),
        seen_in_retry.len()
    );
    let course = Course::on(server);
    let in_full = until.is_some();
    loop {
        let mut cases = part(every_message::cases(Work::Run, &seen, in_full), SHARE, in_full, &mut dice);
        cases.extend(part(every_await::cases(moments), SHARE, in_full, &mut dice));
        let of_retry = every_message::cases(Work::Retry, &seen_in_retry, in_full);
        cases.extend(part(of_retry, SHARE_OF_RETRY, in_full, &mut dice));
        course.run(cases, if in_full { TORTURE_LANES } else { LANES }, until, &mut dice).await;
        if until.is_none_or(|until| Instant::now() >= until) {
            break;
        }
    }
    let (report, exact) = course.report();
    println!("{report}");
    assert!(exact, "{report}");
    assert!(course.is_thorough(), "too few were met:\n{report}");
}

/// All of them, or so many of each kind.
fn part(kinds: Vec<Vec<Case>>, share: usize, in_full: bool, dice: &mut Dice) -> Vec<Case> {
    let some = |cases| shuffled(cases, dice).into_iter().take(if in_full { usize::MAX } else { share });
    kinds.into_iter().flat_map(some).collect()
}
