//! A job as it was written, before anything but its grammar is checked, and the rules that make it a [`Job`].
//!
//! Must not know: whether it came from a file or from flags, whether the server will accept its SQL.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::diagnostic::Faults;
use super::guard::{CustomSignal, check_guard};
use super::model::{Job, Lookup, Marks, NewValue, SetMark};
use super::name::JobName;
use super::order::Order;
use super::pace::{Limits, Pace, check_knobs};
use super::scan::ScanSettings;
use super::source::{Source, Spot};
use super::steps::{StepMark, Steps, WrittenEnd, WrittenStep, check_steps};
use super::sync::{Sync, WrittenSync};
use super::table::TableName;
use super::undo::UndoSettings;
use super::verify::{VerifySettings, WrittenVerify};
use super::written::Written;
use crate::run::Knobs;
use crate::signal::Guard;

/// Most columns of a key: more than anyone has, and few enough for a statement a person can read.
const KEY_COLUMNS_MAX: usize = 4;

/// Where the job as a whole was written: decides where we point at what is missing.
#[derive(Debug)]
pub(super) enum Origin {
    File(Arc<Source>),
    Flags,
}

/// A job as it was written. `None` means that nothing was written.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: Option<JobName>,
    pub(super) origin: Origin,
    pub(super) description: Option<Written>,
    pub(super) table: Option<Written>,
    pub(super) key_at: Option<Spot>,
    pub(super) key: Vec<Written>,
    pub(super) set_at: Option<Spot>,
    pub(super) set: Vec<(Written, Written)>,
    pub(super) filter: Option<Written>,
    pub(super) from: Option<Written>,
    pub(super) on: Option<Written>,
    /// In the order of the file.
    pub(super) steps: Vec<WrittenStep>,
    pub(super) sync: WrittenSync,
    pub(super) end: WrittenEnd,
    pub(super) verify: WrittenVerify,
    pub(super) undo: UndoSettings,
    pub(super) pace: Pace,
    pub(super) limits: Limits,
    pub(super) order: Order,
    pub(super) scan: ScanSettings,
    pub(super) guard: Guard,
    /// Each with the place of its query.
    pub(super) signals: Vec<(CustomSignal, Spot)>,
    /// Where each setting of the pace and the limits was written.
    pub(super) settings_at: BTreeMap<&'static str, Spot>,
}

impl SetMark {
    pub(super) fn new((column, expression): &(Written, Written)) -> Self {
        Self {
            column: column.text.clone(),
            column_at: column.at.clone(),
            expression_at: expression.at.clone(),
        }
    }
}

impl NewValue {
    pub(super) fn new((column, expression): (Written, Written)) -> Self {
        Self { column: column.text, expression: expression.text }
    }
}

impl Origin {
    fn of(&self, key: &str) -> Spot {
        match self {
            Self::File(source) => Spot::whole(source),
            Self::Flags => Spot::flag(&format!("--{key}"), ""),
        }
    }
}

impl Draft {
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            name: None,
            origin,
            description: None,
            table: None,
            key_at: None,
            key: Vec::new(),
            set_at: None,
            set: Vec::new(),
            filter: None,
            from: None,
            on: None,
            steps: Vec::new(),
            sync: WrittenSync::default(),
            end: WrittenEnd::default(),
            verify: WrittenVerify::default(),
            undo: UndoSettings::default(),
            pace: Pace::default(),
            limits: Limits::default(),
            order: Order::default(),
            scan: ScanSettings::default(),
            guard: Guard::default(),
            signals: Vec::new(),
            settings_at: BTreeMap::new(),
        }
    }

    /// The job, if no rule is broken; every broken rule is a fault. None always comes with a fault.
    pub(super) fn check(self, faults: &mut Faults) -> Option<Job> {
        self.check_key(faults);
        self.check_set(faults);
        self.check_lookup(faults);
        check_steps(&self.steps, &self.end, faults);
        self.check_settings(faults);
        let (sync, verify) = (self.sync.check(faults), self.verify.check(&self.set, faults));
        let table = self.check_table(faults)?;
        Some(self.into_job(table, sync, verify))
    }

    fn check_table(&self, faults: &mut Faults) -> Option<TableName> {
        let Some(written) = &self.table else {
            let hint = "name the table to change, such as `orders` or `app.orders`";
            faults.add(&self.origin.of("table"), "`table` is missing", Some(hint.to_owned()));
            return None;
        };
        if written.text.is_empty() {
            return None;
        }
        TableName::parse(&written.text).map_err(|why| faults.add(&written.at, why, None)).ok()
    }

    fn check_key(&self, faults: &mut Faults) {
        check_unique("the key", self.key.iter(), faults);
        let Some(at) = &self.key_at else { return };
        if self.key.is_empty() {
            let hint = "leave `key` out to take the primary key";
            faults.add(at, "`key` names no column", Some(hint.to_owned()));
        }
        if self.key.len() > KEY_COLUMNS_MAX {
            let found = self.key.len();
            let message = format!("`key` names {found} columns, more than {KEY_COLUMNS_MAX}");
            faults.add(at, message, None);
        }
    }

    fn check_set(&self, faults: &mut Faults) {
        let hint = || {
            Some("give each column its SQL expression, such as `status_v2 = \"lower(status)\"`".to_owned())
        };
        match &self.set_at {
            None => faults.add(&self.origin.of("set"), "`set` is missing", hint()),
            Some(at) if self.set.is_empty() => faults.add(at, "`set` names no column", hint()),
            Some(_) => {}
        }
        check_unique("`set`", self.set.iter().map(|(column, _)| column), faults);
        for (column, _) in &self.set {
            if !column.text.is_empty() && self.key.iter().any(|key| key.text == column.text) {
                let message = format!("column `{}` is both in the key and in `set`", column.text);
                let hint = "a key that moves would be passed twice or never: use another key";
                faults.add(&column.at, message, Some(hint.to_owned()));
            }
        }
    }

    fn check_lookup(&self, faults: &mut Faults) {
        let (given, lacking, example) = match (&self.from, &self.on) {
            (Some(from), None) => (from, ("from", "on"), "u.legacy_id = orders.legacy_user_id"),
            (None, Some(on)) => (on, ("on", "from"), "users AS u"),
            _ => return,
        };
        let (here, there) = lacking;
        let hint = format!("add `{there}`, such as `{example}`");
        faults.add(&given.at, format!("`{here}` without `{there}`"), Some(hint));
    }

    fn check_settings(&self, faults: &mut Faults) {
        if let Err(why) = check_knobs(&self.pace.knobs) {
            faults.add(&self.setting_at(["min_rows_per_batch", "max_rows_per_batch"]), why, None);
        }
        if let Err(why) = check_guard(&self.guard) {
            // The message begins with the setting at fault.
            let setting = why.split(' ').next().unwrap_or_default();
            let stop = setting.replace("_slow", "_stop");
            faults.add(&self.setting_at([setting, &stop]), why.clone(), None);
        }
        let batch_ms = self.pace.knobs.batch_time_ms;
        if let Some(timeout_ms) = self.limits.statement_timeout_ms.filter(|ms| *ms <= batch_ms) {
            let message = format!(
                "statement_timeout is {timeout_ms} ms, not more than batch_time, which is {batch_ms} ms"
            );
            let hint = "give a statement several times the batch_time";
            let at = self.setting_at(["statement_timeout", "batch_time"]);
            faults.add(&at, message, Some(hint.to_owned()));
        }
    }

    /// The first of the settings that was written.
    fn setting_at(&self, settings: [&str; 2]) -> Spot {
        let written = settings.iter().find_map(|setting| self.settings_at.get(setting));
        written.cloned().unwrap_or_else(|| self.origin.of(&settings[0].replace('_', "-")))
    }

    fn into_job(self, table: TableName, sync: Option<Sync>, verify: VerifySettings) -> Job {
        let at = |written: &Option<Written>| written.as_ref().map(|written| written.at.clone());
        let text = |written: Option<Written>| written.map(|written| written.text);
        let (signals, signals_at) = self.signals.into_iter().unzip();
        let marks = Marks {
            table: at(&self.table).unwrap_or_else(|| self.origin.of("table")),
            key: self.key_at,
            set: self.set.iter().map(SetMark::new).collect(),
            filter: at(&self.filter),
            from: at(&self.from),
            on: at(&self.on),
            signals: signals_at,
            order: self.settings_at.get("order").cloned(),
            steps: StepMark::all(&self.steps, &self.sync, &self.end),
            rows: at(&self.verify.rows),
            checks: self.verify.checks.iter().map(|(_, condition)| condition.at.clone()).collect(),
        };
        let set: Vec<_> = self.set.into_iter().map(NewValue::new).collect();
        Job {
            name: self.name.unwrap_or_else(|| default_name(&table, &set)),
            description: text(self.description),
            table,
            key: self.key.into_iter().map(|column| column.text).collect(),
            set,
            filter: text(self.filter),
            lookup: text(self.from).zip(text(self.on)).map(|(from, on)| Lookup { from, on }),
            steps: Steps::new(&self.steps, sync, &self.end),
            verify,
            undo: self.undo,
            pace: Pace { knobs: Knobs { guard: self.guard, ..self.pace.knobs } },
            limits: self.limits,
            order: self.order,
            scan: self.scan,
            signals,
            marks,
        }
    }
}

/// `orders_status_v2` for a job that sets `status_v2` of `orders`.
fn default_name(table: &TableName, set: &[NewValue]) -> JobName {
    let columns = set.iter().map(|assignment| assignment.column.as_str());
    let parts: Vec<_> = std::iter::once(table.name.as_str()).chain(columns).collect();
    JobName::coined(&parts.join("_"))
}

fn check_unique<'a>(whole: &str, columns: impl Iterator<Item = &'a Written>, faults: &mut Faults) {
    let mut seen: Vec<&str> = Vec::new();
    for column in columns.filter(|column| !column.text.is_empty()) {
        if seen.contains(&column.text.as_str()) {
            faults.add(&column.at, format!("column `{}` is twice in {whole}", column.text), None);
        }
        seen.push(&column.text);
    }
}
