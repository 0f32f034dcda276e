//! What it costs the application that it is measured: its speed beside a run that hardly does anything else,
//! over its speed alone.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::arm;
use crate::report::Overhead;
use crate::scene::Scene;
use crate::support::Anything;

/// Pairs of times with and without it.
const PAIRS: usize = 45;
/// Of one of a pair.
const WINDOW: Duration = Duration::from_secs(2);

pub(crate) fn overhead(scene: &Scene) -> Anything<Overhead> {
    let backfill = scene.start_job(&arm::outside_its_window())?;
    scene.throughput(WINDOW)?;
    let mut pairs = Vec::new();
    for pair in 0..PAIRS {
        let mut seen = [0.0; 2];
        // In turns, so that what grows with time meets both.
        for guarded in [pair % 2 == 0, pair % 2 != 0] {
            // A process that is stopped asks the server nothing, so that the two can follow each other
            // closely: this machine is not the same one ten seconds later.
            backfill.signal(if guarded { Signal::SIGCONT } else { Signal::SIGSTOP })?;
            seen[usize::from(guarded)] = scene.throughput(WINDOW)?;
        }
        pairs.push((seen[0], seen[1]));
    }
    backfill.signal(Signal::SIGCONT)?;
    backfill.stop()?;
    Ok(Overhead::new(pairs))
}
