//! The disk of the table fills: the run waits, says why, and goes on when there is room again.
//!
//! Must not know: how the server notices.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use pgbackfill::sandbox::Fsync;
use tempfile::TempDir;

use super::support::oracle::{assert_nothing_left, assert_once, assert_tiled};
use super::support::{JobFile, Pgbackfill, database_on, own_server, skipped};

const ROWS: i64 = 100_000;
const JOB: &str = "table = 't'\nset.n = 'n + 1'\npace.workers = 2\npace.max_rows_per_batch = 500\npace.max_rows_per_second = 20000\n";

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

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.path().join("ballast")).unwrap();
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
    let owner = fs::metadata(server.dir().join("data")).unwrap();
    let space = disk.path().join("space");
    fs::create_dir(&space).unwrap();
    chown(&space, Some(owner.uid()), Some(owner.gid())).unwrap();
    chown(disk.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
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
    db.until("(SELECT sum(rows_changed) > 5000 FROM pgbackfill.range)").await;
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
    assert_once(&client, "t", ROWS).await;
    assert_tiled(&client, ROWS).await;
    assert_nothing_left(&db).await;
    // Before its disk.
    drop(server);
}
