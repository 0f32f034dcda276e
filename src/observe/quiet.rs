//! Silence, unless something is wrong.
//!
//! Must not know: the terminal.

use std::io::{self, Write};
use std::time::Instant;

use super::{Observer, sentence, summary};
use crate::event::{Event, Outcome, Told};
use crate::human::one_line;
use crate::run::RunState;

/// Writes a line only when the run stops being on its way to its end: a state other than running or complete,
/// or a summary that is not of a complete run.
#[derive(Debug)]
pub struct Quiet<W> {
    out: W,
}

impl<W: Write> Quiet<W> {
    /// Lines go to `out`.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Observer for Quiet<W> {
    fn on(&mut self, told: &Told, _: Instant) -> io::Result<()> {
        let Some(line) = problem(&told.event) else {
            return Ok(());
        };
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }
}

fn problem(event: &Event) -> Option<String> {
    match event {
        Event::StateChanged { state, reason } => match state {
            RunState::Running | RunState::Complete => None,
            state => Some(sentence::state_changed(*state, reason.as_deref())),
        },
        Event::Left(summary) => match summary.outcome {
            Outcome::Complete | Outcome::AlreadyComplete => None,
            _ => Some(one_line(&summary::headline(summary))),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: &Event) -> String {
        let mut quiet = Quiet::new(Vec::new());
        quiet.on(&summary::tests::told(event.clone()), Instant::now()).unwrap();
        String::from_utf8(quiet.out).unwrap()
    }

    fn left(outcome: Outcome) -> Event {
        Event::Left(summary::tests::summary(outcome))
    }

    #[test]
    fn a_complete_run_is_silent() {
        assert_eq!(written(&left(Outcome::Complete)), "");
        assert_eq!(written(&left(Outcome::AlreadyComplete)), "");
        let notice = Event::Notice { message: "n".into() };
        assert_eq!(written(&notice), "");
    }

    #[test]
    fn a_problem_is_one_line() {
        insta::assert_snapshot!(written(&left(Outcome::Blocked)), @"blocked at 99 %: orders_status_v2, run 3");
        let blocked = Event::StateChanged { state: RunState::Blocked, reason: Some("column is gone".into()) };
        insta::assert_snapshot!(written(&blocked), @"blocked: column is gone");
    }
}
