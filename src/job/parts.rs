//! A job without a file: from flags to a draft.
//!
//! Must not know: how flags are parsed.

use std::collections::BTreeMap;

use super::diagnostic::Faults;
use super::draft::{Draft, Origin};
use super::name::JobName;
use super::order::Order;
use super::pace::{Limits, Pace};
use super::scan::ScanSettings;
use super::settings::Settings;
use super::source::Spot;
use super::written::Written;
use crate::signal::Guard;

/// What the flags say. Places are then named by flag: `--set`.
#[derive(Clone, Debug, Default)]
pub struct JobParts {
    /// The name; by default the table and the columns that are set.
    pub name: Option<JobName>,
    /// What the job is for.
    pub description: Option<String>,
    /// The table, as SQL writes it.
    pub table: String,
    /// The key's columns; empty for the primary key.
    pub key: Vec<String>,
    /// Each `column = expression`; the column is taken literally or, in double quotes, as SQL does.
    pub set: Vec<String>,
    /// Which rows.
    pub filter: Option<String>,
    /// A FROM item, together with `on`.
    pub from: Option<String>,
    /// How it is joined.
    pub on: Option<String>,
    /// How fast.
    pub pace: Pace,
    /// How patient.
    pub limits: Limits,
    /// In which order.
    pub order: Order,
    /// How the rows are walked.
    pub scan: ScanSettings,
    /// What slows down and what stops.
    pub guard: Guard,
}

/// The draft of a job, with the faults found on the way.
pub(super) fn read(parts: JobParts) -> (Draft, Faults) {
    let mut faults = Faults::default();
    let mut draft = Draft::new(Origin::Flags);
    let mut text = |flag: &str, text: &String| Written::new(flag, text, Spot::flag(flag, text), &mut faults);
    draft.description = parts.description.as_ref().map(|value| text("--description", value));
    draft.table = Some(text("--table", &parts.table));
    draft.key = parts.key.iter().map(|value| text("--key", value)).collect();
    draft.key_at = draft.key.first().map(|_| Spot::flag("--key", &parts.key.join(", ")));
    draft.filter = parts.filter.as_ref().map(|value| text("--where", value));
    draft.from = parts.from.as_ref().map(|value| text("--from", value));
    draft.on = parts.on.as_ref().map(|value| text("--on", value));
    draft.set = parts.set.iter().map(|value| assignment(value, &mut faults)).collect();
    draft.set_at = parts.set.first().map(|value| Spot::flag("--set", value));
    draft.pace = settings(&parts.pace, &mut draft.settings_at, &mut faults);
    draft.limits = settings(&parts.limits, &mut draft.settings_at, &mut faults);
    draft.order = settings(&parts.order, &mut draft.settings_at, &mut faults);
    draft.scan = settings(&parts.scan, &mut draft.settings_at, &mut faults);
    draft.guard = settings(&parts.guard, &mut draft.settings_at, &mut faults);
    draft.name = parts.name;
    (draft, faults)
}

/// Splits at the first `=` behind the column: an expression may have more of them.
fn assignment(text: &str, faults: &mut Faults) -> (Written, Written) {
    let all = Spot::flag("--set", text);
    let Some((column, expression_start)) = split(text) else {
        let hint = "write --set \"column = expression\"".to_owned();
        faults.add(&all, "`--set` is not `column = expression`", Some(hint));
        return (Written::broken(all.clone()), Written::broken(all));
    };
    let expression = text[expression_start..].trim();
    let start = text.len() - text[expression_start..].trim_start().len();
    let name_start = text.len() - text.trim_start().len();
    let name_end = text[..expression_start - 1].trim_end().len();
    (
        Written::new("the column of `--set`", &column, all.part(&(name_start..name_end)), faults),
        Written::new(
            "the expression of `--set`",
            expression,
            all.part(&(start..start + expression.len())),
            faults,
        ),
    )
}

/// The column, and where the text behind the `=` begins.
fn split(text: &str) -> Option<(String, usize)> {
    if !text.trim_start().starts_with('"') {
        let at = text.find('=')?;
        return Some((text[..at].trim().to_owned(), at + 1));
    }
    let quoted_start = text.find('"')?;
    let mut column = String::new();
    let mut rest = &text[quoted_start + 1..];
    loop {
        let (before, after) = rest.split_once('"')?;
        column.push_str(before);
        let Some(more) = after.strip_prefix('"') else {
            let expression = after.trim_start().strip_prefix('=')?;
            return Some((column, text.len() - expression.len()));
        };
        column.push('"');
        rest = more;
    }
}

/// Passes the settings through the same door as those of a file, so that no range can be forgotten.
fn settings<S: Settings>(given: &S, at: &mut BTreeMap<&'static str, Spot>, faults: &mut Faults) -> S {
    let mut checked = S::default();
    for (setting, value) in given.written() {
        let flag = format!("--{}", setting.replace('_', "-"));
        let spot = Spot::flag(&flag, &value);
        if let Err(why) = checked.set(setting, &value) {
            faults.add(&spot, format!("`{flag}`: {why}"), None);
        }
        at.insert(setting, spot);
    }
    checked
}
