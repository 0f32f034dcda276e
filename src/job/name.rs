//! The name of a job.
//!
//! Must not know: what the job does.

use std::fmt;

use serde::Serialize;

/// Longest name, so that it fits wherever PostgreSQL takes a name (`application_name`, identifiers).
const LEN_MAX: usize = 63;

/// A job's name: 1 to 63 of `a-z A-Z 0-9 _ . -`, so that it needs quotes neither in a shell nor in a log
/// line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct JobName(String);

/// Why a text is not the name of a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobNameError {
    /// There is nothing.
    #[error("the name of a job is empty")]
    Empty,
    /// It has more than 63 characters.
    #[error("the name of a job has {len} characters, more than {LEN_MAX}: `{name}`")]
    TooLong {
        /// The name seen.
        name: String,
        /// Its length in characters.
        len: usize,
    },
    /// It has a character that is not allowed.
    #[error("the name of a job has the character {found:?}, not one of a-z A-Z 0-9 _ . -: `{}`", .name.escape_debug())]
    OddCharacter {
        /// The name seen.
        name: String,
        /// The first such character.
        found: char,
    },
}

impl JobName {
    /// The name, if it is one.
    pub fn new(name: &str) -> Result<Self, JobNameError> {
        let owned = || name.to_owned();
        if let Some(found) = name.chars().find(|c| !is_allowed(*c)) {
            return Err(JobNameError::OddCharacter { name: owned(), found });
        }
        match name.len() {
            0 => Err(JobNameError::Empty),
            1..=LEN_MAX => Ok(Self(owned())),
            len => Err(JobNameError::TooLong { name: owned(), len }),
        }
    }

    /// The name for a job that was given none: `text` with every odd character replaced, cut to what is
    /// allowed.
    pub(super) fn coined(text: &str) -> Self {
        let name: String = text.chars().map(|c| if is_allowed(c) { c } else { '_' }).take(LEN_MAX).collect();
        Self(if name.is_empty() { "_".to_owned() } else { name })
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_63_characters_is_the_longest() {
        assert!(JobName::new(&"a".repeat(63)).is_ok());
        let error = JobName::new(&"a".repeat(64)).unwrap_err();
        assert!(error.to_string().starts_with("the name of a job has 64 characters, more than 63: `aaa"));
    }

    #[test]
    fn an_odd_character_is_named() {
        let error = JobName::new("a b\n").unwrap_err();
        insta::assert_snapshot!(error, @r"the name of a job has the character ' ', not one of a-z A-Z 0-9 _ . -: `a b\n`");
        assert_eq!(JobName::new(""), Err(JobNameError::Empty));
    }

    #[test]
    fn a_coined_name_is_always_a_name() {
        for text in ["", "Odd.Name_größe x", &"ä".repeat(200)] {
            let name = JobName::coined(text);
            assert_eq!(JobName::new(name.as_str()), Ok(name.clone()));
        }
    }
}
