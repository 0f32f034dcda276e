//! Plain lines, for a log or a pipe.
//!
//! Must not know: the terminal.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::repeats::Repeats;
use super::{Observer, meter, sentence};
use crate::event::{Event, Told};

/// Pause between two lines of progress, so that a run of hours does not fill a log.
const PAUSE: Duration = Duration::from_secs(5);

/// Writes a line of progress at most every five seconds, and a line for everything that happens besides.
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
    last: Option<Instant>,
    repeats: Repeats,
}

impl<W: Write> Lines<W> {
    /// Lines go to `out`, each flushed.
    pub fn new(out: W) -> Self {
        Self { out, last: None, repeats: Repeats::default() }
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
    fn on(&mut self, told: &Told, now: Instant) -> io::Result<()> {
        let event = &told.event;
        if let Event::Progress(progress) = event {
            if !self.is_due(now) {
                return Ok(());
            }
            self.last = Some(now);
            return self.write(&meter::line(progress));
        }
        if !self.repeats.is_news(event, now) {
            return Ok(());
        }
        sentence::of(event).map_or(Ok(()), |line| self.write(&line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Progress;
    use crate::observe::summary::tests::told;
    use crate::run::{RunState, Totals};

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn progress_is_written_every_five_seconds_and_a_state_at_once() {
        let start = Instant::now();
        let mut lines = Lines::new(Vec::new());
        for half in 0..=20 {
            let progress = Progress {
                totals: Totals {
                    rows_changed: half * 500,
                    rows_passed: half * 500,
                    rows_total: 100_000,
                    ..Totals::default()
                },
                rows_per_s: if half > 0 { 1000.0 } else { 0.0 },
                eta_s: Some(100).filter(|_| half > 0),
                workers: 2,
                ..Progress::default()
            };
            lines.on(&told(Event::Progress(progress)), at(start, half * 500)).unwrap();
        }
        let paused = Event::StateChanged { state: RunState::Paused, reason: Some("by ada".into()) };
        lines.on(&told(paused), at(start, 10_100)).unwrap();
        insta::assert_snapshot!(String::from_utf8(lines.out).unwrap(), @"
        0 % · 0 rows changed · 2 workers
        5 % · 5,000 rows changed · 1.0 k rows/s · 1 min 40 s left · 2 workers
        10 % · 10,000 rows changed · 1.0 k rows/s · 1 min 40 s left · 2 workers
        paused: by ada
        ");
    }
}
