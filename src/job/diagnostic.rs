//! What is wrong with a job, shown at the line that a person wrote.
//!
//! Must not know: TOML, flags, what a job is made of.

use std::fmt;

use serde::Serialize;

use super::source::{Excerpt, Place, Spot};

/// One thing that is wrong, where it is, and what may help. Displayed as the Rust compiler does.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnostic {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    message: String,
    hint: Option<String>,
    place: Place,
    #[serde(skip)]
    excerpt: Option<Excerpt>,
}

impl Diagnostic {
    pub(super) fn new(spot: &Spot, message: String, hint: Option<String>) -> Self {
        Self { code: None, message, hint, place: spot.place(), excerpt: spot.excerpt() }
    }

    /// Gives it a stable name, under which it can be looked up.
    #[must_use]
    pub fn coded(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// Its stable name, if it has one.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        self.code
    }

    /// What is wrong, in one sentence, with the value seen.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What may help.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Where it was written.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line_no = self.excerpt.as_ref().and_then(|excerpt| excerpt.line_no);
        let line_no = line_no.map_or(" ".to_owned(), |line_no| line_no.to_string());
        let gutter = " ".repeat(line_no.len());
        let code = self.code.map(|code| format!("[{code}]")).unwrap_or_default();
        writeln!(f, "error{code}: {}", self.message)?;
        write!(f, "{gutter}--> {}", self.place)?;
        if let Some(excerpt) = &self.excerpt {
            let indent = " ".repeat(excerpt.indent);
            let carets = "^".repeat(excerpt.width);
            write!(f, "\n{gutter} |")?;
            write!(f, "\n{line_no} | {}", excerpt.line)?;
            write!(f, "\n{gutter} | {indent}{carets}")?;
        }
        if let Some(hint) = &self.hint {
            // A hint of several lines stays in its column.
            write!(f, "\n{gutter} hint: {}", hint.replace('\n', &format!("\n{gutter} ")))?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a job, in the order of the text; never empty.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct JobErrors(Vec<Diagnostic>);

impl JobErrors {
    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }
}

impl TryFrom<Vec<Diagnostic>> for JobErrors {
    type Error = NoErrors;

    fn try_from(found: Vec<Diagnostic>) -> Result<Self, NoErrors> {
        if found.is_empty() { Err(NoErrors) } else { Ok(Self(found)) }
    }
}

/// There was nothing to complain about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoErrors;

impl<'a> IntoIterator for &'a JobErrors {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for JobErrors {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for JobErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for JobErrors {}

/// The faults found so far. A check adds to them and goes on, so that a person sees all of them at once.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

#[derive(Debug)]
struct Fault {
    spot: Spot,
    message: String,
    hint: Option<String>,
}

impl Faults {
    pub(super) fn add(&mut self, spot: &Spot, message: impl Into<String>, hint: Option<String>) {
        self.0.push(Fault { spot: spot.clone(), message: message.into(), hint });
    }

    /// Adds what was found behind a syntax error, but only what cannot be a consequence of it: nothing on its
    /// line, and nothing that is said to be missing.
    pub(super) fn add_unless_consequence(&mut self, later: Self) {
        let broken: Vec<_> = self.0.iter().map(|fault| fault.spot.line_no()).collect();
        let independent = |fault: &Fault| {
            let line_no = fault.spot.line_no();
            broken.is_empty() || (line_no.is_some() && !broken.contains(&line_no))
        };
        self.0.extend(later.0.into_iter().filter(independent));
    }

    /// The errors in the order of the text, if there are any.
    pub(super) fn into_errors(mut self) -> Option<JobErrors> {
        self.0.sort_by_key(|fault| fault.spot.start());
        let all: Vec<_> = self.0.into_iter().map(Fault::into_diagnostic).collect();
        (!all.is_empty()).then_some(JobErrors(all))
    }
}

impl Fault {
    fn into_diagnostic(self) -> Diagnostic {
        Diagnostic::new(&self.spot, self.message, self.hint)
    }
}
