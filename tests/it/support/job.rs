//! A job file of a test's own, and the binary called with it.
//!
//! Must not know: what the job does.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Database, Pgbackfill};

/// Counts each row of `t` up, so that a row that is changed twice shows it.
pub(crate) const COUNT_UP: &str = "table = 't'\nset.n = 'n + 1'\n";
/// The same under a ceiling: a run goes on for as long as a test needs it, which then takes the ceiling away.
pub(crate) const PACED: &str = "table = 't'\nset.n = 'n + 1'\npace.max_rows_per_second = 2000\n";

/// The same for walking by block: a row is filled once, and the trigger of [`filled_table`] counts it.
pub(crate) const FILL_UP: &str =
    "table = 't'\nset.filled = '1'\nwhere = 'filled IS NULL'\nscan.order = 'heap'\n";

/// Lets `t` count in `n` how often a row was filled.
pub(crate) const COUNT_FILLS: &str = "
ALTER TABLE t ADD COLUMN filled int;
CREATE FUNCTION count_fill() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := NEW.n + 1; RETURN NEW; END';
CREATE TRIGGER count_fill BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.filled IS DISTINCT FROM OLD.filled)
EXECUTE FUNCTION count_fill()";

/// A job file in a directory that is removed with it. The job's name is `job`.
pub(crate) struct JobFile {
    dir: TempDir,
}

impl JobFile {
    /// As fast as it can, unless the text has a mode of its own: with many tests on few cores a run would
    /// make way for the others for as long as they last.
    pub(crate) fn new(toml: &str) -> Self {
        let file = Self { dir: tempfile::tempdir().unwrap() };
        file.rewrite(toml);
        file
    }

    /// Another text under the same name.
    pub(crate) fn rewrite(&self, toml: &str) {
        fs::write(self.path(), in_full(toml)).unwrap();
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("job.toml")
    }

    /// `pgbackfill run job.toml` with more arguments, and events as JSON lines.
    pub(crate) fn run_with<const N: usize>(&self, db: &Database, args: [&str; N]) -> Pgbackfill {
        Pgbackfill::new(["run", "--output", "json"]).arg(self.path()).args(args).on(db)
    }

    /// `pgbackfill run job.toml`, and events as JSON lines.
    pub(crate) fn run(&self, db: &Database) -> Pgbackfill {
        self.run_with(db, [])
    }
}

/// The job in mode full, unless it has a mode.
pub(super) fn in_full(toml: &str) -> String {
    if toml.contains("mode =") {
        toml.to_owned()
    } else if toml.contains("[pace]") {
        toml.replacen("[pace]", "[pace]\nmode = \"full\"", 1)
    } else {
        // At its end, so that the places in messages stay; unless a section has begun there.
        let (text, mode) = (toml.trim_end(), "pace.mode = \"full\"");
        if toml.contains("\n[") { format!("{mode}\n{text}\n") } else { format!("{text}\n{mode}\n") }
    }
}

/// A table `t` of rows with the keys 1 to `rows`, each with `n = 0`.
pub(crate) async fn counted_table(db: &Database, rows: i64) {
    let sql = format!(
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
         INSERT INTO t SELECT i FROM generate_series(1, {rows}) AS i;
         ANALYZE t"
    );
    db.client().await.batch_execute(&sql).await.unwrap();
}
