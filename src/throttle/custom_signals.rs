//! The signals that a job brings along: read once a second in a transaction that can change nothing, on a
//! connection of their own, because each may take as long as a second and nothing else has to wait for that.
//!
//! Each process of the run reads them itself: they run with the privileges of the person who gave the job
//! file to it, and with no others.
//!
//! Must not know: what follows from a value.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use super::judge::CustomReading;
use crate::db::{Error, Primary, Session};
use crate::human;
use crate::job::CustomSignal;
use crate::run::pace::READING_VALID;
use crate::sql::{custom_signal, settings};

const EVERY: Duration = Duration::from_secs(1);
/// The longest wait for a value: its `statement_timeout`, and the way there and back.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// The signals, and the last reading of each.
#[derive(Default)]
pub struct CustomSignals {
    signals: Vec<CustomSignal>,
    readings: Mutex<Vec<(Instant, CustomReading)>>,
}

impl CustomSignals {
    /// None is read yet.
    #[must_use]
    pub fn new(signals: &[CustomSignal]) -> Self {
        Self { signals: signals.to_vec(), readings: Mutex::default() }
    }

    /// What is known now; a value that is too old is none.
    pub(super) fn readings(&self, now: Instant) -> Vec<CustomReading> {
        let believed = |(at, reading): &(Instant, CustomReading)| {
            let age = now.saturating_duration_since(*at);
            if age <= READING_VALID || reading.value.is_err() {
                return reading.clone();
            }
            let old = format!("it was read last {} ago", human::duration(age));
            CustomReading { value: Err(old), ..reading.clone() }
        };
        self.readings.lock().iter().map(believed).collect()
    }

    fn note(&self, signal: &CustomSignal, value: Result<f64, String>) {
        let reading = CustomReading { name: signal.name.clone(), value, limit: signal.limit };
        let mut all = self.readings.lock();
        all.retain(|(_, other)| other.name != reading.name);
        all.push((Instant::now(), reading));
    }

    /// Reads them again and again until it is dropped.
    pub(super) async fn watch(&self, primary: &Primary) {
        if self.signals.is_empty() {
            return;
        }
        let (mut ticks, mut session) = (tokio::time::interval(EVERY), None);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.read(primary, &mut session).await;
        }
    }

    /// Reads each of them once.
    pub(super) async fn read(&self, primary: &Primary, session: &mut Option<Session>) {
        for signal in &self.signals {
            let value = match value(primary, session, signal).await {
                Ok(value) => value,
                Err(error) => Err(error.to_string()),
            };
            self.note(signal, value);
        }
    }
}

/// The number, or what the query gave instead.
async fn value(
    primary: &Primary,
    kept: &mut Option<Session>,
    signal: &CustomSignal,
) -> Result<Result<f64, String>, Error> {
    let mut session = match kept.take() {
        Some(session) => session,
        None => primary.session_beside().await?,
    };
    session.answers_within(ANSWER_MAX);
    let rows = session.query_and_rollback(settings::CUSTOM_SIGNAL, &custom_signal(&signal.query), &[]).await;
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
