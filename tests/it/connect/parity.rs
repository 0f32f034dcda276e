//! Connection strings, variables and files, each tried with `psql` and with ours: the same verdict on each.
//!
//! Where the server's programs have no `psql`, ours alone is held against what it should come to.
//!
//! Must not know: how a connection is made.

mod certificates;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pgbackfill::connect::ConnectParams;
use pgbackfill::db::Pool;
use pgbackfill::sandbox::{Fsync, Server};

use crate::support::{Database, database_on, own_server, psql, skipped};

/// With everything in it that a URI or a password file gives a meaning to.
const SECRET: &str = "p@ss:w/o%rd";
const SECRET_IN_URI: &str = "p%40ss%3Aw%2Fo%25rd";
const SECRET_IN_FILE: &str = r"p@ss\:w/o%rd";

/// Who came in where, and whether over TLS.
const WHO: &str =
    "SELECT concat_ws(' ', current_user, current_database(), CASE WHEN ssl THEN 'tls' ELSE 'plain' END)
    FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/// Who may come from where. The first line that fits decides.
const RULES: &str = "\
local all all trust
hostssl all tlsonly all scram-sha-256
hostnossl all tlsonly all reject
hostnossl all plainonly all scram-sha-256
hostssl all plainonly all reject
hostssl all cert all cert
hostnossl all cert all reject
host all app all scram-sha-256
host all reader all trust
host all postgres all trust
";

/// `{…}` stands for what is known only when the test runs; see [`TlsServer::filled`].
struct Row {
    text: &'static str,
    environment: &'static [(&'static str, &'static str)],
    /// Empty: nobody comes in.
    verdict: &'static str,
    /// The first libpq that knows the parameter.
    since: u32,
}

const fn row(
    text: &'static str,
    environment: &'static [(&'static str, &'static str)],
    verdict: &'static str,
) -> Row {
    Row { text, environment, verdict, since: 0 }
}

const NO: &str = "";

/// While the server shows the certificate `good`, made out to localhost by `ca`.
const GOOD: &[Row] = &[
    // How it is written.
    row("postgresql://postgres@localhost:{port}/{db}", &[], "postgres {db} tls"),
    row("postgres://postgres@localhost:{port}/?dbname={db}&sslmode=disable", &[], "postgres {db} plain"),
    row("postgresql://postgres@localhost:{port}/postgres?dbname={db}", &[], "postgres {db} tls"),
    row("postgresql://{sockets%}:{port}/{db}?user=postgres", &[], "postgres {db} plain"),
    row("postgresql:///{db}?host={sockets}&port={port}&user=postgres", &[], "postgres {db} plain"),
    row("postgresql://app:{secret%}@localhost:{port}/{db}", &[], "app {db} tls"),
    row("postgresql://app:{secret}@localhost:{port}/{db}", &[], NO),
    row("postgresql://postgres@localhost:{port}/{db}?hots=x", &[], NO),
    row("postgresql://postgres@localhost:{port}/{db}?sslmode", &[], NO),
    row("postgresql://postgres@localhost:{port}/%zz", &[], NO),
    row("postgresql://postgres@[::1:{port}/{db}", &[], NO),
    row("postgresql://postgres@localhost:{port}/{db}?ssl=true", &[], "postgres {db} tls"),
    row("{at} user=postgres", &[], "postgres {db} tls"),
    row("host = 'localhost' port={port} user = postgres dbname='{db}'", &[], "postgres {db} tls"),
    row("{at} user=app password='{secret}'", &[], "app {db} tls"),
    row("{at} user=app password='{secret}", &[], NO),
    row("host=localhost port={port} user postgres dbname={db}", &[], NO),
    row("host=localhost port=70000 user=postgres dbname={db}", &[], NO),
    row("host=localhost,localhost port={port},{port},{port} user=postgres dbname={db}", &[], NO),
    row(
        "{db}",
        &[("PGHOST", "localhost"), ("PGPORT", "{port}"), ("PGUSER", "postgres")],
        "postgres {db} tls",
    ),
    row("{at} user=postgres sslmode=Require", &[], NO),
    row("{at} user=postgres connect_timeout=soon", &[], NO),
    row(
        "{at} user=postgres target_session_attrs=read-only options='-c default_transaction_read_only=on'",
        &[],
        "postgres {db} tls",
    ),
    row("hostaddr=127.0.0.1 port={port} user=postgres dbname={db}", &[], "postgres {db} tls"),
    row("hostaddr=127.0.0.1,127.0.0.1 host=localhost port={port} user=postgres dbname={db}", &[], NO),
    row("port={port} user=postgres dbname={db}", &[("PGHOSTADDR", "127.0.0.1")], "postgres {db} tls"),
    row("{at} user=nobody_here", &[], NO),
    row("host=localhost port={port} user=postgres dbname=nowhere", &[], NO),
    // Variables.
    row(
        "",
        &[("PGHOST", "localhost"), ("PGPORT", "{port}"), ("PGUSER", "postgres"), ("PGDATABASE", "{db}")],
        "postgres {db} tls",
    ),
    row("{at} user=app", &[("PGPASSWORD", SECRET)], "app {db} tls"),
    row("{at} user=app", &[("PGPASSWORD", "wrong")], NO),
    row("{at} user=postgres", &[("PGSSLMODE", "disable")], "postgres {db} plain"),
    row("{at} user=postgres", &[("PGSSLMODE", "")], NO),
    row(
        "host=localhost port={port} dbname={db}",
        &[("PGUSER", "postgres"), ("PGHOST", "elsewhere.invalid")],
        "postgres {db} tls",
    ),
    row(
        "{at} user=postgres",
        &[("PGOPTIONS", "-c default_transaction_read_only=on"), ("PGTARGETSESSIONATTRS", "read-only")],
        "postgres {db} tls",
    ),
    // Password files.
    row("{at} user=app", &[("PGPASSFILE", "{dir}/pass")], "app {db} tls"),
    row("{at} user=app passfile={dir}/pass", &[], "app {db} tls"),
    row("{at} user=app", &[("HOME", "{dir}/home")], "app {db} tls"),
    row("{at} user=app", &[("PGPASSFILE", "{dir}/pass.open")], NO),
    row("{at} user=app", &[("PGPASSFILE", "{dir}/pass.any")], "app {db} tls"),
    row("host=127.0.0.1 port={port} user=app dbname={db}", &[("PGPASSFILE", "{dir}/pass")], NO),
    row(
        "host=127.0.0.1,localhost port={dead},{port} user=app dbname={db}",
        &[("PGPASSFILE", "{dir}/pass")],
        "app {db} tls",
    ),
    row("{at} user=app", &[("PGPASSFILE", "/nonexistent")], NO),
    // Services.
    row("service=shop", &[("PGSERVICEFILE", "{dir}/services")], "postgres {db} tls"),
    row("", &[("PGSERVICE", "shop"), ("PGSERVICEFILE", "{dir}/services")], "postgres {db} tls"),
    row("", &[("PGSERVICE", "shop"), ("HOME", "{dir}/home")], "postgres {db} tls"),
    row("service=shop", &[("PGSYSCONFDIR", "{dir}/system")], "postgres {db} tls"),
    row("service=shop sslmode=disable", &[("PGSERVICEFILE", "{dir}/services")], "postgres {db} plain"),
    row(
        "service=shop",
        &[("PGSERVICEFILE", "{dir}/services"), ("PGUSER", "nobody_here")],
        "postgres {db} tls",
    ),
    row("postgresql:///?service=shop", &[("PGSERVICEFILE", "{dir}/services")], "postgres {db} tls"),
    row("service=other", &[("PGSERVICEFILE", "{dir}/services")], NO),
    row("service=nested", &[("PGSERVICEFILE", "{dir}/services")], NO),
    row("service=misspelt", &[("PGSERVICEFILE", "{dir}/services")], NO),
    row("service=shop", &[("PGSERVICEFILE", "/nonexistent")], NO),
    // Several servers.
    row("host=localhost,localhost port={dead},{port} user=postgres dbname={db}", &[], "postgres {db} tls"),
    row("postgresql://postgres@localhost:{dead},localhost:{port}/{db}", &[], "postgres {db} tls"),
    row("host=nowhere.invalid,localhost port={port} user=postgres dbname={db}", &[], "postgres {db} tls"),
    row("host=localhost,localhost port={dead} user=postgres dbname={db}", &[], NO),
    row("host=localhost,localhost port={port},{dead} user=app password=wrong dbname={db}", &[], NO),
    row("host=localhost,{sockets} port={port} user=app password=wrong dbname={db}", &[], NO),
    row("{at} user=postgres target_session_attrs=read-write", &[], "postgres {db} tls"),
    row("{at} user=postgres target_session_attrs=primary", &[], "postgres {db} tls"),
    row("{at} user=postgres target_session_attrs=standby", &[], NO),
    row("{at} user=postgres target_session_attrs=read-only", &[], NO),
    row("{at} user=postgres target_session_attrs=prefer-standby", &[], "postgres {db} tls"),
    row("{at} user=reader target_session_attrs=read-only", &[], "reader {db} tls"),
    row("{at} user=reader target_session_attrs=read-write", &[], NO),
    row("{at} user=postgres target_session_attrs=best", &[], NO),
    Row {
        since: 16,
        ..row(
            "host=localhost,localhost port={dead},{port} user=postgres dbname={db} load_balance_hosts=random",
            &[],
            "postgres {db} tls",
        )
    },
    // How much TLS.
    row("{at} user=postgres sslmode=allow", &[], "postgres {db} plain"),
    row("{at} user=postgres sslmode=require", &[], "postgres {db} tls"),
    row("host={sockets} port={port} user=postgres dbname={db} sslmode=require", &[], "postgres {db} plain"),
    row("host=localhost port={port} user=tlsonly password=x dbname={db} sslmode=disable", &[], NO),
    row(
        "host=localhost port={port} user=tlsonly password=x dbname={db} sslmode=allow",
        &[],
        "tlsonly {db} tls",
    ),
    row(
        "host=localhost port={port} user=plainonly password=x dbname={db} sslmode=prefer",
        &[],
        "plainonly {db} plain",
    ),
    row("host=localhost port={port} user=plainonly password=x dbname={db} sslmode=require", &[], NO),
    // Whom to trust.
    row("{at} user=postgres sslmode=verify-ca", &[], NO),
    row("{at} user=postgres sslmode=verify-ca sslrootcert={dir}/ca.crt", &[], "postgres {db} tls"),
    row("{at} user=postgres sslmode=verify-ca sslrootcert={dir}/other.crt", &[], NO),
    row("{at} user=postgres sslmode=verify-full sslrootcert={dir}/ca.crt", &[], "postgres {db} tls"),
    row(
        "host=127.0.0.1 port={port} user=postgres dbname={db} sslmode=verify-full sslrootcert={dir}/ca.crt",
        &[],
        NO,
    ),
    row(
        "host=127.0.0.1 port={port} user=postgres dbname={db} sslmode=verify-ca sslrootcert={dir}/ca.crt",
        &[],
        "postgres {db} tls",
    ),
    row(
        "host=localhost hostaddr=127.0.0.1 port={port} user=postgres dbname={db} sslmode=verify-full sslrootcert={dir}/ca.crt",
        &[],
        "postgres {db} tls",
    ),
    row(
        "host=db.example hostaddr=127.0.0.1 port={port} user=postgres dbname={db} sslmode=verify-full sslrootcert={dir}/ca.crt",
        &[],
        NO,
    ),
    row(
        "hostaddr=127.0.0.1 port={port} user=postgres dbname={db} sslmode=verify-full sslrootcert={dir}/ca.crt",
        &[],
        NO,
    ),
    row("{at} user=postgres sslmode=require sslrootcert={dir}/other.crt", &[], NO),
    row("{at} user=postgres sslmode=require sslrootcert=/nonexistent", &[], "postgres {db} tls"),
    row("{at} user=postgres sslmode=prefer sslrootcert={dir}/other.crt", &[], "postgres {db} plain"),
    row("{at} user=postgres sslmode=verify-full", &[("HOME", "{dir}/home")], "postgres {db} tls"),
    row("{at} user=postgres sslmode=verify-full", &[("PGSSLROOTCERT", "{dir}/ca.crt")], "postgres {db} tls"),
    row("{at} user=postgres sslmode=verify-full sslrootcert=system", &[], NO),
    Row { since: 16, ..row("{at} user=postgres sslmode=require sslrootcert=system", &[], NO) },
    row(
        "{at} user=postgres sslmode=verify-ca sslrootcert={dir}/ca.crt sslcrl={dir}/none.crl",
        &[],
        "postgres {db} tls",
    ),
    row("{at} user=postgres sslmode=verify-ca sslrootcert={dir}/ca.crt sslcrl={dir}/revoked.crl", &[], NO),
    row("{at} user=postgres sslmode=require ssl_min_protocol_version=TLSv1.3", &[], "postgres {db} tls"),
    row(
        "{at} user=postgres sslmode=require ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2",
        &[],
        NO,
    ),
    Row { since: 17, ..row("{at} user=postgres sslnegotiation=direct", &[], NO) },
    // Who we are.
    row(
        "{at} user=cert sslmode=require sslcert={dir}/client.crt sslkey={dir}/client.key",
        &[],
        "cert {db} tls",
    ),
    row("{at} user=cert", &[("HOME", "{dir}/home")], "cert {db} tls"),
    row("{at} user=cert sslmode=require", &[], NO),
    row(
        "host=localhost port={port} user=tlsonly password=x dbname={db} sslmode=require sslcert=/nonexistent",
        &[],
        "tlsonly {db} tls",
    ),
    row("{at} user=cert sslmode=require sslcert={dir}/client.crt sslkey={dir}/open.key", &[], NO),
    row("{at} user=cert sslmode=require sslcert={dir}/client.crt sslkey={dir}/good.key", &[], NO),
    row("{at} user=cert sslmode=require sslcert={dir}/late.crt sslkey={dir}/late.key", &[], NO),
    row(
        "host=localhost port={port} user=app password='{secret}' dbname={db} channel_binding=require",
        &[],
        "app {db} tls",
    ),
    row(
        "host=localhost port={port} user=app password='{secret}' dbname={db} channel_binding=require sslmode=disable",
        &[],
        NO,
    ),
    row("{at} user=postgres channel_binding=require", &[], NO),
    row(
        "host=localhost port={port} user=app password='{secret}' dbname={db} channel_binding=disable",
        &[],
        "app {db} tls",
    ),
    row(
        "host=localhost port={port} user=app password='{secret}' dbname={db}",
        &[("PGCHANNELBINDING", "require")],
        "app {db} tls",
    ),
];

/// While it shows one whose time is over.
const EXPIRED: &[Row] = &[
    row("{at} user=postgres sslmode=require", &[], "postgres {db} tls"),
    row("{at} user=postgres sslmode=verify-ca sslrootcert={dir}/ca.crt", &[], NO),
    row("{at} user=postgres sslmode=verify-full sslrootcert={dir}/ca.crt", &[], NO),
];

/// While it shows one that has its host only as its common name.
const COMMON: &[Row] = &[
    row("{at} user=postgres sslmode=verify-full sslrootcert={dir}/ca.crt", &[], "postgres {db} tls"),
    row(
        "host=127.0.0.1 port={port} user=postgres dbname={db} sslmode=verify-full sslrootcert={dir}/ca.crt",
        &[],
        NO,
    ),
];

/// While it shows one that it signed itself.
const OWN: &[Row] = &[
    row("{at} user=postgres sslmode=verify-full sslrootcert={dir}/own.crt", &[], "postgres {db} tls"),
    row(
        "host=127.0.0.1 port={port} user=postgres dbname={db} sslmode=verify-full sslrootcert={dir}/own.crt",
        &[],
        NO,
    ),
    row("{at} user=postgres sslmode=verify-ca sslrootcert={dir}/ca.crt", &[], NO),
];

/// A server with TLS, the files of people, and a port on which nobody listens.
struct TlsServer {
    server: Server,
    db: Database,
    dir: tempfile::TempDir,
    dead_port: u16,
}

impl TlsServer {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        certificates::make(dir.path());
        let mut server = own_server(Fsync::Off);
        let db = database_on(&server).await;
        let roles = format!(
            "SET password_encryption = 'scram-sha-256';
             CREATE ROLE app LOGIN PASSWORD '{SECRET}';
             CREATE ROLE tlsonly LOGIN PASSWORD 'x';
             CREATE ROLE plainonly LOGIN PASSWORD 'x';
             CREATE ROLE cert LOGIN;
             CREATE ROLE reader LOGIN;
             ALTER ROLE reader SET default_transaction_read_only = on"
        );
        db.client().await.batch_execute(&roles).await.unwrap();
        let data = server.dir().join("data");
        let mut settings = fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        writeln!(settings, "ssl = on\nssl_ca_file = 'ca.crt'").unwrap();
        fs::write(data.join("pg_hba.conf"), RULES).unwrap();
        lend(dir.path(), &data, "ca.crt", "ca.crt");
        show(dir.path(), &data, "good");
        server.restart().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let dead_port = listener.local_addr().unwrap().port();
        let all = Self { server, db, dir, dead_port };
        all.write_files();
        all
    }

    /// Password files, services, and a home with all of it.
    fn write_files(&self) {
        let passwords = format!(
            "# ours\nelsewhere:*:*:*:wrong\nlocalhost:{}:*:app:{SECRET_IN_FILE}\n",
            self.server.port()
        );
        let services = self.filled(
            "[other one]\nhost=nowhere.invalid\n# here\n[shop]\nhost=localhost\nport={port}\n\nuser=postgres\n dbname={db}\n\
             [nested]\nservice=shop\n[misspelt]\nhots=localhost\n",
        );
        for dir in ["home/.postgresql", "system"] {
            fs::create_dir_all(self.dir.path().join(dir)).unwrap();
        }
        let files = [
            ("pass", passwords.as_str(), 0o600),
            ("pass.open", &passwords, 0o640),
            ("home/.pgpass", &passwords, 0o600),
            ("services", &services, 0o644),
            ("home/.pg_service.conf", &services, 0o644),
            ("system/pg_service.conf", &services, 0o644),
        ];
        for (name, text, mode) in files {
            self.write(name, text, mode);
        }
        // A remark in an encoding of its own.
        let mut any = b"# caf\xe9\n*:*:*:*:".to_vec();
        any.extend(SECRET_IN_FILE.as_bytes());
        self.write("pass.any", any, 0o600);
        for (from, to, mode) in [
            ("client.key", "open.key", 0o644),
            ("ca.crt", "home/.postgresql/root.crt", 0o644),
            ("client.crt", "home/.postgresql/postgresql.crt", 0o644),
            ("client.key", "home/.postgresql/postgresql.key", 0o600),
        ] {
            self.write(to, fs::read(self.dir.path().join(from)).unwrap(), mode);
        }
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>, mode: u32) {
        let file = self.dir.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn filled(&self, text: &str) -> String {
        let sockets = self.sockets();
        text.replace("{at}", "host=localhost port={port} dbname={db}")
            .replace("{port}", &self.server.port().to_string())
            .replace("{dead}", &self.dead_port.to_string())
            .replace("{db}", &self.db.name)
            .replace("{dir}", &self.dir.path().display().to_string())
            .replace("{sockets%}", &sockets.replace('/', "%2F"))
            .replace("{sockets}", &sockets)
            .replace("{secret%}", SECRET_IN_URI)
            .replace("{secret}", SECRET)
    }

    /// The directory of the server's socket, out of its own connection string.
    fn sockets(&self) -> String {
        let uri = self.server.connection_string("postgres");
        let host = uri.split('@').nth(1).and_then(|rest| rest.split(':').next()).unwrap();
        percent_encoding::percent_decode_str(host).decode_utf8().unwrap().into_owned()
    }

    fn environment(&self, row: &Row) -> Vec<(String, String)> {
        let nowhere = [("HOME", "/nonexistent")]
            .into_iter()
            .filter(|(home, _)| row.environment.iter().all(|(name, _)| name != home));
        nowhere
            .chain(row.environment.iter().copied())
            .map(|(name, value)| (name.to_owned(), self.filled(value)))
            .collect()
    }

    async fn ours(&self, row: &Row) -> Result<String, String> {
        let environment = self.environment(row);
        let lookup =
            |name: &str| environment.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        let params =
            ConnectParams::resolve(&self.filled(row.text), &lookup).map_err(|error| error.to_string())?;
        let pool = Pool::new(&params, 1).map_err(|error| error.to_string())?;
        let session = pool.session().await.map_err(|error| error.to_string())?;
        let row = session.query_one(WHO, &[]).await.map_err(|error| error.to_string())?;
        // Whichever way we came in, nobody stands between, and the way to cancel says so.
        let backend = session.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        assert_eq!(session.canceller().backend().await, Some(backend), "{environment:?}");
        Ok(row.get(0))
    }

    fn psqls(&self, row: &Row, psql: &Path) -> Result<String, String> {
        let mut command = Command::new(psql);
        command.env_clear().envs(self.environment(row)).stdin(Stdio::null());
        // Some variables are for us alone, and an empty string is no database to psql.
        command.args(["-XAtw", "-c", WHO]);
        if !row.text.is_empty() {
            command.arg("-d").arg(self.filled(row.text));
        }
        let output = command.output().unwrap();
        let said = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
    }

    /// Tries every row, and writes down each that came out otherwise.
    async fn try_all(&self, shown: &str, rows: &[Row], psql: Option<&(PathBuf, u32)>, wrong: &mut String) {
        for row in rows {
            let expected = self.filled(row.verdict);
            let ours = self.ours(row).await;
            let theirs = psql.filter(|(_, major)| *major >= row.since).map(|(psql, _)| self.psqls(row, psql));
            let is_expected =
                |verdict: &Result<String, String>| verdict.clone().unwrap_or_default() == expected;
            if !is_expected(&ours) || theirs.as_ref().is_some_and(|theirs| !is_expected(theirs)) {
                let text = row.text;
                let environment = row.environment;
                writeln!(
                    wrong,
                    "{shown}: {text} {environment:?}\n  expected {expected:?}\n  ours {ours:?}\n  psql {theirs:?}"
                )
                .unwrap();
            }
            if let Err(said) = ours {
                assert!(!said.contains(SECRET) && !said.contains("w/o"), "{}: {said}", row.text);
            }
        }
    }

    /// From here on the server shows another certificate.
    async fn show(&self, name: &str) {
        let before: String = self.loaded_at().await;
        show(self.dir.path(), &self.server.dir().join("data"), name);
        self.db.client().await.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        // A new session has from the postmaster when that read its files.
        while self.loaded_at().await == before {
            tokio::task::yield_now().await;
        }
    }

    async fn loaded_at(&self) -> String {
        self.db.client().await.query_one("SELECT pg_conf_load_time()::text", &[]).await.unwrap().get(0)
    }
}

/// Gives the server a copy that belongs to it.
fn lend(from: &Path, data: &Path, name: &str, as_name: &str) {
    let (file, owner) = (data.join(as_name), fs::metadata(data).unwrap());
    fs::copy(from.join(name), &file).unwrap();
    chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
}

fn show(from: &Path, data: &Path, name: &str) {
    lend(from, data, &format!("{name}.crt"), "server.crt");
    lend(from, data, &format!("{name}.key"), "server.key");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_connect_comes_to_what_it_comes_to_with_psql() {
    let server = TlsServer::new().await;
    let psql = psql();
    if psql.is_none() {
        skipped("no psql beside the server's programs or in PATH, so the table is not held against it");
    }
    let mut wrong = String::new();
    let tables = [("good", GOOD), ("expired", EXPIRED), ("common", COMMON), ("own", OWN)];
    for (shown, rows) in tables {
        server.show(shown).await;
        server.try_all(shown, rows, psql.as_ref(), &mut wrong).await;
    }
    let count: usize = tables.iter().map(|(_, rows)| rows.len()).sum();
    println!("{count} ways to connect, psql {:?}", psql.map(|(_, major)| major));
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_servers_the_one_that_can_be_written_to_is_taken() {
    let (first, second) = (own_server(Fsync::Off), own_server(Fsync::Off));
    let closed = "ALTER SYSTEM SET default_transaction_read_only = on";
    let admin = database_on(&first).await;
    admin.client().await.batch_execute(closed).await.unwrap();
    admin.client().await.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    admin.until("current_setting('default_transaction_read_only')::bool").await;
    let both =
        format!("postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/postgres", first.port(), second.port());
    for (attributes, port) in [("", second.port()), ("?target_session_attrs=any", first.port())] {
        let params = ConnectParams::resolve(&format!("{both}{attributes}"), &|_| None).unwrap();
        let session = Pool::new(&params, 1).unwrap().session().await.unwrap();
        let row = session.query_one("SELECT inet_server_port()", &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), i32::from(port), "{attributes}");
    }
}
