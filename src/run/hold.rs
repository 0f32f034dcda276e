//! How a process or a worker is held back.
//!
//! Must not know: what holds it back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::human;

/// How a process or a worker is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Slower than it could be: a ceiling, or what the application feels.
    Throttled,
    /// Not at all for the moment: a person, the guard, the time of day.
    Paused,
    /// It would, and cannot: a lock of another session, an error that is tried again, no connection.
    Blocked,
}

impl Hold {
    /// As a person reads it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
        }
    }

    /// `paused 3 min 02 s: replica r1 is 4.2 s behind, limit 1.0 s`; a reason that begins with the word says
    /// it all.
    #[must_use]
    pub fn sentence(self, held: Duration, reason: &str) -> String {
        let time = if held < Duration::from_secs(1) { String::new() } else { human::duration(held) };
        match (reason.starts_with(self.as_str()), time.is_empty()) {
            (true, true) => reason.to_owned(),
            (true, false) => format!("{reason} ({time})"),
            (false, true) => format!("{}: {reason}", self.as_str()),
            (false, false) => format!("{} {time}: {reason}", self.as_str()),
        }
    }

    /// The hold with this spelling, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Throttled, Self::Paused, Self::Blocked].into_iter().find(|hold| hold.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_says_how_for_how_long_and_why() {
        let time = Duration::from_secs(182);
        let lag = "replica r1 is 4.2 s behind, limit 1.0 s";
        insta::assert_snapshot!(Hold::Paused.sentence(time, lag), @"paused 3 min 02 s: replica r1 is 4.2 s behind, limit 1.0 s");
        insta::assert_snapshot!(Hold::Paused.sentence(time, "paused by ada@db1"), @"paused by ada@db1 (3 min 02 s)");
        insta::assert_snapshot!(Hold::Blocked.sentence(Duration::ZERO, "no connection"), @"blocked: no connection");
    }
}
