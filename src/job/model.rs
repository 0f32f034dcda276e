//! A job that has passed every check that needs no server.
//!
//! Must not know: how it was written down.

use super::diagnostic::Diagnostic;
use super::guard::CustomSignal;
use super::name::JobName;
use super::order::Order;
use super::pace::{Limits, Pace};
use super::scan::ScanSettings;
use super::source::{Place, Spot};
use super::steps::{Phase, Step, StepMark, Steps};
use super::table::TableName;
use super::undo::UndoSettings;
use super::verify::VerifySettings;

/// One column and the SQL expression for its new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewValue {
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
    pub set: Vec<NewValue>,
    /// Which rows; all of them where there is none.
    pub filter: Option<String>,
    /// Another relation that expressions may read.
    pub lookup: Option<Lookup>,
    /// What is made before the run and after it.
    pub steps: Steps,
    /// What a verification is to look at.
    pub verify: VerifySettings,
    /// Whether the values that a run replaces are kept.
    pub undo: UndoSettings,
    /// How fast.
    pub pace: Pace,
    /// How patient.
    pub limits: Limits,
    /// In which order.
    pub order: Order,
    /// How the rows are walked.
    pub scan: ScanSettings,
    /// Signals of its own that can stop it.
    pub signals: Vec<CustomSignal>,
    pub(super) marks: Marks,
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
    /// The order that it asks for.
    Order,
    /// A step of a phase.
    Step(Phase, &'a Step),
    /// Which rows are judged.
    VerifyRows,
    /// The condition of a check, from 0.
    RowCheck(usize),
}

/// Where the parts of a job were written.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    pub(super) table: Spot,
    pub(super) key: Option<Spot>,
    pub(super) set: Vec<SetMark>,
    pub(super) filter: Option<Spot>,
    pub(super) from: Option<Spot>,
    pub(super) on: Option<Spot>,
    pub(super) signals: Vec<Spot>,
    pub(super) order: Option<Spot>,
    pub(super) steps: Vec<StepMark>,
    pub(super) rows: Option<Spot>,
    pub(super) checks: Vec<Spot>,
}

#[derive(Clone, Debug)]
pub(super) struct SetMark {
    pub(super) column: String,
    pub(super) column_at: Spot,
    pub(super) expression_at: Spot,
}

impl Job {
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
            steps,
            verify,
            undo,
            pace,
            limits,
            order,
            scan,
            signals,
            marks: _,
        } = self;
        (name, description, table, key) == (&other.name, &other.description, &other.table, &other.key)
            && (set, filter, lookup) == (&other.set, &other.filter, &other.lookup)
            && (steps, verify, undo) == (&other.steps, &other.verify, &other.undo)
            && (pace, limits) == (&other.pace, &other.limits)
            && (order, scan) == (&other.order, &other.scan)
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
            Part::Order => self.order.as_ref(),
            Part::Step(phase, step) => StepMark::find(&self.steps, (phase, step)),
            Part::VerifyRows => self.rows.as_ref(),
            Part::RowCheck(number) => self.checks.get(number),
        };
        spot.unwrap_or(&self.table)
    }
}
