//! `pgbackfill demo` leaves nothing behind, however it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::time;

use crate::support::{Pgbackfill, Running};

/// A demo that is still filling its table when the signal comes, and the directory in which it works.
async fn demo_at_work() -> (Running, TempDir) {
    // Under /tmp, for the length of a socket's path; open, because root lends the server to another user.
    let within = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(within.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let demo = Pgbackfill::new(["demo", "--rows", "3000000"]).env("TMPDIR", within.path()).spawn();
    becomes_true("its server runs", || server_runs(within.path())).await;
    (demo, within)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_demo_leaves_neither_server_nor_directory() {
    let (demo, within) = demo_at_work().await;
    demo.signal(Signal::SIGKILL);
    assert_eq!(demo.finish().await.signal, Some(Signal::SIGKILL as i32));
    becomes_true("its directory is gone", || entries(within.path()).is_empty()).await;
    // The watchman himself names the directory too, and goes a moment after it.
    becomes_true("its processes are gone", || processes_in(within.path()).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_demo_has_cleaned_up_when_it_ends() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (demo, within) = demo_at_work().await;
        demo.signal(signal);
        let finished = demo.finish().await.expect_code(1);
        assert!(finished.stderr.contains(&format!("interrupted by {signal}")), "{}", finished.stderr);
        assert!(entries(within.path()).is_empty());
        assert_eq!(processes_in(within.path()), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_without_postgresql_says_where_it_looked_and_what_to_install() {
    let finished = Pgbackfill::new(["demo", "--pg-bin", "/nonexistent"]).run().await.expect_code(1);
    assert!(finished.stderr.contains("/nonexistent/bin\nhint: install"), "{}", finished.stderr);
}

/// Waits for what another process does with its files, which tells nobody when it is done.
async fn becomes_true(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = time::timeout(Duration::from_secs(30), async {
        let mut ticks = time::interval(Duration::from_millis(5));
        while !holds() {
            ticks.tick().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("after 30 s it is still not so that {what}"));
}

fn server_runs(within: &Path) -> bool {
    let pid_file = |dir: &fs::DirEntry| dir.path().join("data/postmaster.pid");
    entries(within)
        .iter()
        .any(|dir| fs::read_to_string(pid_file(dir)).is_ok_and(|text| text.contains("ready")))
}

fn entries(dir: &Path) -> Vec<fs::DirEntry> {
    fs::read_dir(dir).unwrap().flatten().collect()
}

/// The command lines of processes that name a directory. Empty where there is no `/proc`.
fn processes_in(dir: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(&*dir.to_string_lossy())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_proves_its_claim() {
    let done = Pgbackfill::new(["demo", "--rows", "500000"]).run().await.expect_code(0);
    assert!(done.stdout.contains("proven: killed half way"), "{}", done.stdout);
}
