//! Who needs the machine for himself: tests that measure a rate share it, tests that load it have it alone, and may be told for how long.
//!
//! Must not know: what is measured.

use std::env;
use std::time::Duration;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::const_new(());

/// Until it is dropped no test causes a [`storm`].
pub(crate) async fn calm() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

/// Until it is dropped no other storm blows and nobody counts on calm.
pub(crate) async fn storm() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// How long `make torture` goes on, in seconds.
const TORTURE: &str = "PGBACKFILL_TORTURE_SECONDS";

/// So much of the time that `make torture` was told, in percent; none in `make test`.
pub(crate) fn torture(percent: u32) -> Option<Duration> {
    let seconds = env::var(TORTURE).ok()?.parse().unwrap_or_else(|error| panic!("{TORTURE}: {error}"));
    Some(Duration::from_secs(seconds) * percent / 100)
}
