//! A finding as a person reads it.
//!
//! Must not know: what is looked for.

use pgbackfill::plan::review::Finding;

/// `warning[code]: what was seen`, and what may be done on a line of its own.
pub(crate) fn text(finding: &Finding) -> String {
    let Finding { code, severity, fact, remedy } = finding;
    format!("{}[{code}]: {fact}\n  hint: {remedy}", severity.as_str())
}
