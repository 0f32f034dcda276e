//! Who may be at work beside whom: tests that measure a rate, and tests that load the machine; and for how
//! long `make torture` goes on.
//!
//! All other tests ask nobody. Must not know: what is measured.

use std::env;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, watch};

/// Who measures and who loads at this moment; never both.
#[derive(Default)]
struct AtWork {
    measuring: u32,
    loading: u32,
}

impl AtWork {
    /// Those of the use, and those who keep it out.
    fn counts(&mut self, of: Use) -> (&mut u32, u32) {
        match of {
            Use::Measure => (&mut self.measuring, self.loading),
            Use::Load => (&mut self.loading, self.measuring),
        }
    }
}

static AT_WORK: LazyLock<watch::Sender<AtWork>> = LazyLock::new(watch::Sender::default);
static ONE: Mutex<()> = Mutex::const_new(());

#[derive(Clone, Copy)]
enum Use {
    Measure,
    Load,
}

/// A part of the machine, given back when dropped.
pub(crate) struct Part(Use);

impl Part {
    async fn take(of: Use) -> Self {
        let mut changes = AT_WORK.subscribe();
        let enter = |at_work: &mut AtWork| {
            let (own, others) = at_work.counts(of);
            *own += u32::from(others == 0);
            others == 0
        };
        while !AT_WORK.send_if_modified(enter) {
            // The sender is a static.
            changes.changed().await.unwrap();
        }
        Self(of)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        AT_WORK.send_modify(|at_work| *at_work.counts(self.0).0 -= 1);
    }
}

/// For a test that measures a rate: until it is dropped, nobody loads the machine. Others may measure.
pub(crate) async fn shared() -> Part {
    Part::take(Use::Measure).await
}

/// For a test that loads the machine: until it is dropped, nobody measures. Others may load it, too.
pub(crate) async fn loaded() -> Part {
    Part::take(Use::Load).await
}

/// For a test that needs a core for itself: until it is dropped, nobody measures, and no other test like this
/// one runs.
pub(crate) async fn exclusive() -> (MutexGuard<'static, ()>, Part) {
    let one = ONE.lock().await;
    (one, loaded().await)
}

/// How long `make torture` goes on, in seconds.
const TORTURE: &str = "PGBACKFILL_TORTURE_SECONDS";

/// So much of the time that `make torture` was told, in percent; none in `make test`.
pub(crate) fn torture(percent: u32) -> Option<Duration> {
    let seconds = env::var(TORTURE).ok()?.parse().unwrap_or_else(|error| panic!("{TORTURE}: {error}"));
    Some(Duration::from_secs(seconds) * percent / 100)
}
