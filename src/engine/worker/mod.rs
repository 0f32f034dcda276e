//! One worker: claims a range, runs its batches one after the other, pays the ceilings, recovers from errors,
//! leaves.
//!
//! Must not know: the other workers.

mod claim;
mod recover;
mod state;
mod work;

pub(super) use work::work;
