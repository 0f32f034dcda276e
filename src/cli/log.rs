//! Log lines on stderr: `RUST_LOG`, else by `-v` and `-q`.
//!
//! Must not know: what is logged.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::globals::{Globals, LogFormat};
use super::out;

/// From here on log lines are written.
pub(crate) fn start(globals: &Globals) {
    let level = match (globals.quiet, globals.verbose) {
        (true, _) => "off,pgbackfill=error",
        // The engine tells of lost connections itself, in an event; a log line of a dependency would only
        // tear the bar.
        (false, 0) => "off,pgbackfill=warn",
        (false, 1) => "pgbackfill=info,warn",
        (false, 2) => "pgbackfill=debug,warn",
        (false, _) => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let ansi = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| out::Stderr).with_ansi(ansi);
    match globals.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
