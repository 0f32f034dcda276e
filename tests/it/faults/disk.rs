//! The disk of the table fills, or that of the WAL: the run waits, says why, and goes on when there is room
//! again.
//!
//! Must not know: how the server notices.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use pgbackfill::sandbox::{Fsync, Server, StopMode};
use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio::time;

use crate::support::oracle::assert_nothing_left;
use crate::support::{JobFile, Pgbackfill, counted_table, database_on, own_server, server_with, skipped};

const ROWS: i64 = 100_000;
const JOB: &str = "table = 't'\nset.n = 'n + 1'\npace.workers = 2\npace.max_rows_per_batch = 500\npace.max_rows_per_second = 10000\n";

/// Until all that is written has taken the room that was left.
const PATIENCE: Duration = Duration::from_secs(60);

/// A small file system of its own.
struct Disk {
    dir: TempDir,
}

impl Disk {
    /// None where we may not mount one.
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self { dir })
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A directory on it for the server's user.
    fn directory(&self, server: &Server, name: &str) -> PathBuf {
        let owner = fs::metadata(server.dir().join("data")).unwrap();
        let dir = self.path().join(name);
        fs::create_dir(&dir).unwrap();
        for path in [self.path(), &dir] {
            chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        dir
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut ballast =
            fs::File::options().create(true).append(true).open(self.path().join("ballast")).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A server may still have files open there.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

/// So many have come to wait, one that is gone meanwhile among them.
fn waiting_processes(count: u32) -> String {
    format!(
        "(SELECT count(*) FROM pgbackfill.process WHERE waiting LIKE '%No space left on device%') = {count}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_out_and_every_row_is_changed_once() {
    let Some(disk) = Disk::mount("64m") else {
        return skipped("a file system of one's own, to fill it, cannot be mounted here");
    };
    let server = own_server(Fsync::Off);
    let space = disk.directory(&server, "space");
    let db = database_on(&server).await;
    let client = db.client().await;
    let make = format!("CREATE TABLESPACE small LOCATION '{}'", space.display());
    client.batch_execute(&make).await.unwrap();
    let make = format!(
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0) TABLESPACE small;
         ALTER TABLE t SET (autovacuum_enabled = false);
         INSERT INTO t SELECT i FROM generate_series(1, {ROWS}) AS i"
    );
    client.batch_execute(&make).await.unwrap();
    let job = JobFile::new(JOB);
    let (first, second) = (job.run(&db).spawn(), job.run(&db).spawn());
    db.until_changed(5001).await;
    disk.fill();
    db.until(&waiting_processes(2)).await;
    let said = Pgbackfill::new(["status", "job"]).on(&db).run().await.expect_code(0).stdout;
    assert!(said.contains("No space left on device"), "{said}");
    // Whoever comes meanwhile waits, too; whoever goes is not missed.
    first.signal(Signal::SIGKILL);
    let third = job.run(&db).spawn();
    db.until(&waiting_processes(3)).await;
    db.until("(SELECT state = 'running' FROM pgbackfill.run)").await;
    disk.make_room();
    second.finish().await.expect_code(0);
    third.finish().await.expect_code(0);
    db.assert_exact(ROWS).await;
    assert_nothing_left(&db).await;
    // Before its disk.
    drop(server);
}

/// Without room for its WAL a server dies, and dies again as long as there is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_of_a_full_wal_disk_is_waited_for_and_every_row_is_changed_once() {
    let Some(disk) = Disk::mount("96m") else {
        return skipped("a file system of one's own, to fill it, cannot be mounted here");
    };
    let mut server = server_with(&[("max_wal_size", "32MB"), ("min_wal_size", "32MB")]);
    block_in_place(|| server.stop(StopMode::Fast)).unwrap();
    let (log, room) = (server.dir().join("data/pg_wal"), disk.directory(&server, "log"));
    move_to(&log, &room);
    symlink(&room, &log).unwrap();
    block_in_place(|| server.restart()).unwrap();
    let db = database_on(&server).await;
    counted_table(&db, ROWS).await;
    // Slowly enough that the run is not over before the server dies.
    let job = JobFile::new(&JOB.replace("= 10000", "= 2000"));
    let (first, second) = (job.run(&db).spawn(), job.run(&db).spawn());
    db.until_changed(5001).await;
    disk.fill();
    // Segments that it has in store are soon used up.
    let dies = async {
        while let Ok(client) = db.address().client().await {
            let more = "SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000000)) FROM generate_series(1, 32)";
            // It may die in the middle of it.
            let _ = client.batch_execute(more).await;
            // What it has given back meanwhile.
            disk.fill();
        }
    };
    time::timeout(PATIENCE, dies).await.expect("the server does without its WAL");
    let said = fs::read_to_string(server.log()).unwrap();
    assert!(
        said.lines().any(|line| line.contains("PANIC") && line.contains("No space left on device")),
        "{said}"
    );
    first.signal(Signal::SIGKILL);
    disk.make_room();
    // However far it has got with dying.
    let _ = block_in_place(|| server.stop(StopMode::Immediate));
    block_in_place(|| server.restart()).unwrap();
    let state: String =
        db.client().await.query_one("SELECT state FROM pgbackfill.run", &[]).await.unwrap().get(0);
    assert_eq!(state, "running", "it was complete before the server died");
    assert!(!second.has_ended(), "it did not wait for the server");
    let third = job.run(&db).spawn();
    Pgbackfill::new(["set", "job", "max-rows-per-second=none"]).on(&db).run().await.expect_code(0);
    // It was there before the server died: whether one of its workers had a batch then is a matter of time.
    second.finish().await.expect_code(0);
    third.finish().await.expect_code(0);
    db.assert_exact(ROWS).await;
    assert_nothing_left(&db).await;
    // Before its disk.
    drop(server);
}

/// With owner and rights; across file systems.
fn move_to(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).output().unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    fs::remove_dir_all(from).unwrap();
}
