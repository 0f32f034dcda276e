//! `pgbackfill check`: job files, and the migrations around them, without a server.
//!
//! Must not know: how a text is read.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{Finished, Pgbackfill};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

async fn check(dir: &TempDir, args: &[&str], code: i32) -> Finished {
    Pgbackfill::new(["check"]).args(args).in_dir(dir.path()).run().await.expect_code(code)
}

const STATUS: &str = "table = 'orders'\nset.status_v2 = 'upper(status)'\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_jobs_have_no_fault() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = Pgbackfill::new(["check"]).in_dir(root).run().await.expect_code(0).stdout;
    assert_eq!(said, "10 jobs: no fault found\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_every_file_is_told_at_once() {
    let dir = folder(&[
        ("jobs/a.toml", "table = 'orders'\nset.a = '1'\nwhen = 'b'\n"),
        ("jobs/old/b.toml", STATUS),
        ("jobs/c.toml", "table = 'app.orders'\nset.x = '1'\nset.status_v2 = 'lower(status)'\n"),
        ("jobs/d d.toml", STATUS),
        ("jobs/notes.txt", "no job"),
    ]);
    let said = check(&dir, &[], 2).await.stderr;
    insta::assert_snapshot!(said, @r#"
    error: unknown key `when`
     --> jobs/a.toml:3:1
      |
    3 | when = 'b'
      | ^^^^

    error: the name of a job has the character ' ', not one of a-z A-Z 0-9 _ . -: `d d`
    hint: the file's name without .toml is the name of the job: rename jobs/d d.toml

    error: column "status_v2" of orders is set by jobs/c.toml, too
     --> jobs/old/b.toml:2:5
      |
    2 | set.status_v2 = 'upper(status)'
      |     ^^^^^^^^^
      hint: let one job set it: jobs/c.toml or jobs/old/b.toml
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_ends_a_column_has_to_have_its_gate() {
    let drop = "BEGIN;\nALTER TABLE orders ALTER COLUMN status_v2 SET NOT NULL;\nCOMMIT;\n";
    let dir = folder(&[
        ("jobs/status.toml", STATUS),
        ("migrations/01_expand.sql", "ALTER TABLE orders ADD COLUMN status_v2 text;\n"),
        ("migrations/01_expand.down.sql", "ALTER TABLE orders DROP COLUMN status_v2;\n"),
        ("migrations/U1__expand.sql", "ALTER TABLE orders DROP COLUMN status_v2;\n"),
        ("migrations/02_contract.sql", drop),
        ("migrations/logo.png", "\u{0}"),
    ]);
    fs::write(dir.path().join("migrations/logo.png"), [0xff, 0xfe, 0x00]).unwrap();
    let args = ["jobs", "--migrations", "migrations"];
    let said = check(&dir, &args, 2).await.stderr;
    insta::assert_snapshot!(said, @r"
    error: this forbids NULL in orders.status_v2, which job status sets, and does not ask whether that is complete
     --> migrations/02_contract.sql:2
      hint: begin it with what `pgbackfill gate jobs/status.toml` prints, or say in a comment: pgbackfill: no gate for status
    ");
    // What it says is what helps.
    let gate =
        Pgbackfill::new(["gate", "jobs/status.toml"]).in_dir(dir.path()).run().await.expect_code(0).stdout;
    fs::write(dir.path().join("migrations/02_contract.sql"), format!("{gate}{drop}")).unwrap();
    assert_eq!(check(&dir, &args, 0).await.stdout, "1 job, 3 migrations: no fault found\n");
    let without = format!("-- pgbackfill: no gate for status (it was empty)\n{drop}");
    fs::write(dir.path().join("migrations/02_contract.sql"), without).unwrap();
    check(&dir, &args, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named() {
    let dir = folder(&[("empty/notes.txt", "")]);
    let said = check(&dir, &[], 2).await.stderr;
    assert!(said.contains("cannot read jobs: No such file"), "{said}");
    let said = check(&dir, &["empty"], 2).await.stderr;
    assert!(said.contains("there is no job file in empty"), "{said}");
}
