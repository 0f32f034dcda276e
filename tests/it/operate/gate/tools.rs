//! The tools themselves: a migration with a gate in it is refused by each, then passes, and passes on an
//! empty database. What a tool is of is installed by the test, into a folder of its own.
//!
//! Flyway, Liquibase and Rails run the same statement and cannot be had here; of them only what is printed is
//! tested.
//!
//! Must not know: when a gate raises.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::time;

use super::{JOB, TABLE, printed};
use crate::support::{Database, JobFile, database, shared_server, skipped};

/// An index of packages may be slow, and is asked once.
const PATIENCE: Duration = Duration::from_secs(300);

/// A folder of installed packages, which outlives the test.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools").join(name)
}

/// Runs it to its end; whether it went well, and all it said. None: there is no such program.
async fn run(command: &mut Command) -> Option<(bool, String)> {
    let command = command.stdin(Stdio::null()).kill_on_drop(true);
    let Ok(output) = time::timeout(PATIENCE, command.output()).await else {
        return Some((false, format!("it has not ended within {PATIENCE:?}")));
    };
    let output = output.ok()?;
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    Some((output.status.success(), said))
}

/// Installs once; says so and gives none where the language or its packages are missing.
async fn installed(name: &str, install: impl FnOnce(&Path) -> Command) -> Option<PathBuf> {
    let (dir, done) = (folder(name), folder(name).join("installed"));
    if done.exists() {
        return Some(dir);
    }
    // What was not finished is begun again.
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    match run(&mut install(&dir)).await {
        Some((true, _)) => {
            fs::write(done, "").unwrap();
            Some(dir)
        }
        Some((false, said)) => {
            skipped(&format!("{name} cannot be installed: {}", said.trim()));
            None
        }
        None => {
            skipped(&format!("{name}: its language is missing"));
            None
        }
    }
}

fn pip(packages: &'static [&str]) -> impl FnOnce(&Path) -> Command {
    move |dir| {
        let mut command = Command::new("python3");
        let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"];
        command.args(quiet).arg(dir).args(packages);
        command
    }
}

/// A program of Python over these packages, in this folder.
fn python(packages: &Path, dir: &Path) -> Command {
    let mut command = Command::new("python3");
    let path = std::env::join_paths([packages, dir]).unwrap();
    command.env("PYTHONPATH", path).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(dir);
    command
}

/// Over TCP, which every driver reads from a URL in the same way.
fn url(db: &Database, scheme: &str) -> String {
    format!("{scheme}://postgres@127.0.0.1:{}/{}?sslmode=disable", shared_server().port(), db.name)
}

fn indented(text: &str, by: usize) -> String {
    // Only what begins a line of the language; what is in a string stays as it is.
    let blanks = " ".repeat(by);
    let mut inside = false;
    let mut out = String::new();
    for line in text.lines() {
        out.push_str(if inside || line.is_empty() { "" } else { &blanks });
        out.push_str(line);
        out.push('\n');
        inside ^= line.matches("\"\"\"").count() % 2 == 1;
    }
    out
}

/// What each tool must do: `migrate` says whether it went well, and what it said.
async fn assert_gated<F: Future<Output = (bool, String)>>(migrate: impl Fn(String) -> F, scheme: &str) {
    let (full, empty, job) = (database().await, database().await, JobFile::new(JOB));
    full.client()
        .await
        .batch_execute(&format!("{TABLE}; INSERT INTO orders SELECT generate_series(1, 9)"))
        .await
        .unwrap();
    empty.client().await.batch_execute(TABLE).await.unwrap();
    let (passed, said) = migrate(url(&full, scheme)).await;
    // As the server says it, and not in the statement, where a quote follows.
    let mut told = said.split("and there are rows to fill").skip(1);
    assert!(!passed && told.any(|rest| !rest.starts_with('\'')), "it was to be refused: {said}");
    let is_there = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'status' AND NOT attisdropped";
    let left: i64 = full.client().await.query_one(is_there, &[]).await.unwrap().get(0);
    assert_eq!(left, 1, "the column was dropped all the same");
    job.run(&full).run().await.expect_code(0);
    for db in [&full, &empty] {
        let (passed, said) = migrate(url(db, scheme)).await;
        assert!(passed, "it was to pass: {said}");
        let left: i64 = db.client().await.query_one(is_there, &[]).await.unwrap().get(0);
        assert_eq!(left, 0, "the column is still there: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alembic_is_held_back() {
    let Some(packages) = installed("alembic", pip(&["alembic>=1.13", "psycopg[binary]>=3.1"])).await else {
        return;
    };
    let (dir, job) = (TempDir::new().unwrap(), JobFile::new(JOB));
    let gate = printed(&job, "alembic").await;
    fs::create_dir(dir.path().join("versions")).unwrap();
    fs::write(dir.path().join("alembic.ini"), "[alembic]\nscript_location = .\n").unwrap();
    fs::write(dir.path().join("env.py"), ALEMBIC_ENV).unwrap();
    let revision = format!(
        "from alembic import op\nrevision = 'one'\ndown_revision = None\n\ndef upgrade():\n{}    op.drop_column('orders', 'status')\n",
        indented(&gate, 4)
    );
    fs::write(dir.path().join("versions/one.py"), revision).unwrap();
    let alembic = |args: &[&str], url: String| {
        let mut command = python(&packages, dir.path());
        command.args(["-m", "alembic", "upgrade", "head"]).args(args).env("URL", url);
        async move { run(&mut command).await.expect("there is Python") }
    };
    assert_gated(|url| alembic(&[], url), "postgresql+psycopg").await;
    // What is printed to be run by hand has it, too.
    let (passed, said) = alembic(&["--sql"], "postgresql+psycopg://nowhere/".into()).await;
    assert!(passed && said.contains("PERFORM pgbackfill.assert_complete('job')"), "{said}");
}

const ALEMBIC_ENV: &str = "\
import os
from alembic import context
from sqlalchemy import create_engine

url = os.environ['URL']
if context.is_offline_mode():
    context.configure(url=url, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
";

#[tokio::test(flavor = "multi_thread")]
async fn django_is_held_back_and_its_test_database_is_not() {
    let Some(packages) = installed("django", pip(&["Django>=4.2,<6", "psycopg[binary]>=3.1"])).await else {
        return;
    };
    let (dir, job) = (TempDir::new().unwrap(), JobFile::new(JOB));
    let gate = printed(&job, "django").await;
    let shop = dir.path().join("shop");
    fs::create_dir_all(shop.join("migrations")).unwrap();
    fs::write(shop.join("__init__.py"), "").unwrap();
    fs::write(shop.join("migrations/__init__.py"), "").unwrap();
    fs::write(shop.join("tests.py"), DJANGO_TEST).unwrap();
    fs::write(dir.path().join("settings.py"), DJANGO_SETTINGS).unwrap();
    let migration = |depends: &str, operations: &str| {
        format!(
            "from django.db import migrations\n\nclass Migration(migrations.Migration):\n    dependencies = [{depends}]\n    operations = [\n{operations}    ]\n"
        )
    };
    let table =
        format!("        migrations.RunSQL(\"{}\"),\n", TABLE.replace("TABLE", "TABLE IF NOT EXISTS"));
    let (at, gate) = (gate.find("migrations.RunSQL").expect("it is an operation"), gate);
    let gate = format!("{},\n", indented(gate[at..].trim_end(), 8).trim_end());
    let drop = "        migrations.RunSQL(\"ALTER TABLE orders DROP COLUMN status\"),\n";
    let all = [
        ("0001_table", migration("", &table)),
        ("0002_gate", migration("('shop', '0001_table')", &gate)),
        ("0003_drop", migration("('shop', '0002_gate')", drop)),
    ];
    for (name, text) in all {
        fs::write(shop.join("migrations").join(format!("{name}.py")), text).unwrap();
    }
    let django = |what: &'static str, url: String| {
        let mut command = python(&packages, dir.path());
        command.args(["-m", "django", what, "--settings", "settings"]).env("URL", url);
        async move { run(&mut command).await.expect("there is Python") }
    };
    assert_gated(|url| django("migrate", url), "postgresql").await;
    let db = database().await;
    let (passed, said) = django("test", url(&db, "postgresql")).await;
    assert!(passed && said.contains("Ran 1 test"), "{said}");
}

const DJANGO_SETTINGS: &str = "\
import os
from urllib.parse import urlsplit

url = urlsplit(os.environ['URL'])
DATABASES = {'default': {
    'ENGINE': 'django.db.backends.postgresql', 'NAME': url.path[1:], 'USER': url.username,
    'HOST': url.hostname, 'PORT': url.port,
}}
INSTALLED_APPS = ['shop']
USE_TZ = True
";
const DJANGO_TEST: &str = "\
from django.db import connection
from django.test import TestCase

class Orders(TestCase):
    def test_there_are_none(self):
        with connection.cursor() as cursor:
            cursor.execute('SELECT count(*) FROM orders')
            self.assertEqual(cursor.fetchone(), (0,))
";

#[tokio::test(flavor = "multi_thread")]
async fn dbmate_is_held_back() {
    let npm = |dir: &Path| {
        let mut command = Command::new("npm");
        command.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(dir).arg("dbmate@2");
        command
    };
    let Some(packages) = installed("dbmate", npm).await else { return };
    let (dir, job) = (TempDir::new().unwrap(), JobFile::new(JOB));
    let gate = printed(&job, "sql").await;
    let migration =
        format!("-- migrate:up\n{gate}\nALTER TABLE orders DROP COLUMN status;\n\n-- migrate:down\n");
    fs::write(dir.path().join("20260101000000_drop.sql"), migration).unwrap();
    let dbmate = |url: String| {
        let mut command = Command::new(packages.join("node_modules/.bin/dbmate"));
        command.args(["--no-dump-schema", "--url", &url, "--migrations-dir"]).arg(dir.path()).arg("up");
        async move { run(&mut command).await.expect("it was installed") }
    };
    assert_gated(dbmate, "postgresql").await;
}
