//! The progress bar, for a person at a terminal.
//!
//! Must not know: how the numbers come about.

use std::io;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::repeats::Repeats;
use super::{Observer, meter, sentence};
use crate::event::{Event, Told};
use crate::human::percent;

/// A short gauge, then the line of the meter, cut where the terminal ends: so it is always one line.
const TEMPLATE: &str = "{bar:12} {wide_msg}";

/// Draws one line that is drawn again, and everything else that happens above it.
#[derive(Debug)]
pub struct Bar {
    gauge: ProgressBar,
    repeats: Repeats,
}

impl Bar {
    /// Draws on `target`, which must be a terminal: on anything else indicatif shows nothing at all, not even
    /// the lines.
    #[must_use]
    pub fn new(target: ProgressDrawTarget) -> Self {
        let gauge = ProgressBar::with_draw_target(Some(100), target);
        // The template is a constant that a test draws; a wrong one would only look plainer.
        gauge.set_style(
            ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self { gauge, repeats: Repeats::default() }
    }
}

impl Observer for Bar {
    fn on(&mut self, told: &Told, now: Instant) -> io::Result<()> {
        match &told.event {
            Event::Progress(progress) => {
                self.gauge.set_message(meter::line(progress));
                let totals = &progress.totals;
                self.gauge.set_position(percent(totals.passed(), totals.total()).unwrap_or(0));
            }
            // The summary is a result, and an error is one, too: the caller prints them, on a clean line.
            Event::Left(_) | Event::Failed { .. } => self.gauge.finish_and_clear(),
            event if !self.repeats.is_news(event, now) => {}
            event => {
                if let Some(line) = sentence::of(event) {
                    self.gauge.println(line);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;
    use crate::event::{Outcome, Progress};
    use crate::observe::summary::{self, tests::told};
    use crate::run::Totals;

    /// A terminal that keeps what is written to it, without what only moves the cursor.
    #[derive(Clone, Debug)]
    struct Screen {
        columns: u16,
        written: Arc<Mutex<String>>,
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            self.columns
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.written.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.write_str("\r")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn draw(columns: u16, events: &[Event]) -> String {
        let written = Arc::default();
        let screen = Screen { columns, written: Arc::clone(&written) };
        let mut bar = Bar::new(ProgressDrawTarget::term_like(Box::new(screen)));
        for event in events {
            bar.on(&told(event.clone()), Instant::now()).unwrap();
        }
        written.lock().unwrap().clone()
    }

    fn progress(rows: u64) -> Event {
        Event::Progress(Progress {
            totals: Totals { rows_changed: rows, rows_passed: rows, rows_total: 1000, ..Totals::default() },
            workers: 2,
            ..Progress::default()
        })
    }

    #[test]
    fn a_wide_terminal_shows_the_gauge_and_the_whole_line() {
        let screen = draw(80, &[progress(500)]);
        let last = screen.rsplit(['\r', '\n']).next().unwrap().trim_end();
        insta::assert_snapshot!(last, @"██████░░░░░░ 50 % · 500 rows changed · 2 workers");
    }

    #[test]
    fn a_narrow_terminal_cuts_the_line_instead_of_breaking_it() {
        let screen = draw(30, &[progress(500), progress(1000)]);
        assert!(!screen.contains('\n'), "{screen:?}");
        assert!(screen.split('\r').all(|line| line.chars().count() <= 30), "{screen:?}");
        assert!(screen.contains("99 %") && !screen.contains("100 %"), "{screen:?}");
    }

    #[test]
    fn a_notice_stands_above_the_bar() {
        let screen = draw(60, &[progress(500), Event::Notice { message: "look".into() }]);
        let notice = screen.find("notice: look").unwrap();
        assert!(screen[notice..].contains("50 %"), "{screen:?}");
    }

    #[test]
    fn the_bar_is_gone_when_the_process_leaves() {
        let left = Event::Left(summary::tests::summary(Outcome::Complete));
        let screen = draw(60, &[progress(500), left]);
        assert_eq!(screen.rsplit('\r').next().unwrap().trim(), "", "{screen:?}");
    }
}
