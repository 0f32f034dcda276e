//! Who needs the machine for himself: tests that measure a rate share it, tests that load it have it alone.
//!
//! Must not know: what is measured.

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
