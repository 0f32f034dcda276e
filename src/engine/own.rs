//! Reads the signals that the job brings along, once a second, in a transaction that can change nothing.
//!
//! Each process of the run reads them itself: they are run with the rights of whoever gave the job file to it, and with nobody else's.
//!
//! Must not know: what follows from a value.

use std::time::{Duration, Instant};

use crate::db::{Error, Session};
use crate::job::OwnSignal;
use crate::pace::OwnReading;

const EVERY: Duration = Duration::from_secs(1);
const READING: &str = "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '1s'; SET LOCAL lock_timeout = '500ms'; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// The last readings.
#[derive(Default)]
pub(super) struct Own {
    pub(super) readings: Vec<OwnReading>,
    read: Option<Instant>,
}

impl Own {
    /// Reads them again if it is time.
    pub(super) async fn read(&mut self, signals: &[OwnSignal], session: &mut Session) -> Result<(), Error> {
        if signals.is_empty() || self.read.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(());
        }
        self.read = Some(Instant::now());
        let mut readings = Vec::new();
        for signal in signals {
            let value = match value(session, signal).await {
                Ok(value) => value,
                Err(error) if session.is_usable() => Err(error.to_string()),
                Err(lost) => return Err(lost),
            };
            readings.push(OwnReading { name: signal.name.clone(), value, limit: signal.limit });
        }
        self.readings = readings;
        Ok(())
    }
}

/// The number, or what the query gave instead.
async fn value(session: &mut Session, signal: &OwnSignal) -> Result<Result<f64, String>, Error> {
    let rows = session.probe(READING, &crate::sql::own_signal(&signal.query), &[]).await?;
    let value = rows.first().map(|row| row.try_get::<_, Option<f64>>(0));
    Ok(match value {
        Some(Ok(Some(value))) => Ok(value),
        Some(Ok(None)) => Err("its value is NULL".to_owned()),
        Some(Err(_)) | None => Err("its query gave no row".to_owned()),
    })
}
