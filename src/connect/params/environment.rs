//! The environment, as the caller lets it be looked up.
//!
//! Must not know: the process's environment.

use std::path::PathBuf;

/// Looks up one environment variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The person's directory, in which libpq has its files.
pub(super) fn home_directory(environment: Lookup<'_>) -> Option<PathBuf> {
    environment("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}
