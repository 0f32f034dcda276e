//! What the demo tells the person in front of it. Plain lines, with or without a terminal.
//!
//! Must not know: how the numbers came about.

use std::io::{self, Write};

use pgbackfill::sandbox::Kept;

use super::backfill::{End, Part};
use super::proof::{Count, Parts, Seam};

/// Prints the text. At once, because a child process prints next.
pub(super) fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints a heading, set off from what came before.
pub(super) fn heading(text: &str) -> io::Result<()> {
    say(&format!("\n== {text}"))
}

/// `1,234,567`: with all its digits, because the point is that they are exact.
pub(super) fn number(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    format!("{}{}", if n < 0 { "-" } else { "" }, groups.join(","))
}

/// What was found right after the first part.
pub(super) fn seam(first: Part, seam: &Seam) -> io::Result<()> {
    let end = match first.end {
        End::Killed => "killed",
        End::Done => "done, before it could be killed,",
    };
    say(&format!(
        "\n{end} after {:.1} s; rows changed: {} by the checkpoints, {} in the table",
        first.seconds,
        number(seam.recorded),
        number(seam.changed)
    ))
}

/// The numbers and the verdict.
pub(super) fn table(parts: &Parts, count: &Count, faults: &[String]) -> io::Result<()> {
    let done_first = parts.seam.changed;
    let done_second = count.once + count.more - done_first;
    for (what, value) in [
        ("rows", number(count.never + count.once + count.more)),
        ("before the kill", rate(done_first, parts.first.seconds)),
        ("after it", rate(done_second, parts.second.seconds)),
        ("never changed", number(count.never)),
        ("changed exactly once", number(count.once)),
        ("changed more often", number(count.more)),
        ("wrong status_v2", number(count.wrong)),
    ] {
        say(&format!("{what:<22}{value:>11}"))?;
    }
    say(&verdict(faults))
}

/// Times include the start of the process, its planning and its connections.
fn rate(rows: i64, seconds: f64) -> String {
    format!("{:>11} in {seconds:.1} s, {} rows/s", number(rows), number((rows as f64 / seconds) as i64))
}

fn verdict(faults: &[String]) -> String {
    if faults.is_empty() {
        return "\nproven: killed half way, resumed, and every row was changed exactly once".into();
    }
    format!("\nNOT proven:\n{}", faults.join("\n"))
}

/// How to use and to get rid of a server that stays.
pub(super) fn kept(url: &str, kept: &Kept) -> io::Result<()> {
    heading("The server stays up")?;
    say(&format!("connect   psql '{url}'"))?;
    if let Some(pid) = kept.pid {
        say(&format!("stop      kill -INT {pid}"))?;
    }
    let dirs: Vec<_> = kept.dirs.iter().map(|dir| dir.display().to_string()).collect();
    say(&format!("delete    rm -rf {}", dirs.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        let shown = [0, 12, 123, 1_234, 12_345, 1_000_000, -1_234].map(number);
        assert_eq!(shown, ["0", "12", "123", "1,234", "12,345", "1,000,000", "-1,234"]);
    }

    #[test]
    fn every_fault_is_told() {
        let told = verdict(&["one".into(), "two".into()]);
        assert_eq!(told, "\nNOT proven:\none\ntwo");
        assert!(verdict(&[]).contains("proven: "));
    }
}
