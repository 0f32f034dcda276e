//! The steps of `[expand]` and `[contract]`: what is to be there before a run, and what follows it.
//!
//! Must not know: how a step is made, what the catalog says of it.

use super::diagnostic::Faults;
use super::source::Spot;
use super::written::Written;

/// The longest name that the server does not cut (`NAMEDATALEN` - 1), in bytes.
const NAME_BYTES_MAX: usize = 63;

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
    /// A column of the table.
    Column,
    /// NOT NULL of a column.
    NotNull,
    /// A CHECK constraint.
    Check,
    /// An index.
    Index,
    /// A unique index.
    UniqueIndex,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it makes.
    pub kind: StepKind,
    /// The name of what it makes, taken literally; of NOT NULL the column.
    pub name: String,
    /// What the job says of it, as SQL; empty for NOT NULL.
    pub definition: String,
}

/// The steps of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Those before the run, in the order in which they are made.
    pub expand: Vec<Step>,
    /// Those after it.
    pub contract: Vec<Step>,
}

/// A step as it was written.
#[derive(Debug)]
pub(super) struct WrittenStep {
    pub(super) phase: Phase,
    pub(super) kind: StepKind,
    pub(super) name: Written,
    pub(super) definition: Written,
}

/// Where a step was written.
#[derive(Clone, Debug)]
pub(super) struct StepMark {
    phase: Phase,
    kind: StepKind,
    name: String,
    at: Spot,
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

    /// The keys of its table in a job file, each with what it makes.
    pub(super) fn keys(self) -> &'static [(&'static str, StepKind)] {
        match self {
            Self::Expand => {
                &[("column", StepKind::Column), ("index", StepKind::Index), ("unique", StepKind::UniqueIndex)]
            }
            Self::Contract => &[
                ("not_null", StepKind::NotNull),
                ("check", StepKind::Check),
                ("index", StepKind::Index),
                ("unique", StepKind::UniqueIndex),
            ],
        }
    }
}

impl StepKind {
    /// Its key in a job file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Column => "column",
            Self::NotNull => "not_null",
            Self::Check => "check",
            Self::Index => "index",
            Self::UniqueIndex => "unique",
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
    pub(super) fn new(written: &[WrittenStep]) -> Self {
        let of = |phase: Phase| {
            let mut steps: Vec<_> =
                written.iter().filter(|step| step.phase == phase).map(WrittenStep::step).collect();
            steps.sort_by_key(|step: &Step| step.kind);
            steps
        };
        Self { expand: of(Phase::Expand), contract: of(Phase::Contract) }
    }
}

impl WrittenStep {
    fn step(&self) -> Step {
        Step {
            kind: self.kind,
            name: self.name.text.clone(),
            definition: self.definition.text.trim().to_owned(),
        }
    }
}

impl StepMark {
    pub(super) fn new(step: &WrittenStep) -> Self {
        Self { phase: step.phase, kind: step.kind, name: step.name.text.clone(), at: step.name.at.clone() }
    }

    /// Where that step was written.
    pub(super) fn find<'a>(marks: &'a [Self], (phase, step): (Phase, &Step)) -> Option<&'a Spot> {
        let is_it = |mark: &&Self| (mark.phase, mark.kind, &mark.name) == (phase, step.kind, &step.name);
        marks.iter().find(is_it).map(|mark| &mark.at)
    }
}

/// Names that the server would cut, and names that stand for two things.
pub(super) fn check_steps(steps: &[WrittenStep], faults: &mut Faults) {
    for (at, step) in steps.iter().enumerate() {
        let name = &step.name.text;
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
