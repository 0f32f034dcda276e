//! What every group of settings has in common: names, kinds of values, and what is said of an unknown one.
//!
//! Must not know: which groups there are.

use super::suggest::did_you_mean;

/// What TOML type a setting has in a job file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Count,
    CountOrOff,
    Duration,
    Bytes,
    Flag,
    Names,
}

/// A group of settings that can be written, read by name and checked.
pub(super) trait Settings: Default {
    const ALL: &'static [(&'static str, Kind)];

    /// Changes one setting; the error names the value and an example.
    fn set(&mut self, setting: &str, value: &str) -> Result<(), String>;

    /// Those that are set, in the order of a job file, each as `set` takes it.
    fn written(&self) -> Vec<(&'static str, String)>;

    fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(name, _)| *name)
    }

    fn kind(setting: &str) -> Option<Kind> {
        Self::ALL.iter().find(|(name, _)| *name == setting).map(|(_, kind)| *kind)
    }
}

/// What is said of a setting that there is not.
pub(super) fn unknown_setting<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    let seen = unknown.escape_debug();
    match did_you_mean(unknown, known.iter().copied()) {
        Some(word) => format!("unknown setting `{seen}`, did you mean `{word}`?"),
        None => format!("unknown setting `{seen}`, not one of {}", known.join(", ")),
    }
}
