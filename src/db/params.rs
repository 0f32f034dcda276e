//! Connection parameters as every libpq tool takes them: a URI or `key=value` words, then the `PG*` variables, then the defaults.
//!
//! tokio-postgres rejects several of libpq's parameters and reads no variable, so this layer stands before it. The environment
//! is looked up through the caller: a library reads none.
//!
//! Must not know: the process's environment, the terminal.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::passfile;
use super::tls::{self, Verify};

/// Looks up one environment variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A connection parameter that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// The text is neither a URI nor `key=value` words.
    #[error(
        "connection string cannot be read: {0}\nhint: write postgresql://user@host:5432/database or host=… dbname=…"
    )]
    Syntax(String),
    /// A parameter that nobody knows.
    #[error("unknown connection parameter \"{name}\"{}", .near.as_ref().map(|near| format!("\nhint: did you mean \"{near}\"?")).unwrap_or_default())]
    Unknown {
        /// As it was written.
        name: String,
        /// The nearest known one.
        near: Option<&'static str>,
    },
    /// A value that the parameter does not take.
    #[error("connection parameter {name} cannot be \"{value}\"\nhint: {expected}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// As it was written.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

/// libpq's name of each parameter that we take, and its variable.
const KNOWN: [(&str, &str); 20] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("keepalives", ""),
    ("keepalives_idle", ""),
    ("keepalives_interval", ""),
    ("keepalives_count", ""),
    ("tcp_user_timeout", ""),
    ("client_encoding", "PGCLIENTENCODING"),
];

/// Everything needed to connect. `Debug` does not show the password.
#[derive(Clone)]
pub struct ConnectParams {
    config: Config,
    verify: Verify,
    root_file: Option<String>,
}

impl std::fmt::Debug for ConnectParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectParams")
            .field("address", &self.address())
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}

type Words = BTreeMap<String, String>;

impl ConnectParams {
    /// From a connection string (a URI, `key=value` words, or nothing) and the environment.
    pub fn resolve(text: &str, environment: Lookup<'_>) -> Result<Self, ParamsError> {
        let mut words = parse(text)?;
        for name in words.keys() {
            known(name)?;
        }
        // Passing over it could lead to another database than every other libpq tool would take.
        if let Some(value) = environment("PGSERVICE") {
            let expected =
                "service files are not read yet: unset PGSERVICE and write out what the service stands for";
            return Err(ParamsError::Value { name: "service", value, expected });
        }
        for (name, variable) in KNOWN {
            let value = if variable.is_empty() { None } else { environment(variable) };
            if let Some(value) = value {
                words.entry(name.to_owned()).or_insert(value);
            }
        }
        defaults(&mut words, environment);
        let (verify, mode) = ssl_mode(&words)?;
        let mut config = Config::new();
        config.ssl_mode(mode);
        address(&words, &mut config)?;
        options(&words, &mut config)?;
        timeouts(&words, &mut config)?;
        Ok(Self { config, verify, root_file: words.remove("sslrootcert") })
    }

    /// What `pg_stat_activity` shows.
    pub fn application_name(&mut self, name: &str) {
        self.config.application_name(name);
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn tls_connector(&self) -> Result<MakeRustlsConnect, String> {
        // Without TLS the roots are never asked, and a machine without any must still connect.
        let verify =
            if self.config.get_ssl_mode() == SslMode::Disable { Verify::Nothing } else { self.verify };
        tls::connector(verify, self.root_file.as_deref())
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.config.get_connect_timeout().copied().unwrap_or(Duration::from_secs(10))
    }

    /// Host, port and database, without user or password.
    #[must_use]
    pub fn address(&self) -> String {
        use tokio_postgres::config::Host;
        let hosts: Vec<_> = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(i, host)| {
                let ports = self.config.get_ports();
                let port = ports.get(i).or(ports.first()).copied().unwrap_or(5432);
                match host {
                    Host::Tcp(name) => format!("{name}:{port}"),
                    Host::Unix(path) => format!("{}/.s.PGSQL.{port}", path.display()),
                }
            })
            .collect();
        format!("{}, database \"{}\"", hosts.join(","), self.config.get_dbname().unwrap_or_default())
    }
}

fn known(name: &str) -> Result<(), ParamsError> {
    if KNOWN.iter().any(|(known, _)| *known == name) {
        return Ok(());
    }
    let near = KNOWN
        .iter()
        .map(|(known, _)| (*known, strsim::jaro_winkler(known, name)))
        .filter(|(_, likeness)| *likeness > 0.8)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(known, _)| known);
    Err(ParamsError::Unknown { name: name.to_owned(), near })
}

fn parse(text: &str) -> Result<Words, ParamsError> {
    let text = text.trim();
    match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        Some(rest) => parse_uri(rest),
        None => parse_words(text),
    }
}

fn decode(text: &str) -> Result<String, ParamsError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| ParamsError::Syntax("a percent-encoded part is not UTF-8".into()))
}

/// `[user[:password]@][host[:port][,…]][/database][?name=value[&…]]`
fn parse_uri(rest: &str) -> Result<Words, ParamsError> {
    let mut words = Words::new();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| ParamsError::Syntax(format!("\"{pair}\" has no value")))?;
        let (name, value) = match name {
            // JDBC's spelling, which libpq takes, too.
            "ssl" if value == "true" => ("sslmode".to_owned(), "require".to_owned()),
            name => (decode(name)?, decode(value)?),
        };
        words.insert(name, value);
    }
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (hosts, ports) = split_hosts(hosts);
    for (name, value) in [("user", user), ("password", password), ("dbname", database)] {
        if !value.is_empty() {
            words.insert(name.into(), decode(value)?);
        }
    }
    if !hosts.is_empty() {
        words.insert("host".into(), decode(&hosts)?);
    }
    if !ports.is_empty() {
        words.insert("port".into(), ports);
    }
    Ok(words)
}

/// Hosts and ports of a list, each joined by commas; an IPv6 address stands in brackets.
fn split_hosts(list: &str) -> (String, String) {
    let pairs: Vec<(&str, &str)> = list
        .split(',')
        .map(|one| match one.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => (address, port.trim_start_matches(':')),
            None => one.split_once(':').unwrap_or((one, "")),
        })
        .collect();
    let hosts: Vec<_> = pairs.iter().map(|pair| pair.0).collect();
    let ports: Vec<_> = pairs.iter().map(|pair| if pair.1.is_empty() { "5432" } else { pair.1 }).collect();
    let any_port = pairs.iter().any(|pair| !pair.1.is_empty());
    (hosts.join(","), if any_port { ports.join(",") } else { String::new() })
}

/// `key = value` words; a value with spaces stands in single quotes, a backslash escapes.
fn parse_words(text: &str) -> Result<Words, ParamsError> {
    let mut words = Words::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, tail) = rest
            .split_once('=')
            .ok_or_else(|| ParamsError::Syntax(format!("\"{}\" has no value", shown(rest))))?;
        let (value, tail) = word_value(tail.trim_start())?;
        words.insert(name.trim().to_owned(), value);
        rest = tail.trim_start();
    }
    Ok(words)
}

/// What may be shown of a text that could be a password: its first word, if it has a name's form.
fn shown(text: &str) -> &str {
    let first = text.split_whitespace().next().unwrap_or_default();
    if first.len() <= 20 { first } else { "…" }
}

fn word_value(text: &str) -> Result<(String, &str), ParamsError> {
    let quoted = text.starts_with('\'');
    let body = if quoted { &text[1..] } else { text };
    let mut value = String::new();
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &body[at + 1..])),
            space if !quoted && space.is_whitespace() => return Ok((value, &body[at..])),
            other => value.push(other),
        }
    }
    if quoted { Err(ParamsError::Syntax("a single quote is not closed".into())) } else { Ok((value, "")) }
}

fn defaults(words: &mut Words, environment: Lookup<'_>) {
    let user = words
        .entry("user".into())
        .or_insert_with(|| environment("USER").unwrap_or_else(|| "postgres".into()))
        .clone();
    let database = words.entry("dbname".into()).or_insert_with(|| user.clone()).clone();
    if !words.contains_key("host") && !words.contains_key("hostaddr") {
        let socket_dir = ["/var/run/postgresql", "/tmp"]
            .into_iter()
            .find(|dir| Path::new(dir).join(".s.PGSQL.5432").exists());
        words.insert("host".into(), socket_dir.unwrap_or("localhost").into());
    }
    if words.contains_key("password") {
        return;
    }
    let file =
        words.get("passfile").cloned().or_else(|| environment("HOME").map(|home| format!("{home}/.pgpass")));
    let host = words.get("host").or(words.get("hostaddr")).cloned().unwrap_or_default();
    let host = if host.starts_with('/') { "localhost".into() } else { host };
    let port = words.get("port").and_then(|port| port.parse().ok()).unwrap_or(5432);
    let secret = file.filter(|file| is_private(file)).and_then(|file| std::fs::read_to_string(file).ok());
    if let Some(secret) = secret.and_then(|text| passfile::password(&text, &host, port, &database, &user)) {
        words.insert("password".into(), secret);
    }
}

/// libpq passes over a password file that others can read: the six lowest mode bits are theirs.
fn is_private(file: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file)
        .is_ok_and(|data| data.is_file() && data.permissions().mode().trailing_zeros() >= 6)
}

fn ssl_mode(words: &Words) -> Result<(Verify, SslMode), ParamsError> {
    let value = words.get("sslmode").map_or("prefer", String::as_str);
    // With roots given by name `require` checks them, as in libpq.
    let required = if words.contains_key("sslrootcert") { Verify::Authority } else { Verify::Nothing };
    Ok(match value {
        "disable" => (Verify::Nothing, SslMode::Disable),
        "allow" | "prefer" => (Verify::Nothing, SslMode::Prefer),
        "require" => (required, SslMode::Require),
        "verify-ca" => (Verify::Authority, SslMode::Require),
        "verify-full" => (Verify::AuthorityAndName, SslMode::Require),
        other => {
            let expected = "it takes disable, allow, prefer, require, verify-ca or verify-full";
            return Err(ParamsError::Value { name: "sslmode", value: other.into(), expected });
        }
    })
}

fn number<T: std::str::FromStr>(name: &'static str, value: &str) -> Result<T, ParamsError> {
    let expected = "it takes a whole number";
    value.trim().parse().map_err(|_| ParamsError::Value { name, value: value.into(), expected })
}

fn address(words: &Words, config: &mut Config) -> Result<(), ParamsError> {
    for host in words.get("host").iter().flat_map(|list| list.split(',')) {
        config.host(host);
    }
    for address in words.get("hostaddr").iter().flat_map(|list| list.split(',')) {
        let expected = "it takes an IP address";
        let value = || ParamsError::Value { name: "hostaddr", value: address.into(), expected };
        config.hostaddr(address.parse().map_err(|_| value())?);
    }
    for port in words.get("port").iter().flat_map(|list| list.split(',')) {
        config.port(number("port", port)?);
    }
    let text = |name| words.get(name).filter(|value: &&String| !value.is_empty());
    text("user").map(|value| config.user(value));
    text("dbname").map(|value| config.dbname(value));
    text("password").map(|value| config.password(value));
    Ok(())
}

fn options(words: &Words, config: &mut Config) -> Result<(), ParamsError> {
    config.application_name(words.get("application_name").map_or("pgbackfill", String::as_str));
    words.get("options").map(|value| config.options(value));
    if let Some(value) = words.get("channel_binding") {
        config.channel_binding(match value.as_str() {
            "disable" => ChannelBinding::Disable,
            "prefer" => ChannelBinding::Prefer,
            "require" => ChannelBinding::Require,
            other => {
                let expected = "it takes disable, prefer or require";
                return Err(ParamsError::Value { name: "channel_binding", value: other.into(), expected });
            }
        });
    }
    // Every batch writes, so a standby in the list is passed over unless somebody asks otherwise.
    let several = words.get("host").is_some_and(|hosts| hosts.contains(','));
    let wanted =
        words.get("target_session_attrs").map_or(if several { "read-write" } else { "any" }, String::as_str);
    config.target_session_attrs(match wanted {
        "any" => TargetSessionAttrs::Any,
        "read-write" | "primary" => TargetSessionAttrs::ReadWrite,
        other => {
            let expected = "it takes any, read-write or primary: a backfill writes";
            return Err(ParamsError::Value { name: "target_session_attrs", value: other.into(), expected });
        }
    });
    Ok(())
}

/// A dead host must be noticed in seconds, not in the two hours of the kernel's default.
fn timeouts(words: &Words, config: &mut Config) -> Result<(), ParamsError> {
    let seconds = |name: &'static str, default: u64| -> Result<u64, ParamsError> {
        words.get(name).map_or(Ok(default), |value| number(name, value))
    };
    let connect = match seconds("connect_timeout", 10)? {
        0 => 3600,
        given => given.max(2),
    };
    config.connect_timeout(Duration::from_secs(connect));
    config.keepalives(seconds("keepalives", 1)? != 0);
    config.keepalives_idle(Duration::from_secs(seconds("keepalives_idle", 5)?));
    config.keepalives_interval(Duration::from_secs(seconds("keepalives_interval", 2)?));
    config.keepalives_retries(seconds("keepalives_count", 3)? as u32);
    config.tcp_user_timeout(Duration::from_millis(seconds("tcp_user_timeout", 12_000)?));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn a_uri_is_taken_apart() {
        let params =
            ConnectParams::resolve("postgres://ada:s%40cret@db1:6000,[::1]:6001/app?sslmode=disable", &none)
                .unwrap();
        assert_eq!(params.address(), "db1:6000,::1:6001, database \"app\"");
        assert_eq!(params.config().get_password(), Some("s@cret".as_bytes()));
        assert_eq!(params.config().get_user(), Some("ada"));
    }

    #[test]
    fn words_may_be_quoted_and_escaped() {
        let params = ConnectParams::resolve(r"host = /run/pg user='o\'neil x' dbname=app", &none).unwrap();
        assert_eq!(params.config().get_user(), Some("o'neil x"));
        assert_eq!(params.address(), "/run/pg/.s.PGSQL.5432, database \"app\"");
    }

    #[test]
    fn the_string_wins_over_the_environment() {
        let environment = |name: &str| match name {
            "PGHOST" => Some("elsewhere".to_owned()),
            "PGPORT" => Some("7777".to_owned()),
            _ => None,
        };
        let params = ConnectParams::resolve("host=here dbname=d", &environment).unwrap();
        assert_eq!(params.address(), "here:7777, database \"d\"");
    }

    #[test]
    fn a_misspelt_parameter_is_refused_with_the_right_one() {
        let error = ConnectParams::resolve("hots=here", &none).unwrap_err();
        assert_eq!(error, ParamsError::Unknown { name: "hots".into(), near: Some("host") });
        let error = ConnectParams::resolve("host=h sslmode=verify", &none).unwrap_err();
        assert!(error.to_string().contains("verify-full"), "{error}");
    }

    #[test]
    fn a_service_is_refused_rather_than_passed_over() {
        let environment = |name: &str| (name == "PGSERVICE").then(|| "prod".to_owned());
        let error = ConnectParams::resolve("host=h", &environment).unwrap_err();
        assert!(error.to_string().contains("PGSERVICE"), "{error}");
    }

    #[test]
    fn no_error_and_no_debug_shows_the_password() {
        let params = ConnectParams::resolve("host=h password=hunter2", &none).unwrap();
        assert!(!format!("{params:?}").contains("hunter2"));
        let error = ConnectParams::resolve("password='hunter2", &none).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
