//! A job as text: to store it, to compare it, and to know it again.
//!
//! Must not know: where the job came from.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::Job;
use super::pace::{Kind, Settings};

/// Grows when the same job must no longer be taken for the same.
const FINGERPRINT_VERSION: &[u8] = b"pgbackfill job 1";

/// The whole job as TOML.
pub(super) fn whole(job: &Job) -> String {
    let mut out = String::new();
    if let Some(description) = &job.description {
        item(&mut out, "description", description);
    }
    out.push_str(&definition(job));
    section(&mut out, "pace", &job.pace);
    section(&mut out, "limits", &job.limits);
    section(&mut out, "order", &job.order);
    section(&mut out, "guard", &job.pace.knobs.guard);
    for signal in &job.signals {
        out.push_str("\n[[guard.sql]]\n");
        item(&mut out, "name", &signal.name);
        item(&mut out, "query", &signal.query);
        let _ = writeln!(out, "limit = {:?}", signal.limit);
    }
    out
}

/// What decides the result, as TOML.
pub(super) fn definition(job: &Job) -> String {
    let mut out = String::new();
    item(&mut out, "table", &job.table.to_string());
    if !job.key.is_empty() {
        let columns: Vec<_> = job.key.iter().map(|column| basic(column)).collect();
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
        item(&mut out, &format!("set.{}", bare_or_basic(&assignment.column)), &assignment.expression);
    }
    out
}

/// Lower-case hex of a SHA-256 over what decides the result. Each part has its length in front, so that no two jobs can
/// run together to the same bytes.
pub(super) fn fingerprint(job: &Job) -> String {
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
    for (setting, value) in written {
        let value = match S::kind(setting) {
            Some(Kind::Count | Kind::Flag) => value,
            Some(Kind::CountOrOff) if value.parse::<u64>().is_ok() => value,
            Some(Kind::Names) => {
                let names: Vec<_> = value.split(", ").filter(|name| !name.is_empty()).map(basic).collect();
                format!("[{}]", names.join(", "))
            }
            _ => basic(&value),
        };
        let _ = writeln!(out, "{setting} = {value}");
    }
}

fn item(out: &mut String, key: &str, text: &str) {
    let _ = writeln!(out, "{key} = {}", toml_text(text));
}

/// A text of several lines keeps its lines, so that a diff between two jobs shows the line that changed.
fn toml_text(text: &str) -> String {
    let plain = text.chars().all(|c| matches!(c, '\t' | '\n') || !c.is_control());
    let reads_better_literal = plain && text.contains(['"', '\\']);
    match text {
        text if !text.contains('\n') && reads_better_literal && !text.contains('\'') => format!("'{text}'"),
        text if !text.contains('\n') => basic(text),
        // SQL has single quotes; three of them in a row, or one at the end, would close the literal.
        text if reads_better_literal && !text.contains("'''") && !text.ends_with('\'') => {
            format!("'''\n{text}'''")
        }
        text => format!("\"\"\"\n{}\"\"\"", escaped(text)),
    }
}

fn bare_or_basic(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !key.is_empty() && key.chars().all(bare) {
        return key.to_owned();
    }
    basic(key)
}

/// A basic string on one line.
fn basic(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace('\n', "\\n"))
}

/// What TOML wants escaped; line feeds stay.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
