//! The workers of this process among those of the run: what the run asks of them, and how many there are.
//!
//! Written by the heartbeat and by the supervisor of the workers, read by all.
//!
//! Must not know: what a worker does.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::ceilings::Share;
use crate::run::{Knobs, Mode, RunState};
use crate::store::Assignment;

/// One process's workers.
#[derive(Debug)]
pub struct Team {
    assignment: watch::Sender<Assignment>,
    /// Live workers of this process.
    here: AtomicU32,
    /// How many of them the server has connections for, as far as we know.
    connections: AtomicU32,
    /// The number of workers that this process was started with, if it was given one.
    asked: Option<NonZeroU32>,
    /// What the run's knob said then.
    knob_at_start: NonZeroU32,
}

impl Team {
    /// Of a process that was `asked` to have so many workers.
    #[must_use]
    pub fn new(assignment: Assignment, asked: Option<NonZeroU32>, knob_at_start: NonZeroU32) -> Self {
        Self {
            assignment: watch::Sender::new(assignment),
            here: AtomicU32::new(0),
            connections: AtomicU32::new(u32::MAX),
            asked,
            knob_at_start,
        }
    }

    /// What the run asks.
    #[must_use]
    pub fn assignment(&self) -> Assignment {
        self.assignment.borrow().clone()
    }

    /// The run's state.
    #[must_use]
    pub fn state(&self) -> RunState {
        self.assignment.borrow().state
    }

    /// The run's knobs.
    #[must_use]
    pub fn knobs(&self) -> Knobs {
        self.assignment.borrow().knobs.clone()
    }

    /// How long a batch should take.
    #[must_use]
    pub fn batch_time(&self) -> Duration {
        Duration::from_millis(self.assignment.borrow().knobs.batch_time_ms.get().into())
    }

    /// Changes whenever the run asks something else.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Assignment> {
        self.assignment.subscribe()
    }

    /// A heartbeat has brought this.
    pub fn assign(&self, assignment: &Assignment) {
        self.assignment.send_if_modified(|now| {
            let changed = now != assignment;
            now.clone_from(assignment);
            changed
        });
    }

    /// Live workers of this process.
    #[must_use]
    pub fn here(&self) -> u32 {
        self.here.load(Ordering::Relaxed)
    }

    /// There are so many now, and connections for so many.
    pub fn count(&self, here: u32, connections: u32) {
        self.here.store(here, Ordering::Relaxed);
        self.connections.store(connections, Ordering::Relaxed);
    }

    /// Live workers of all processes of the run.
    #[must_use]
    pub fn everywhere(&self) -> u32 {
        self.here() + self.assignment.borrow().other_workers
    }

    /// How many workers this process should have.
    #[must_use]
    pub fn wanted(&self) -> u32 {
        self.own_number().unwrap_or(self.assignment.borrow().knobs.workers).get()
    }

    /// How many of them can work.
    #[must_use]
    pub fn possible(&self) -> u32 {
        self.wanted().min(self.connections.load(Ordering::Relaxed))
    }

    /// The number that this process was started with, which holds until the run's knob is set to another
    /// value.
    #[must_use]
    pub fn own_number(&self) -> Option<NonZeroU32> {
        self.asked.filter(|_| self.assignment.borrow().knobs.workers == self.knob_at_start)
    }

    /// This process's part of the ceilings.
    #[must_use]
    pub fn share(&self) -> Share {
        let assignment = self.assignment.borrow();
        Share::of(&assignment.knobs, self.here(), assignment.other_workers)
    }

    /// Workers of this process that share what the application bears. A process that is stopped leaves its
    /// part to the others.
    #[must_use]
    pub fn auto_workers(&self, is_stopped: bool) -> u32 {
        let assignment = self.assignment.borrow();
        let works = assignment.state == RunState::Running && !is_stopped;
        if assignment.knobs.mode == Mode::Auto && works { self.here() } else { 0 }
    }
}
