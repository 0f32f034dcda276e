//! Reads the signals that the job brings along, once a second, in a transaction that can change nothing, on a connection of their own: they may
//! take as long as a second each, and nothing else has to wait for that.
//!
//! Each process of the run reads them itself: they are run with the rights of whoever gave the job file to it, and with nobody else's.
//!
//! Must not know: what follows from a value.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use super::shared::Shared;
use crate::db::{Error, Session};
use crate::human;
use crate::job::OwnSignal;
use crate::pace::OwnReading;

const EVERY: Duration = Duration::from_secs(1);
const READING: &str = "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '1s'; SET LOCAL lock_timeout = '500ms'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'";
/// The same `statement_timeout`, and the way there and back.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// A value is believed for so long.
const VALID: Duration = Duration::from_secs(5);

/// The last readings, and when each was made.
#[derive(Default)]
pub(super) struct Own(Mutex<Vec<(Instant, OwnReading)>>);

impl Own {
    /// What is known now; a value that is too old is none.
    pub(super) fn readings(&self, now: Instant) -> Vec<OwnReading> {
        let believed = |(at, reading): &(Instant, OwnReading)| {
            let age = now.saturating_duration_since(*at);
            if age <= VALID || reading.value.is_err() {
                return reading.clone();
            }
            let old = format!("it was read last {} ago", human::duration(age));
            OwnReading { value: Err(old), ..reading.clone() }
        };
        self.0.lock().iter().map(believed).collect()
    }

    fn note(&self, signal: &OwnSignal, value: Result<f64, String>) {
        let reading = OwnReading { name: signal.name.clone(), value, limit: signal.limit };
        let mut all = self.0.lock();
        all.retain(|(_, other)| other.name != reading.name);
        all.push((Instant::now(), reading));
    }
}

/// Reads them again and again until it is dropped.
pub(super) async fn watch(shared: Arc<Shared>) {
    if shared.signals.is_empty() {
        return;
    }
    let (mut ticks, mut session) = (tokio::time::interval(EVERY), None);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        read(&shared, &mut session).await;
    }
}

/// Reads each of them once.
pub(super) async fn read(shared: &Shared, session: &mut Option<Session>) {
    for signal in &shared.signals {
        let value = match value(shared, session, signal).await {
            Ok(value) => value,
            Err(error) => Err(error.to_string()),
        };
        shared.own.note(signal, value);
    }
}

/// The number, or what the query gave instead.
async fn value(
    shared: &Shared,
    kept: &mut Option<Session>,
    signal: &OwnSignal,
) -> Result<Result<f64, String>, Error> {
    let mut session = match kept.take() {
        Some(session) => session,
        None => shared.session_beside().await?,
    };
    session.answers_within(ANSWER_MAX);
    let rows = session.probe(READING, &crate::sql::own_signal(&signal.query), &[]).await;
    *kept = session.is_usable().then_some(session);
    let value = rows?.first().map(|row| row.try_get::<_, Option<f64>>(0));
    Ok(match value {
        // It is above no limit, and below none.
        Some(Ok(Some(value))) if value.is_nan() => Err("its value is NaN".to_owned()),
        Some(Ok(Some(value))) => Ok(value),
        Some(Ok(None)) => Err("its value is NULL".to_owned()),
        Some(Err(_)) | None => Err("its query gave no row".to_owned()),
    })
}
