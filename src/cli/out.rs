//! Results on stdout; a reader that goes away is no panic.
//!
//! Must not know: what is written.

use std::error::Error;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// One block of text and a line break.
pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // The cause alone ("no space left on device") would be taken for the database's.
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write to stdout: {error}")))
}

/// One JSON value on a line.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(text(&serde_json::to_string(value)?)?)
}

/// The last word of a command whose exit code is its result: a closed pipe changes nothing about that.
pub(crate) fn verdict(line: &str) -> io::Result<()> {
    match text(line) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// One block of text on stderr. Unlike `eprintln!` it does not panic when the pipe is closed.
pub(crate) fn aside(text: &str) {
    let _ = writeln!(Stderr, "{text}");
}

/// The beginning of a line on stderr that a person is to complete.
pub(crate) fn question(text: &str) {
    let _ = write!(Stderr, "{text}");
}

/// A person sits at the terminal, who can read and answer.
pub(crate) fn is_attended() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks; only a yes is one.
pub(crate) fn says_yes(asked: &str) -> io::Result<bool> {
    question(&format!("{asked} [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Stderr for libraries that panic or complain when they cannot write: what cannot be written is dropped.
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // One write for what is written at once, so that lines of several processes do not mix.
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether this error says that the pipe is closed.
pub(crate) fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Rows of a table in columns that fit their widest cell.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let line = |row: &Vec<String>| {
        let cells =
            row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "bb"], ["ccc", "d"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), "a    bb\nccc  d");
    }
}
