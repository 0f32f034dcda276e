//! `sync` of `[expand]`: how what is set is kept in step with what it is made of.
//!
//! Must not know: how a trigger does that.

use super::diagnostic::Faults;
use super::source::Spot;
use super::written::Written;

/// Which value holds where a writer changes both what is set and what it is made of, and they disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// That of the old columns.
    Old,
    /// That of the new ones.
    New,
    /// None: the write is refused.
    Error,
}

/// How what is set is kept in step with what it is made of, for every write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Columns that are made of what is set, each with its expression: both ways while two releases run.
    pub back: Vec<(String, String)>,
    /// Who wins.
    pub conflict: Conflict,
    /// Whether an expression that fails makes the application's write fail.
    pub raise: bool,
}

/// Sync as it was written.
#[derive(Debug, Default)]
pub(super) struct WrittenSync {
    pub(super) at: Option<Spot>,
    pub(super) forward: bool,
    pub(super) back: Vec<(Written, Written)>,
    pub(super) conflict: Option<Written>,
    pub(super) on_error: Option<Written>,
}

impl Conflict {
    const ALL: [(&'static str, Self); 3] = [("old", Self::Old), ("new", Self::New), ("error", Self::Error)];

    /// As a job file writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, conflict)| *conflict == self).map_or("", |(name, _)| name)
    }
}

impl Sync {
    /// What holds where the job says nothing.
    fn default_conflict(back: bool) -> Conflict {
        if back { Conflict::New } else { Conflict::Old }
    }
}

impl WrittenSync {
    /// The keys of `sync` in a job file.
    pub(super) const KEYS: [&'static str; 4] = ["forward", "back", "conflict", "on_error"];

    /// What was written, if it asks for anything; every fault of it is added.
    pub(super) fn check(&self, faults: &mut Faults) -> Option<Sync> {
        let at = self.at.as_ref()?;
        if !self.forward && !self.back.is_empty() {
            let hint = "write sync.forward = true, or leave sync.back out".to_owned();
            faults.add(at, "`sync.back` without `sync.forward`", Some(hint));
        }
        let conflict =
            self.conflict.as_ref().filter(|written| !written.text.is_empty()).and_then(|written| {
                let found = Conflict::ALL.iter().find(|(name, _)| *name == written.text);
                if found.is_none() {
                    let message = format!("`{}` is not `old`, `new` or `error`", written.text.escape_debug());
                    faults.add(&written.at, message, None);
                }
                found.map(|(_, conflict)| *conflict)
            });
        if let Some(written) =
            self.conflict.as_ref().filter(|_| conflict == Some(Conflict::New) && self.back.is_empty())
        {
            let hint = "say with sync.back how the old column follows the new one".to_owned();
            faults.add(&written.at, "`sync.conflict = \"new\"` without `sync.back`", Some(hint));
        }
        let raise = match self.on_error.as_ref().map(|written| (written, written.text.as_str())) {
            None | Some((_, "null" | "")) => false,
            Some((_, "raise")) => true,
            Some((written, other)) => {
                let message = format!("`{}` is neither `null` nor `raise`", other.escape_debug());
                faults.add(&written.at, message, None);
                false
            }
        };
        let back: Vec<_> =
            self.back.iter().map(|(column, written)| (column.text.clone(), written.text.clone())).collect();
        let conflict = conflict.unwrap_or_else(|| Sync::default_conflict(!back.is_empty()));
        self.forward.then_some(Sync { back, conflict, raise })
    }
}
