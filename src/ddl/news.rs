//! What a step tells while it is made.
//!
//! Must not know: who listens.

use std::time::Duration;

use crate::job::Step;

/// What the application had to wait for a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockTimes {
    /// How often it queued for its lock.
    pub tries: u32,
    /// How long it stood in the queue, in front of everybody who came later.
    pub stood: Duration,
    /// How long it held the lock, the end of COMMIT included.
    pub held: Duration,
}

/// Something to tell.
#[derive(Clone, Debug)]
pub enum StepNews<'a> {
    /// A step begins.
    Begins {
        /// Which one, from 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// The step.
        step: &'a Step,
    },
    /// It waits.
    Waits(String),
    /// Something of it is under way.
    Does(String),
    /// It is done.
    Done(LockTimes),
    /// It was there already.
    WasThere,
}

/// Takes what is told.
pub type Tell<'a> = &'a mut (dyn FnMut(&StepNews<'_>) + Send);
