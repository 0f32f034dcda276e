//! Who watches a run: a bar on a terminal, lines elsewhere, JSON for programs, next to nothing with `-q`.
//!
//! Must not know: where events come from.

use std::io::{self, IsTerminal};
use std::time::Instant;

use indicatif::ProgressDrawTarget;
use pgbackfill::event::{Summary, Told};
use pgbackfill::observe::{Bar, Json, Lines, Observer, Quiet, summary};
use tokio::sync::mpsc::UnboundedReceiver;

use super::globals::{Globals, Output};
use super::out;

/// The observer that fits the terminal and the flags.
pub(crate) fn observer(globals: &Globals, output: Output) -> Box<dyn Observer + Send> {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    // Log lines would tear the bar.
    let logs = globals.verbose > 0 || std::env::var_os("RUST_LOG").is_some();
    match output {
        Output::Json => Box::new(Json::new(io::stdout())),
        Output::Text if globals.quiet => Box::new(Quiet::new(io::stderr())),
        Output::Text if io::stderr().is_terminal() && !dumb && !logs => {
            Box::new(Bar::new(ProgressDrawTarget::stderr()))
        }
        Output::Text => Box::new(Lines::new(io::stderr())),
    }
}

/// Shows events until the engine has left. Blocks: a terminal that was stopped with Ctrl-S makes its writer
/// wait, and no worker may wait with it, so this belongs on a thread of its own.
pub(crate) fn events(mut observer: Box<dyn Observer + Send>, mut events: UnboundedReceiver<Told>) {
    while let Some(told) = events.blocking_recv() {
        if let Err(error) = observer.on(&told, Instant::now()) {
            tracing::warn!(%error, "the progress cannot be written any more");
            break;
        }
        if told.event.is_last() {
            break;
        }
    }
    // The run is not concerned by who watches it; draining keeps the channel from growing.
    while events.blocking_recv().is_some() {}
}

/// The last word, for a person.
pub(crate) fn last_word(globals: &Globals, output: Output, last: &Summary) -> io::Result<()> {
    if output == Output::Json || globals.quiet { Ok(()) } else { out::verdict(&summary::text(last)) }
}
