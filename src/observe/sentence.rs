//! The events that deserve a line of their own, as sentences for a person.
//!
//! Must not know: where the line is shown.

use std::time::Duration;

use crate::event::{Entry, Event};
use crate::human::{count, duration, one_line};
use crate::run::{Knobs, RunState};

/// The sentence for an event; none for those that only move the progress, and none for the last one.
pub(super) fn of(event: &Event) -> Option<String> {
    Some(match event {
        Event::Entered { run, job, table, kind, entry, knobs } => {
            format!("{} {} {run} of {job} on {table}: {}", verb(*entry), kind.noun(), describe(knobs))
        }
        Event::Retrying { worker, sqlstate, message, wait_ms } => {
            retrying(*worker, sqlstate.as_deref(), message, *wait_ms)
        }
        Event::BadRow { key, sqlstate, message } => {
            format!("bad row ({}): {sqlstate} {}", one_line(&key.join(", ")), one_line(message))
        }
        Event::StateChanged { state, reason } => state_changed(*state, reason.as_deref()),
        Event::KnobsChanged { knobs } => format!("new pace: {}", describe(knobs)),
        Event::Held { hold, reason } => format!("{}: {}", hold.as_str(), one_line(reason)),
        Event::Released { hold, held_ms } => {
            format!("no longer {}, after {}", hold.as_str(), duration(Duration::from_millis(*held_ms)))
        }
        Event::Notice { message } => format!("notice: {}", one_line(message)),
        Event::RangePlanned { .. }
        | Event::BatchCommitted { .. }
        | Event::RangeDone { .. }
        | Event::Progress(_)
        | Event::Left(_)
        | Event::Failed { .. } => return None,
    })
}

/// `paused: by ada@host`.
pub(super) fn state_changed(state: RunState, reason: Option<&str>) -> String {
    one_line(&state.sentence(reason))
}

fn verb(entry: Entry) -> &'static str {
    match entry {
        Entry::Started => "started",
        Entry::Joined => "joined",
        Entry::Resumed => "resumed",
    }
}

fn retrying(worker: Option<u32>, sqlstate: Option<&str>, message: &str, wait_ms: u64) -> String {
    let who = worker.map_or("this process".to_owned(), |worker| format!("worker {worker}"));
    // An error that came over a connection to be ends with its code.
    let code =
        sqlstate.filter(|code| !message.contains(code)).map(|code| format!("{code} ")).unwrap_or_default();
    let wait = duration(Duration::from_millis(wait_ms));
    format!("{who} tries again in {wait}: {code}{}", one_line(message))
}

fn describe(knobs: &Knobs) -> String {
    let mut parts = vec![
        match knobs.workers.get() {
            1 => "1 worker".to_owned(),
            workers => format!("{workers} workers"),
        },
        format!("batches of {}", duration(Duration::from_millis(knobs.batch_time_ms.get().into()))),
        format!(
            "{} to {} rows",
            count(knobs.min_rows_per_batch.get().into()),
            count(knobs.max_rows_per_batch.get().into())
        ),
    ];
    parts.extend(knobs.max_rows_per_s.map(|rows| format!("at most {} rows/s", count(rows.get()))));
    parts.extend(
        knobs.max_wal_bytes_per_s.map(|bytes| format!("at most {} bytes of WAL/s", count(bytes.get()))),
    );
    parts.extend(knobs.window.as_ref().map(|window| format!("only from {window}")));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{RunId, RunKind};

    fn say(event: &Event) -> String {
        of(event).unwrap()
    }

    #[test]
    fn entering_names_the_run_and_the_pace() {
        let knobs = Knobs { max_rows_per_s: 1000.try_into().ok(), ..Knobs::default() };
        let event = Event::Entered {
            run: RunId(3),
            job: "orders_status_v2".into(),
            table: "app.orders".into(),
            kind: RunKind::Backfill,
            entry: Entry::Resumed,
            knobs,
        };
        insta::assert_snapshot!(say(&event), @"resumed run 3 of orders_status_v2 on app.orders: 2 workers, batches of 100 ms, 1 to 50,000 rows, at most 1,000 rows/s");
    }

    #[test]
    fn a_retry_names_who_why_and_when() {
        let retry = |worker, sqlstate: Option<&str>| Event::Retrying {
            worker,
            sqlstate: sqlstate.map(str::to_owned),
            message: "canceling statement\ndue to lock timeout".into(),
            wait_ms: 1200,
        };
        insta::assert_snapshot!(say(&retry(Some(0), Some("55P03"))), @"worker 0 tries again in 1 s: 55P03 canceling statement due to lock timeout");
        insta::assert_snapshot!(say(&retry(None, None)), @"this process tries again in 1 s: canceling statement due to lock timeout");
    }

    #[test]
    fn a_bad_row_names_its_key_and_its_error() {
        let event = Event::BadRow {
            key: vec!["7".into(), "de".into()],
            sqlstate: "22P02".into(),
            message: "invalid input syntax".into(),
        };
        insta::assert_snapshot!(say(&event), @"bad row (7, de): 22P02 invalid input syntax");
    }

    #[test]
    fn a_state_comes_with_its_reason_if_it_has_one() {
        assert_eq!(state_changed(RunState::Paused, Some("by ada")), "paused: by ada");
        assert_eq!(state_changed(RunState::Running, None), "running");
    }

    #[test]
    fn what_only_moves_the_progress_has_no_line() {
        assert_eq!(of(&Event::Progress(crate::event::Progress::default())), None);
    }
}
