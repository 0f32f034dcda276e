//! All that befalls a backfill in production, at once and at random: processes killed, stopped, frozen and
//! thawed; sessions terminated, cancelled, killed with their server; the server crashed; a standby promoted;
//! locks, deadlocks, DDL and VACUUM of others; no connection left; and an application that inserts, updates,
//! moves and deletes rows all along. Every row is changed once all the same.
//!
//! `make test` does it for a short time, `make torture` for as long as it is told. The seed is printed, and
//! decides everything but what time decides.
//!
//! Must not know: how the engine bears it.

mod disturbance;
mod production;

use std::time::{Duration, Instant};

use tokio::time;

use crate::support::{machine, random, walks_by_block};
use disturbance::{BY_BLOCK, BY_KEY, Walk};
use production::Production;

/// In `make test`.
const SHARE: Duration = Duration::from_secs(25);
/// In `make torture`.
const PERCENT: u32 = 10;
/// At the most, between two faults.
const PAUSE: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_befalls_processes_and_server_every_row_is_changed_once() {
    whatever_befalls(&BY_KEY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_befalls_a_walk_by_block_every_row_is_changed_once() {
    if walks_by_block().await {
        whatever_befalls(&BY_BLOCK).await;
    }
}

async fn whatever_befalls(walk: &Walk) {
    let _machine = machine::exclusive().await;
    let (time, began, mut rng) =
        (machine::torture(PERCENT).unwrap_or(SHARE), Instant::now(), random::seeded());
    let mut production = Production::set(time, walk, &mut rng).await;
    // Each in turn, in another order each time, so that even a short time sees all of them.
    let mut bag = production.faults();
    // All of them once, however long that takes.
    while (began.elapsed() < time || production.faults_met() < production.faults().len())
        && !production.is_complete().await
    {
        if bag.is_empty() {
            bag = production.faults();
        }
        let fault = bag.swap_remove(rng.usize(..bag.len()));
        production.inject(fault, &mut rng).await;
        // The faults come at random, not after anything.
        time::sleep(random::time_up_to(PAUSE, &mut rng)).await;
    }
    let report = production.report();
    println!("{report}");
    let faults = production.faults();
    production.end().await;
    // Any of them would have ended the test.
    println!("violations: 0");
    assert!(
        faults.iter().all(|fault| report.contains(&format!("{fault:?} "))),
        "not all faults were tried:\n{report}"
    );
}
