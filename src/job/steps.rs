//! The steps of `[expand]` and `[contract]`: what is to be there before a run, and what follows it.
//!
//! Must not know: how a step is made, what the catalog says of it.

use super::diagnostic::Faults;
use super::source::Spot;
use super::sync::{Sync, WrittenSync};
use super::table::NAME_BYTES_MAX;
use super::units::parse_long_s;
use super::written::Written;

/// The half of a change that a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the run.
    Expand,
    /// After it.
    Contract,
}

/// What a step makes. In the order in which the steps of a phase are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// An enum type.
    Type,
    /// A column of the table.
    Column,
    /// NOT NULL of a column.
    NotNull,
    /// A trigger that keeps what is set in step with what it is made of.
    Sync,
    /// A CHECK constraint.
    Check,
    /// A foreign key.
    ForeignKey,
    /// An index.
    Index,
    /// A unique index.
    UniqueIndex,
    /// SQL of the job's own.
    Free,
    /// The names of two columns are swapped.
    Replace,
    /// A column goes, when a person says so.
    Drop,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it makes.
    pub kind: StepKind,
    /// The name of what it makes, taken literally; of NOT NULL and a foreign key the column.
    pub name: String,
    /// What the job says of it, as SQL; empty for NOT NULL and for sync. The labels of a type, a line each.
    pub definition: String,
    /// Of a step of the job's own.
    pub free: Option<FreeStep>,
}

/// What a job says of a step of its own, besides what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeStep {
    /// What it does, statement by statement.
    pub statements: Vec<String>,
    /// What takes it back; none: nothing does.
    pub undo: Option<String>,
    /// A query of one boolean that tells whether it is done.
    pub done: Option<String>,
    /// It cannot run in a transaction.
    pub concurrently: bool,
}

/// The steps of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Those before the run, in the order in which they are made.
    pub expand: Vec<Step>,
    /// Those after it.
    pub contract: Vec<Step>,
    /// How the new columns are kept in step, if they are.
    pub sync: Option<Sync>,
    /// Columns that go at last, when a person says so.
    pub drop: Vec<Step>,
    /// How long they are kept after the contract, in seconds.
    pub keep_s: u64,
}

/// What `[contract]` says besides steps.
#[derive(Debug, Default)]
pub(super) struct WrittenEnd {
    pub(super) drop: Vec<Written>,
    pub(super) keep: Option<Written>,
}

/// Two weeks: as long as people take to notice what a release has lost.
const KEEP_DEFAULT_S: u64 = 14 * 86_400;

impl WrittenEnd {
    /// How long columns are kept; a fault if it cannot be read.
    fn keep_s(&self, faults: &mut Faults) -> u64 {
        let Some(written) = self.keep.as_ref().filter(|written| !written.text.is_empty()) else {
            return KEEP_DEFAULT_S;
        };
        parse_long_s(&written.text).unwrap_or_else(|why| {
            faults.add(&written.at, why, None);
            KEEP_DEFAULT_S
        })
    }
}

/// A step as it was written.
#[derive(Debug)]
pub(super) struct WrittenStep {
    pub(super) phase: Phase,
    pub(super) kind: StepKind,
    pub(super) name: Written,
    pub(super) definition: Written,
    pub(super) free: Option<FreeStep>,
}

/// Where a step was written.
#[derive(Clone, Debug)]
pub(super) struct StepMark {
    phase: Phase,
    kind: StepKind,
    name: String,
    at: Spot,
}

impl Step {
    /// By its key in a job file.
    #[must_use]
    pub fn key(&self) -> String {
        match self.kind {
            StepKind::Sync => StepKind::Sync.as_str().to_owned(),
            kind => format!("{} {}", kind.as_str(), self.name),
        }
    }
}

impl Phase {
    const ALL: [(&'static str, Self); 2] = [("expand", Self::Expand), ("contract", Self::Contract)];

    /// Its name in a job file, and the command.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, phase)| *phase == self).map_or("", |(name, _)| name)
    }

    /// The phase of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, phase)| *phase)
    }

    /// The keys of its table in a job file.
    pub fn key_names(self) -> impl Iterator<Item = &'static str> {
        self.keys().iter().map(|(name, _)| *name)
    }

    /// The same, each with what it makes.
    pub(super) fn keys(self) -> &'static [(&'static str, StepKind)] {
        match self {
            Self::Expand => &[
                ("type", StepKind::Type),
                ("column", StepKind::Column),
                ("sync", StepKind::Sync),
                ("index", StepKind::Index),
                ("unique", StepKind::UniqueIndex),
                ("step", StepKind::Free),
            ],
            Self::Contract => &[
                ("not_null", StepKind::NotNull),
                ("check", StepKind::Check),
                ("foreign_key", StepKind::ForeignKey),
                ("index", StepKind::Index),
                ("unique", StepKind::UniqueIndex),
                ("step", StepKind::Free),
                ("replace", StepKind::Replace),
                ("drop", StepKind::Drop),
            ],
        }
    }
}

impl StepKind {
    /// Its key in a job file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Column => "column",
            Self::NotNull => "not_null",
            Self::Sync => "sync",
            Self::Check => "check",
            Self::ForeignKey => "foreign_key",
            Self::Index => "index",
            Self::UniqueIndex => "unique",
            Self::Free => "step",
            Self::Replace => "replace",
            Self::Drop => "drop",
        }
    }

    /// What must differ between two names: an index is one, unique or not.
    fn namespace(self) -> Self {
        if self == Self::UniqueIndex { Self::Index } else { self }
    }
}

impl Steps {
    /// Those of a phase.
    #[must_use]
    pub fn of(&self, phase: Phase) -> &[Step] {
        match phase {
            Phase::Expand => &self.expand,
            Phase::Contract => &self.contract,
        }
    }

    /// The steps in the order in which they are made, whatever the order in the file is.
    pub(super) fn new(written: &[WrittenStep], sync: Option<Sync>, end: &WrittenEnd) -> Self {
        let of = |phase: Phase| {
            let mut steps: Vec<_> =
                written.iter().filter(|step| step.phase == phase).map(WrittenStep::step).collect();
            steps.sort_by_key(|step: &Step| step.kind);
            steps
        };
        let (mut expand, contract) = (of(Phase::Expand), of(Phase::Contract));
        if sync.is_some() {
            let (name, definition) = ("forward".to_owned(), String::new());
            let step = Step { kind: StepKind::Sync, name, definition, free: None };
            // Behind the columns that it sets.
            let at = expand.iter().filter(|other| other.kind < StepKind::Sync).count();
            expand.insert(at, step);
        }
        let drop = end.drop.iter().map(|name| Step {
            kind: StepKind::Drop,
            name: name.text.clone(),
            definition: String::new(),
            free: None,
        });
        Self { expand, contract, sync, drop: drop.collect(), keep_s: end.keep_s(&mut Faults::default()) }
    }
}

impl WrittenStep {
    fn step(&self) -> Step {
        Step {
            kind: self.kind,
            name: self.name.text.clone(),
            definition: self.definition.text.trim().to_owned(),
            free: self.free.clone(),
        }
    }
}

impl StepMark {
    pub(super) fn all(steps: &[WrittenStep], sync: &WrittenSync, end: &WrittenEnd) -> Vec<Self> {
        let named = steps.iter().map(|step| Self {
            phase: step.phase,
            kind: step.kind,
            name: step.name.text.clone(),
            at: step.name.at.clone(),
        });
        let (phase, kind, name) = (Phase::Expand, StepKind::Sync, "forward".to_owned());
        let dropped = end.drop.iter().map(|written| Self {
            phase: Phase::Contract,
            kind: StepKind::Drop,
            name: written.text.clone(),
            at: written.at.clone(),
        });
        named.chain(sync.at.clone().map(|at| Self { phase, kind, name, at })).chain(dropped).collect()
    }

    /// Where that step was written.
    pub(super) fn find<'a>(marks: &'a [Self], (phase, step): (Phase, &Step)) -> Option<&'a Spot> {
        let is_it = |mark: &&Self| (mark.phase, mark.kind, &mark.name) == (phase, step.kind, &step.name);
        marks.iter().find(is_it).map(|mark| &mark.at)
    }
}

/// The name under which a column that was replaced is kept.
#[must_use]
pub fn kept_name(column: &str) -> String {
    format!("{column}_old")
}

/// Names that the server would cut, and names that stand for two things.
pub(super) fn check_steps(steps: &[WrittenStep], end: &WrittenEnd, faults: &mut Faults) {
    end.keep_s(faults);
    let swaps: Vec<_> = steps.iter().filter(|step| step.kind == StepKind::Replace).collect();
    for step in swaps.iter().skip(1) {
        let hint =
            "write a job for each: one trigger could not serve both while only one is swapped".to_owned();
        faults.add(&step.name.at, "one job replaces one column", Some(hint));
    }
    for step in swaps {
        if step.name.text == step.definition.text {
            faults.add(&step.name.at, format!("column `{}` cannot replace itself", step.name.text), None);
        }
        if kept_name(&step.name.text).len() > NAME_BYTES_MAX {
            let kept = kept_name(&step.name.text);
            let message = format!("the name `{kept}`, under which the column is kept, is too long");
            faults.add(&step.name.at, message, None);
        }
    }
    for (at, step) in steps.iter().enumerate() {
        let name = &step.name.text;
        if let Some(FreeStep { concurrently: true, done: None, .. }) = step.free {
            let hint = "it may have been done before its client was lost: add `done`, a query of one boolean that tells";
            let message = format!("step `{name}` is `concurrently`, and has no `done`");
            faults.add(&step.name.at, message, Some(hint.to_owned()));
        }
        if name.len() > NAME_BYTES_MAX {
            let message = format!("the name `{name}` has {} bytes, more than {NAME_BYTES_MAX}", name.len());
            let hint = "the server would cut it, and it would not be found again".to_owned();
            faults.add(&step.name.at, message, Some(hint));
        }
        let is_same = |other: &&WrittenStep| {
            other.kind.namespace() == step.kind.namespace() && other.name.text == *name && !name.is_empty()
        };
        if steps[..at].iter().any(|other| is_same(&other)) {
            let what = step.kind.as_str();
            faults.add(&step.name.at, format!("{what} `{name}` is there twice"), None);
        }
    }
}
