//! From flags and environment to a connection, as libpq does it, and passwords that nobody else gets to see.
//!
//! Must not know: what is done with the connection.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;

use pgbackfill::sandbox::{Fsync, Server};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::support::{Database, Pgbackfill, database, database_on, own_server, shared_server};

const SECRET: &str = "correct-horse";

/// A server that wants a password of everybody but `postgres`. Never dropped; its watchman cleans up.
static GUARDED: LazyLock<Server> = LazyLock::new(|| {
    let mut server = own_server(Fsync::Off);
    let rules = server.dir().join("data/pg_hba.conf");
    let trusting = fs::read_to_string(&rules).unwrap();
    // The first line that fits decides.
    fs::write(&rules, format!("host all app 127.0.0.1/32 scram-sha-256\n{trusting}")).unwrap();
    server.restart().unwrap();
    server
});

/// The role `app` is made once: roles belong to the server.
static ROLE: OnceCell<()> = OnceCell::const_new();

async fn make_role() {
    let db = database_on(&GUARDED).await;
    let sql = format!("SET password_encryption = 'scram-sha-256'; CREATE ROLE app LOGIN PASSWORD '{SECRET}'");
    db.client().await.batch_execute(&sql).await.unwrap();
}

/// A database on the guarded server with a table of 2,000 rows that belongs to the role `app`, and how to get
/// there.
async fn guarded() -> (Database, String) {
    ROLE.get_or_init(make_role).await;
    let db = database_on(&GUARDED).await;
    let sql = format!(
        "GRANT CREATE ON DATABASE {} TO app;
         CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
         ALTER TABLE t OWNER TO app;
         INSERT INTO t SELECT generate_series(1, 2000)",
        db.name
    );
    db.client().await.batch_execute(&sql).await.unwrap();
    let url = GUARDED.tcp_connection_string(&db.name).replacen("//postgres@", "//app@", 1);
    (db, url)
}

/// `pgbackfill run` of a job on `t`.
fn run() -> Pgbackfill {
    Pgbackfill::new(["run", "--table", "t", "--set", "n = n + 1", "--name", "job", "--mode", "full"])
}

/// A `.pgpass` with these permissions in a directory of its own.
fn pass_file(mode: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(".pgpass");
    fs::write(&file, format!("elsewhere:*:*:app:wrong\n127.0.0.1:{}:*:app:{SECRET}\n", GUARDED.port()))
        .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    dir
}

/// What `list` says of a database without runs names it.
async fn asked(list: Pgbackfill) -> String {
    let said = list.run().await.expect_code(1).stderr;
    assert!(said.contains("nothing has been run in this database yet"), "{said}");
    // In quotes behind the address.
    said.split("database \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_of_libpq_are_enough_to_connect() {
    let db = database().await;
    let list = Pgbackfill::new(["list"])
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", shared_server().port().to_string())
        .env("PGUSER", "postgres")
        .env("PGDATABASE", &db.name);
    assert_eq!(asked(list).await, db.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flag_goes_before_database_url_and_that_before_the_variables() {
    let (flag, url, variable) = (database().await, database().await, database().await);
    let list = |args: &[&str]| {
        let list = Pgbackfill::new(["list"].iter().chain(args)).env("PGDATABASE", &variable.name);
        list.env("PGHOST", shared_server().dir())
            .env("PGPORT", shared_server().port().to_string())
            .env("PGUSER", "postgres")
    };
    assert_eq!(asked(list(&[])).await, variable.name);
    assert_eq!(asked(list(&[]).on(&url)).await, url.name);
    assert_eq!(asked(list(&["--database", flag.url()]).on(&url)).await, flag.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_comes_from_the_variable_the_url_or_a_private_file() {
    let home = pass_file(0o600);
    for way in ["PGPASSWORD", "PGPASSFILE", "HOME", "URL"] {
        let (_db, url) = guarded().await;
        let run = match way {
            "PGPASSWORD" => run().env("DATABASE_URL", url).env("PGPASSWORD", SECRET),
            "PGPASSFILE" => run().env("DATABASE_URL", url).env("PGPASSFILE", home.path().join(".pgpass")),
            "HOME" => run().env("DATABASE_URL", url).env("HOME", home.path()),
            _ => run().env("DATABASE_URL", url.replacen("//app@", &format!("//app:{SECRET}@"), 1)),
        };
        run.run().await.expect_code(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_missing_password_is_no_database_and_is_not_repeated_to_anybody() {
    let (db, url) = guarded().await;
    let anonymous = |text: &str| {
        text.replace(&format!(":{}", GUARDED.port()), ":PORT").replace(&db.name, "shop").trim_end().to_owned()
    };
    let wrong = run().env("DATABASE_URL", &url).env("PGPASSWORD", "hunter2").run().await.expect_code(75);
    assert!(!wrong.stderr.contains("hunter2"), "{}", wrong.stderr);
    insta::assert_snapshot!(anonymous(&wrong.stderr), @r#"
    error: cannot connect to 127.0.0.1:PORT, database "shop": password authentication failed for user "app" [SQLSTATE 28P01]
    hint: give the password in PGPASSWORD or in ~/.pgpass (which is passed over unless chmod 600 hides it from others)
    "#);
    let missing = run().env("DATABASE_URL", &url).run().await.expect_code(75);
    insta::assert_snapshot!(anonymous(&missing.stderr), @r#"
    error: cannot connect to 127.0.0.1:PORT, database "shop": invalid configuration: password missing
    hint: give the password in PGPASSWORD or in ~/.pgpass (which is passed over unless chmod 600 hides it from others)
    "#);
    // Others can read it, so libpq passes it over, and so do we; both say so.
    let open = pass_file(0o644);
    let passed_over = run().env("DATABASE_URL", &url).env("HOME", open.path()).run().await.expect_code(75);
    let file = open.path().join(".pgpass").display().to_string();
    let warning = format!(
        "warning: password file {file} has mode 0644, so others can read it, and is passed over\nhint: chmod 600 {file}\n"
    );
    assert_eq!(passed_over.stderr, warning + &missing.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_to_see_the_password() {
    let (db, url) = guarded().await;
    let slow = Pgbackfill::new([
        "run",
        "-vvv",
        "--table",
        "t",
        "--set",
        "n = n + 1",
        "--name",
        "job",
        "--mode",
        "full",
        "--max-rows-per-second",
        "100",
    ]);
    let url = url.replacen("//app@", &format!("//app:{SECRET}@"), 1);
    let running = slow.env("DATABASE_URL", &url).env("RUST_LOG", "trace").spawn();
    db.until_first_batch().await;
    let seen = "
        SELECT (SELECT string_agg(a::text, E'\\n') FROM pg_stat_activity AS a
                WHERE datname = current_database() AND pid <> pg_backend_pid()),
               (SELECT string_agg(concat_ws(E'\\n', r::text, p::text, e::text), E'\\n')
                FROM pgbackfill.run AS r
                JOIN pgbackfill.process AS p ON p.run = r.id
                JOIN pgbackfill.event AS e ON e.run = r.id)";
    let row = db.client().await.query_one(seen, &[]).await.unwrap();
    let (activity, stored): (String, String) = (row.get(0), row.get(1));
    assert!(activity.contains("pgbackfill job") && !activity.contains(SECRET), "{activity}");
    assert!(stored.contains("n + 1") && !stored.contains(SECRET), "{stored}");
    let processes = processes().await;
    assert!(processes.contains("--max-rows-per-second") && !processes.contains(SECRET), "{processes}");
    let set = Pgbackfill::new(["set", "job", "max-rows-per-second=none"]).env("DATABASE_URL", url);
    set.run().await.expect_code(0);
    let said = running.finish().await.expect_code(0);
    assert!(said.stderr.contains("TRACE"), "the log was not as talkative as it can be");
    assert!(!said.stderr.contains(SECRET) && !said.stdout.contains(SECRET), "{}{}", said.stderr, said.stdout);
    let log = fs::read_to_string(GUARDED.log()).unwrap();
    // It logs statements that fail, and the one that made the role did not.
    assert!(!log.contains(SECRET), "{log}");
}

/// A table of 20,000 rows, the role that owns it and may have so many connections, and its URL.
async fn limited(connections: u32) -> (Database, String, String) {
    let db = database().await;
    let role = format!("limited_{}", db.name);
    let sql = format!(
        "CREATE ROLE {role} LOGIN CONNECTION LIMIT {connections};
         GRANT CREATE ON DATABASE {} TO {role};
         CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
         ALTER TABLE t OWNER TO {role};
         INSERT INTO t SELECT generate_series(1, 20000)",
        db.name
    );
    db.client().await.batch_execute(&sql).await.unwrap();
    let url = db.direct_url().replacen("//postgres@", &format!("//{role}@"), 1);
    (db, role, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_too_few_connections_fewer_workers_go_on() {
    // One for the heartbeat, one for the guard, and two for five workers.
    let (_db, _, url) = limited(4).await;
    let run = run().args(["--workers", "5", "--output", "json", "--max-rows-per-second", "20000"]);
    let ran = run.env("DATABASE_URL", url).run().await.expect_code(0);
    assert_eq!(ran.summary()["rows_changed_here"], 20_000);
    let notices = ran.events("notice");
    let said = |words: &str| notices.iter().any(|notice| notice["message"].as_str().unwrap().contains(words));
    assert!(
        said("[SQLSTATE 53300]") && said("workers of this process for the next minute: 2"),
        "{notices:?}"
    );
    assert!(ran.events("retrying").is_empty(), "somebody tried again and again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gives_its_connection_up_for_the_heartbeat_and_the_guard() {
    let (db, role, url) = limited(5).await;
    let run = run().args(["--workers", "3", "--output", "json", "--max-rows-per-second", "500"]);
    let process = run.env("DATABASE_URL", url).spawn();
    db.until_changed(101).await;
    // Fewer than before, and whoever is faster has them.
    let narrow = format!(
        "ALTER ROLE {role} CONNECTION LIMIT 3;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
    );
    db.client().await.batch_execute(&narrow).await.unwrap();
    db.until("(SELECT workers = 1 FROM pgbackfill.process)").await;
    let guarded = "EXISTS (SELECT FROM pgbackfill.guard, pgbackfill.process
                           WHERE read_at > clock_timestamp() - interval '2 s' AND last_seen > clock_timestamp() - interval '2 s')";
    db.until(guarded).await;
    Pgbackfill::new(["set", "job", "max-rows-per-second=none"]).on(&db).run().await;
    let ran = process.finish().await.expect_code(0);
    assert_eq!(ran.summary()["rows_changed_here"], 20_000);
}

/// What everybody on this host can see of everybody's processes.
async fn processes() -> String {
    if !Path::new("/proc/self/cmdline").exists() {
        let output = Command::new("ps").args(["ax", "-ww", "-o", "args"]).output().await.unwrap();
        return String::from_utf8_lossy(&output.stdout).into_owned();
    }
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    // A process that ends while we look is none.
    let lines = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_the_flag_is_advised_against() {
    // Not the right one: another test looks whether anybody shows that.
    let (_db, url) = guarded().await;
    let url = url.replacen("//app@", "//app:hunter2@", 1);
    let said = Pgbackfill::new(["list", "--database", &url]).run().await.expect_code(75);
    assert!(said.stderr.contains("warning: a password on the command line can be seen"), "{}", said.stderr);
    assert!(!said.stderr.contains("hunter2"), "{}", said.stderr);
}
