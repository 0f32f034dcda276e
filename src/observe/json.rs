//! Every event as one line of JSON, for machines.
//!
//! Must not know: people.

use std::io::{self, Write};
use std::time::Instant;

use serde::Serialize;

use super::Observer;
use crate::event::{Event, SCHEMA_VERSION, Told};
use crate::run::RunId;

/// Writes every event as one line, flushed. The last one is `left`, the summary, or `failed`.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
}

/// What each line begins with.
#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    at: String,
    database: &'a str,
    /// Events that are about a run as such name it themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    #[serde(flatten)]
    event: &'a Event,
}

impl<W: Write> Json<W> {
    /// Lines go to `out`.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Observer for Json<W> {
    fn on(&mut self, told: &Told, _: Instant) -> io::Result<()> {
        let line = Line {
            schema: SCHEMA_VERSION,
            // RFC 3339 in UTC; always three digits, so that the lines sort as text.
            at: format!("{:.3}", told.at),
            database: &told.database,
            run: told.run.filter(|_| !matches!(told.event, Event::Entered { .. } | Event::Left(_))),
            event: &told.event,
        };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        self.out.write_all(&bytes)?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Outcome, Progress, Summary};
    use crate::observe::summary::tests::told;
    use crate::run::RangeNo;

    fn line(event: &Event) -> String {
        let mut json = Json::new(Vec::new());
        json.on(&told(event.clone()), Instant::now()).unwrap();
        String::from_utf8(json.out).unwrap()
    }

    #[test]
    fn a_batch_is_one_line_with_schema_time_and_place_in_front() {
        let event = Event::BatchCommitted {
            worker: 1,
            range: RangeNo(7),
            rows_changed: 990,
            rows_passed: 1000,
            micros: 98_765,
            wal_bytes: None,
        };
        insta::assert_snapshot!(line(&event), @r#"{"schema":1,"at":"1970-01-01T00:00:00.000Z","database":"shop","run":3,"event":"batch_committed","worker":1,"range":7,"rows_changed":990,"rows_passed":1000,"micros":98765,"wal_bytes":null}"#);
    }

    #[test]
    fn a_message_with_a_line_feed_stays_on_one_line() {
        let event = Event::Notice { message: "a\nb".into() };
        assert_eq!(line(&event).matches('\n').count(), 1);
    }

    #[test]
    fn progress_is_flat_like_every_other_event() {
        let value: serde_json::Value =
            serde_json::from_str(&line(&Event::Progress(Progress::default()))).unwrap();
        assert_eq!((&value["event"], &value["rows_passed"]), (&"progress".into(), &0.into()));
    }

    #[test]
    fn the_last_line_is_the_summary() {
        let event = Event::Left(Summary {
            run: RunId(3),
            job: "x".into(),
            outcome: Outcome::MaxRows,
            reason: None,
            rows_changed_here: 1,
            batches_here: 1,
            retries_here: 0,
            elapsed_ms: 10,
            halted_ms: 0,
            progress: Progress::default(),
        });
        insta::assert_snapshot!(line(&event), @r#"{"schema":1,"at":"1970-01-01T00:00:00.000Z","database":"shop","event":"left","run":3,"job":"x","outcome":"max_rows","reason":null,"rows_changed_here":1,"batches_here":1,"retries_here":0,"elapsed_ms":10,"halted_ms":0,"progress":{"kind":"backfill","rows_changed":0,"rows_passed":0,"rows_total":0,"sweeps_passed":0,"sweeps_total":0,"ranges_done":0,"ranges_open":0,"bad_rows":0,"retries":0,"times":{"working_ms":0,"throttled_ms":0,"paused_ms":0,"blocked_ms":0},"workers":0,"processes":0,"waiting":null,"hold":null,"held_ms":null,"rows_per_s":0.0,"eta_s":null,"halted":false}}"#);
    }
}
