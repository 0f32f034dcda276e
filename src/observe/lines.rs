//! Plain lines, for a log or a pipe.
//!
//! Must not know: the terminal.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::meter::Meter;
use super::repeats::Repeats;
use super::{Now, Observer, sentence};
use crate::event::Event;

/// Pause between two lines of progress, so that a run of hours does not fill a log.
const PAUSE: Duration = Duration::from_secs(5);

/// Writes a line of progress at most every five seconds, and a line for everything that happens besides.
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
    meter: Meter,
    last: Option<Instant>,
    repeats: Repeats,
}

impl<W: Write> Lines<W> {
    /// Lines go to `out`, each flushed.
    pub fn new(out: W) -> Self {
        Self { out, meter: Meter::default(), last: None, repeats: Repeats::default() }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        // One write a line: other processes may write to the same log.
        self.out.write_all(format!("{line}\n").as_bytes())?;
        self.out.flush()
    }

    fn is_due(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE)
    }
}

impl<W: Write> Observer for Lines<W> {
    fn on(&mut self, event: &Event, now: Now) -> io::Result<()> {
        if let Event::Progress(progress) = event {
            // The meter takes every sample, also of those that are not shown.
            let line = self.meter.read(progress, now.instant);
            if !self.is_due(now.instant) {
                return Ok(());
            }
            self.last = Some(now.instant);
            return self.write(&line);
        }
        if !self.repeats.is_news(event, now.instant) {
            return Ok(());
        }
        sentence::of(event).map_or(Ok(()), |line| self.write(&line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Progress;
    use crate::run::RunState;

    fn at(start: Now, ms: u64) -> Now {
        Now { instant: start.instant + Duration::from_millis(ms), ..start }
    }

    #[test]
    fn progress_is_written_every_five_seconds_and_a_state_at_once() {
        let start = Now::read();
        let mut lines = Lines::new(Vec::new());
        for half in 0..=20 {
            let progress = Progress {
                rows_changed: half * 500,
                rows_passed: half * 500,
                rows_total: 100_000,
                workers: 2,
                ..Progress::default()
            };
            lines.on(&Event::Progress(progress), at(start, half * 500)).unwrap();
        }
        let paused = Event::StateChanged { state: RunState::Paused, reason: Some("by ada".into()) };
        lines.on(&paused, at(start, 10_100)).unwrap();
        insta::assert_snapshot!(String::from_utf8(lines.out).unwrap(), @"
        0 % · 0 rows changed · 2 workers
        5 % · 5,000 rows changed · 1.0 k rows/s · 1 min 35 s left · 2 workers
        10 % · 10,000 rows changed · 1.0 k rows/s · 1 min 30 s left · 2 workers
        paused: by ada
        ");
    }
}
