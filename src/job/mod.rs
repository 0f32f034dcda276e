//! The job: what a person wrote, in a file or as flags, and [`Job`], which cannot exist invalid.
//!
//! Must not know: tokio, PostgreSQL, the terminal, the environment. Whether the SQL in a job is right is for the server
//! to say.

mod diagnostic;
mod draft;
mod file;
mod guard;
mod name;
mod order;
mod pace;
mod parts;
mod source;
mod suggest;
mod table;
mod text;
pub mod units;

pub use crate::run::Mode;
pub use diagnostic::{Diagnostic, JobErrors, NoErrors};
pub use guard::CustomSignal;
pub use name::{JobName, JobNameError};
pub use order::Order;
pub use pace::{Limits, Pace, WORKERS, knob_changes, set_knobs, set_limit, written_knobs};
pub use parts::JobParts;
pub use source::Place;
pub use suggest::did_you_mean;
pub use table::TableName;
pub use units::{parse_bytes, parse_count, parse_duration_ms};

use diagnostic::Faults;
use draft::Written;
use source::Spot;

/// One column and the SQL expression for its new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The column, taken literally: never folded.
    pub column: String,
    /// The expression, as it was written.
    pub expression: String,
}

/// Another relation that expressions may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// A FROM item: `users AS u`.
    pub from: String,
    /// How it is joined to the table.
    pub on: String,
}

/// What to change, in which rows, how fast and how patiently.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: JobName,
    /// What it is for.
    pub description: Option<String>,
    /// The table to change.
    pub table: TableName,
    /// The key's columns, each taken literally; empty for the primary key.
    pub key: Vec<String>,
    /// What to set, in the order written; never empty.
    pub set: Vec<Assignment>,
    /// Which rows; all of them where there is none.
    pub filter: Option<String>,
    /// Another relation that expressions may read.
    pub lookup: Option<Lookup>,
    /// How fast.
    pub pace: Pace,
    /// How patient.
    pub limits: Limits,
    /// In which order.
    pub order: Order,
    /// Signals of its own that can stop it.
    pub signals: Vec<CustomSignal>,
    marks: Marks,
}

/// A part of a job that can be pointed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The name of the table.
    Table,
    /// The key.
    Key,
    /// The expression for this column.
    Set(&'a str),
    /// The name of this column in `set`.
    SetColumn(&'a str),
    /// Which rows.
    Where,
    /// The other relation.
    From,
    /// How it is joined.
    On,
    /// The query of one of its own signals, from 0.
    Signal(usize),
}

/// Where the parts of a job were written.
#[derive(Clone, Debug)]
struct Marks {
    table: Spot,
    key: Option<Spot>,
    set: Vec<SetMark>,
    filter: Option<Spot>,
    from: Option<Spot>,
    on: Option<Spot>,
    signals: Vec<Spot>,
}

#[derive(Clone, Debug)]
struct SetMark {
    column: String,
    column_at: Spot,
    expression_at: Spot,
}

impl Job {
    /// Reads a job file; `path` is only for the messages. Returns everything that is wrong with it.
    pub fn from_toml(name: JobName, path: &str, text: &str) -> Result<Self, JobErrors> {
        let (mut draft, mut faults, mut later) = file::read(path, text);
        draft.name = Some(name);
        let job = draft.check(&mut later);
        faults.add_unless_consequence(later);
        settle(job, faults)
    }

    /// The same without a file. Returns everything that is wrong, each with its flag.
    pub fn from_parts(parts: JobParts) -> Result<Self, JobErrors> {
        let (draft, mut faults) = parts::read(parts);
        let job = draft.check(&mut faults);
        settle(job, faults)
    }

    /// Where a part was written; the place of the table for a part that was not.
    #[must_use]
    pub fn place(&self, part: Part<'_>) -> Place {
        self.marks.of(part).place()
    }

    /// A fault in a part, found later, shown as the faults of a job file are.
    #[must_use]
    pub fn diagnose(&self, part: Part<'_>, message: String, hint: Option<String>) -> Diagnostic {
        Diagnostic::new(self.marks.of(part), message, hint)
    }

    /// The whole job but its name as TOML, in one canonical form: what is stored. Reading it gives an equal job.
    #[must_use]
    pub fn text(&self) -> String {
        text::whole(self)
    }

    /// Lower-case hex SHA-256 of what decides the result: table, key, set, where, from, on.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        text::fingerprint(self)
    }

    /// What the fingerprint covers as TOML, an item a line, for a diff between two jobs.
    #[must_use]
    pub fn definition(&self) -> String {
        text::definition(self)
    }
}

/// Jobs are equal when they say the same, wherever it was written.
impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        // Spelled out without `..`, so that a new field cannot be forgotten here.
        let Self {
            name,
            description,
            table,
            key,
            set,
            filter,
            lookup,
            pace,
            limits,
            order,
            signals,
            marks: _,
        } = self;
        (name, description, table, key) == (&other.name, &other.description, &other.table, &other.key)
            && (set, filter, lookup) == (&other.set, &other.filter, &other.lookup)
            && (pace, limits, order) == (&other.pace, &other.limits, &other.order)
            && *signals == other.signals
    }
}

impl Eq for Job {}

impl Marks {
    fn of(&self, part: Part<'_>) -> &Spot {
        let set = |column: &str| self.set.iter().find(|mark| mark.column == column);
        let spot = match part {
            Part::Table => None,
            Part::Key => self.key.as_ref(),
            Part::Set(column) => set(column).map(|mark| &mark.expression_at),
            Part::SetColumn(column) => set(column).map(|mark| &mark.column_at),
            Part::Where => self.filter.as_ref(),
            Part::From => self.from.as_ref(),
            Part::On => self.on.as_ref(),
            Part::Signal(number) => self.signals.get(number),
        };
        spot.unwrap_or(&self.table)
    }
}

impl SetMark {
    fn new((column, expression): &(Written, Written)) -> Self {
        Self {
            column: column.text.clone(),
            column_at: column.at.clone(),
            expression_at: expression.at.clone(),
        }
    }
}

impl Assignment {
    fn new((column, expression): (Written, Written)) -> Self {
        Self { column: column.text, expression: expression.text }
    }
}

fn settle(job: Option<Job>, faults: Faults) -> Result<Job, JobErrors> {
    match faults.into_errors() {
        Some(errors) => Err(errors),
        // `check` gives a job unless it found a fault, and a fault is dropped only when a syntax error stays.
        None => Ok(job.expect("a job without a fault exists")),
    }
}

#[cfg(test)]
mod tests;
