//! The job: what a person wrote, in a file or as flags, and [`Job`], which cannot exist invalid.
//!
//! Must not know: tokio, PostgreSQL, the terminal, the environment. Whether the SQL in a job is right is for
//! the server to say.

mod diagnostic;
mod draft;
mod file;
mod guard;
mod model;
mod name;
mod order;
mod pace;
mod parts;
mod read;
mod scan;
mod settings;
mod source;
mod steps;
mod suggest;
mod sync;
mod table;
mod text;
mod undo;
pub mod units;
mod verify;
mod written;

pub use crate::run::Mode;
pub use diagnostic::{Diagnostic, JobErrors, NoErrors};
pub use guard::CustomSignal;
pub use model::{Job, Lookup, NewValue, Part};
pub use name::{JobName, JobNameError};
pub use order::Order;
pub use pace::{Limits, Pace, WORKERS, knob_changes, set_knobs, set_limit, written_knobs};
pub use parts::JobParts;
pub use scan::{AskedOrder, ScanSettings};
pub use source::Place;
pub use steps::{FreeStep, Phase, Step, StepKind, Steps, kept_name};
pub use suggest::did_you_mean;
pub use sync::{Conflict, Sync};
pub use table::TableName;
pub use undo::{AskedValues, UndoSettings};
pub use units::{parse_bytes, parse_count, parse_duration_ms};
pub use verify::{RowCheck, VerifySettings};

#[cfg(test)]
mod tests;
