//! `[verify]`: which rows a verification judges, what has to hold for them besides `set`, and for how long
//! its result is good.
//!
//! Must not know: how rows are read.

use super::diagnostic::Faults;
use super::units::parse_long_s;
use super::written::Written;

/// A day: where nothing keeps the columns in step, what was true yesterday may not be true any more.
const WITHIN_DEFAULT_S: u64 = 86_400;

/// What a verification is to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifySettings {
    /// Which rows the job is about, done or not, where its `where` says more than what is left to do.
    pub rows: Option<String>,
    /// Columns of `set` that are compared with what it gives; none: all of them. Where people may have put
    /// something better there, what it gives is not what has to be there.
    pub columns: Option<Vec<String>>,
    /// What has to hold for each of these rows, in the order written.
    pub checks: Vec<RowCheck>,
    /// How old a verification may be that `contract` builds upon, in seconds, where no sync trigger keeps
    /// true what it has found.
    pub within_s: u64,
}

/// A condition that must not be false for any row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowCheck {
    /// Its name.
    pub name: String,
    /// The condition, as it was written.
    pub condition: String,
}

impl Default for VerifySettings {
    fn default() -> Self {
        Self { rows: None, columns: None, checks: Vec::new(), within_s: WITHIN_DEFAULT_S }
    }
}

impl VerifySettings {
    /// The keys of its table in a job file.
    pub const KEYS: [&str; 4] = ["rows", "columns", "check", "within"];
}

/// `[verify]` as it was written.
#[derive(Debug, Default)]
pub(super) struct WrittenVerify {
    pub(super) rows: Option<Written>,
    pub(super) columns: Option<Vec<Written>>,
    pub(super) checks: Vec<(Written, Written)>,
    pub(super) within: Option<Written>,
}

impl WrittenVerify {
    pub(super) fn check(&self, set: &[(Written, Written)], faults: &mut Faults) -> VerifySettings {
        let mut settings = VerifySettings {
            rows: self.rows.as_ref().map(|written| written.text.clone()),
            ..VerifySettings::default()
        };
        for column in self.columns.iter().flatten() {
            if !column.text.is_empty() && !set.iter().any(|(known, _)| known.text == column.text) {
                let message = format!("`columns` names `{}`, which is not in `set`", column.text);
                faults.add(&column.at, message, None);
            }
        }
        let columns = self.columns.as_ref();
        settings.columns = columns.map(|all| all.iter().map(|column| column.text.clone()).collect());
        for (name, condition) in &self.checks {
            let (name, condition) = (name.text.clone(), condition.text.clone());
            settings.checks.push(RowCheck { name, condition });
        }
        if let Some(written) = self.within.as_ref().filter(|written| !written.text.is_empty()) {
            settings.within_s = parse_long_s(&written.text).unwrap_or_else(|why| {
                faults.add(&written.at, why, None);
                WITHIN_DEFAULT_S
            });
        }
        settings
    }
}
