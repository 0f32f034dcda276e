//! A job as text: to store it, to compare it, and to know it again.
//!
//! Must not know: where the job came from.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use toml_writer::{ToTomlKey as _, ToTomlValue as _, TomlKeyBuilder, TomlStringBuilder};

use super::model::Job;
use super::settings::{Kind, Settings};
use super::steps::{FreeStep, Phase, Step, StepKind};
use super::sync::Sync;
use super::verify::{RowCheck, VerifySettings};

/// Grows when the same job must no longer be taken for the same.
const FINGERPRINT_VERSION: &[u8] = b"pgbackfill job 1";

impl Job {
    /// The whole job but its name as TOML, in one canonical form: what is stored. Reading it gives an equal
    /// job.
    #[must_use]
    pub fn text(&self) -> String {
        whole(self)
    }

    /// Lower-case hex SHA-256 of what decides the result: table, key, set, where, from, on.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(self)
    }

    /// Lower-case hex SHA-256 of what decides the result of a verification: the fingerprint, and `[verify]`
    /// but for how long it counts.
    #[must_use]
    pub fn verify_fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        feed(&mut hash, self.fingerprint().as_bytes());
        feed_optional(&mut hash, self.verify.rows.as_ref());
        feed_optional(&mut hash, self.verify.columns.as_ref().map(|columns| columns.join("\0")).as_ref());
        feed_count(&mut hash, self.verify.checks.len());
        for RowCheck { name, condition } in &self.verify.checks {
            feed(&mut hash, name.as_bytes());
            feed(&mut hash, condition.as_bytes());
        }
        hex(hash)
    }

    /// What the fingerprint covers as TOML, an item a line, for a diff between two jobs.
    #[must_use]
    pub fn definition(&self) -> String {
        definition(self)
    }
}

/// The whole job as TOML.
fn whole(job: &Job) -> String {
    let mut out = String::new();
    if let Some(description) = &job.description {
        item(&mut out, "description", description);
    }
    out.push_str(&definition(job));
    steps(&mut out, Phase::Expand, job);
    verify(&mut out, &job.verify);
    steps(&mut out, Phase::Contract, job);
    section(&mut out, "undo", &job.undo);
    section(&mut out, "pace", &job.pace);
    section(&mut out, "limits", &job.limits);
    section(&mut out, "order", &job.order);
    section(&mut out, "scan", &job.scan);
    section(&mut out, "guard", &job.pace.knobs.guard);
    for signal in &job.signals {
        out.push_str("\n[[guard.sql]]\n");
        item(&mut out, "name", &signal.name);
        item(&mut out, "query", &signal.query);
        let _ = writeln!(out, "limit = {:?}", signal.limit);
    }
    out
}

/// A phase with its steps, as TOML.
fn steps(out: &mut String, phase: Phase, job: &Job) {
    let steps = job.steps.of(phase);
    let drops = if phase == Phase::Contract { &job.steps.drop[..] } else { &[] };
    if steps.is_empty() && drops.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n[{}]", phase.as_str());
    let not_null: Vec<_> =
        steps.iter().filter(|step| step.kind == StepKind::NotNull).map(|step| value(&step.name)).collect();
    if !not_null.is_empty() {
        let _ = writeln!(out, "not_null = [{}]", not_null.join(", "));
    }
    for step in steps {
        match (step.kind, &job.steps.sync) {
            (StepKind::NotNull | StepKind::Free, _) | (StepKind::Sync, None) => {}
            (StepKind::Type, _) => {
                let labels: Vec<_> = step.definition.lines().map(value).collect();
                let _ = writeln!(out, "type.{} = [{}]", key(&step.name), labels.join(", "));
            }
            (StepKind::Sync, Some(asked)) => sync(out, asked),
            (kind, _) => item(out, &format!("{}.{}", kind.as_str(), key(&step.name)), &step.definition),
        }
    }
    if !drops.is_empty() {
        let names: Vec<_> = drops.iter().map(|step| value(&step.name)).collect();
        let _ = writeln!(out, "drop = [{}]\nkeep = \"{}s\"", names.join(", "), job.steps.keep_s);
    }
    // At the end of their section, because each has a head of its own.
    for step in steps {
        free(out, phase, step);
    }
}

fn verify(out: &mut String, settings: &VerifySettings) {
    let VerifySettings { rows, columns, checks, within_s } = settings;
    if *settings == VerifySettings::default() {
        return;
    }
    out.push_str("\n[verify]\n");
    if let Some(rows) = rows {
        item(out, "rows", rows);
    }
    if let Some(columns) = columns {
        let columns: Vec<_> = columns.iter().map(|column| value(column)).collect();
        let _ = writeln!(out, "columns = [{}]", columns.join(", "));
    }
    for RowCheck { name, condition } in checks {
        item(out, &format!("check.{}", key(name)), condition);
    }
    let _ = writeln!(out, "within = \"{within_s}s\"");
}

/// A step of the job's own.
fn free(out: &mut String, phase: Phase, step: &Step) {
    let Some(FreeStep { statements, undo, done, concurrently }) = &step.free else { return };
    let _ = writeln!(out, "\n[[{}.step]]", phase.as_str());
    item(out, "name", &step.name);
    match &statements[..] {
        [one] => item(out, "do", one),
        all => {
            let all: Vec<_> = all.iter().map(|one| value(one)).collect();
            let _ = writeln!(out, "do = [{}]", all.join(", "));
        }
    }
    for (key, text) in [("undo", undo), ("done", done)] {
        if let Some(text) = text {
            item(out, key, text);
        }
    }
    if *concurrently {
        out.push_str("concurrently = true\n");
    }
}

fn sync(out: &mut String, sync: &Sync) {
    out.push_str("sync.forward = true\n");
    for (column, expression) in &sync.back {
        item(out, &format!("sync.back.{}", key(column)), expression);
    }
    item(out, "sync.conflict", sync.conflict.as_str());
    item(out, "sync.on_error", if sync.raise { "raise" } else { "null" });
}

/// What decides the result, as TOML.
fn definition(job: &Job) -> String {
    let mut out = String::new();
    item(&mut out, "table", &job.table.to_string());
    if !job.key.is_empty() {
        let columns: Vec<_> = job.key.iter().map(|column| value(column)).collect();
        let _ = writeln!(out, "key = [{}]", columns.join(", "));
    }
    for (name, text) in [
        ("where", &job.filter),
        ("from", &job.lookup.as_ref().map(|lookup| lookup.from.clone())),
        ("on", &job.lookup.as_ref().map(|lookup| lookup.on.clone())),
    ] {
        if let Some(text) = text {
            item(&mut out, name, text);
        }
    }
    for assignment in &job.set {
        item(&mut out, &format!("set.{}", key(&assignment.column)), &assignment.expression);
    }
    out
}

/// Lower-case hex of a SHA-256 over what decides the result. Each part has its length in front, so that no
/// two jobs can run together to the same bytes.
fn fingerprint(job: &Job) -> String {
    let mut hash = Sha256::new();
    let (from, on) = job.lookup.as_ref().map(|lookup| (&lookup.from, &lookup.on)).unzip();
    feed(&mut hash, FINGERPRINT_VERSION);
    feed_optional(&mut hash, job.table.schema.as_ref());
    feed(&mut hash, job.table.name.as_bytes());
    feed_count(&mut hash, job.key.len());
    job.key.iter().for_each(|column| feed(&mut hash, column.as_bytes()));
    feed_count(&mut hash, job.set.len());
    for assignment in &job.set {
        feed(&mut hash, assignment.column.as_bytes());
        feed(&mut hash, assignment.expression.as_bytes());
    }
    feed_optional(&mut hash, job.filter.as_ref());
    feed_optional(&mut hash, from);
    feed_optional(&mut hash, on);
    hex(hash)
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn feed(hash: &mut Sha256, part: &[u8]) {
    feed_count(hash, part.len());
    hash.update(part);
}

fn feed_count(hash: &mut Sha256, count: usize) {
    hash.update((count as u64).to_be_bytes());
}

/// A part that is not there is not the same as one that is empty.
fn feed_optional(hash: &mut Sha256, part: Option<&String>) {
    feed_count(hash, usize::from(part.is_some()));
    if let Some(part) = part {
        feed(hash, part.as_bytes());
    }
}

fn section<S: Settings>(out: &mut String, name: &str, settings: &S) {
    let written = settings.written();
    if written.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n[{name}]");
    for (setting, text) in written {
        let shown = match S::kind(setting) {
            Some(Kind::Count | Kind::Flag) => text,
            Some(Kind::CountOrOff) if text.parse::<u64>().is_ok() => text,
            Some(Kind::Names) => {
                let names: Vec<_> = text.split(", ").filter(|name| !name.is_empty()).map(value).collect();
                format!("[{}]", names.join(", "))
            }
            _ => value(&text),
        };
        let _ = writeln!(out, "{setting} = {shown}");
    }
}

fn item(out: &mut String, key: &str, text: &str) {
    let _ = writeln!(out, "{key} = {}", value(text));
}

/// A text as TOML writes it best; one of several lines keeps its lines, so that a diff between two jobs shows
/// the line that changed.
fn value(text: &str) -> String {
    TomlStringBuilder::new(text).as_default().to_toml_value()
}

fn key(name: &str) -> String {
    TomlKeyBuilder::new(name).as_default().to_toml_key()
}
