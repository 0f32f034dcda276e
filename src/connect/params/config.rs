//! From words to what is dialled: the hosts in their order, each with its password, and what holds for all of
//! them.
//!
//! Must not know: where a word came from.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::ChannelBinding;

use super::environment::{Lookup, home_directory};
use super::error::ParamsError;
use super::passfile::{self, PassFile};
use super::text::Words;

/// Where packagers have put the server's socket; a path is `localhost` to a password file if it is one of
/// these.
const SOCKET_DIRS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// What `pg_stat_activity` shows where no name is given.
pub(super) const NAME: &str = "pgbackfill";

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::connect) enum Host {
    Socket(PathBuf),
    Name(String),
    /// The name, where there is one, is only compared with the certificate's.
    Address(IpAddr, Option<String>),
}

/// One of the servers to try.
#[derive(Clone)]
pub(in crate::connect) struct Endpoint {
    pub(in crate::connect) host: Host,
    pub(in crate::connect) port: u16,
    pub(in crate::connect) password: Option<String>,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let port = self.port;
        match &self.host {
            Host::Socket(dir) => write!(f, "{}/.s.PGSQL.{port}", dir.display()),
            Host::Name(name) | Host::Address(_, Some(name)) => write!(f, "{name}:{port}"),
            Host::Address(address, None) => write!(f, "{address}:{port}"),
        }
    }
}

/// `target_session_attrs`: which of the servers will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connect) enum Wanted {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// `load_balance_hosts`: in which order they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connect) enum Sequence {
    AsWritten,
    Shuffled,
}

/// The database's name, and whose it is.
fn names(words: &Words) -> (String, String) {
    let given = |name| words.get(name).filter(|value: &&String| !value.is_empty()).cloned();
    let account = || {
        let account = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).ok().flatten();
        account.map_or_else(|| "postgres".into(), |account| account.name)
    };
    let user = given("user").unwrap_or_else(account);
    (given("dbname").unwrap_or_else(|| user.clone()), user)
}

/// The servers, and what a person should know about the password file.
pub(super) fn endpoints(
    words: &Words,
    environment: Lookup<'_>,
) -> Result<(Vec<Endpoint>, Option<String>), ParamsError> {
    let list = |name| words.get(name).filter(|value: &&String| !value.is_empty()).map(|list| list.split(','));
    let hosts: Vec<_> = list("host").map(Iterator::collect).unwrap_or_default();
    let addresses: Vec<_> = list("hostaddr").map(Iterator::collect).unwrap_or_default();
    let ports: Vec<_> = list("port").map_or_else(|| vec![""], Iterator::collect);
    let count = hosts.len().max(addresses.len()).max(1);
    for (name, found) in [("hostaddr", addresses.len()), ("host", hosts.len()), ("port", ports.len())] {
        if found != count && found > usize::from(name == "port") {
            return Err(ParamsError::Count { name, found, hosts: count });
        }
    }
    let password = words.get("password").filter(|password| !password.is_empty());
    let mut endpoints = Vec::new();
    for at in 0..count {
        let port = port(if ports.len() == 1 { ports[0] } else { ports[at] })?;
        let name = hosts.get(at).copied().unwrap_or_default();
        let host = host(name, addresses.get(at).copied().unwrap_or_default())?;
        endpoints.push(Endpoint { host, port, password: password.cloned() });
    }
    let warning = if password.is_none() { passwords(words, environment, &mut endpoints) } else { None };
    Ok((endpoints, warning))
}

fn port(text: &str) -> Result<u16, ParamsError> {
    let expected = "it takes a number from 1 to 65535";
    let wrong = || ParamsError::Value { name: "port", value: text.into(), expected };
    let port: u16 = if text.is_empty() { 5432 } else { text.trim().parse().map_err(|_| wrong())? };
    if port == 0 { Err(wrong()) } else { Ok(port) }
}

fn host(name: &str, address: &str) -> Result<Host, ParamsError> {
    let expected = "it takes an IP address";
    let wrong = || ParamsError::Value { name: "hostaddr", value: address.into(), expected };
    let named = Some(name).filter(|name| !name.is_empty()).map(str::to_owned);
    Ok(match (name, address) {
        ("", "") => {
            let dir = SOCKET_DIRS.into_iter().find(|dir| Path::new(dir).is_dir());
            Host::Socket(dir.unwrap_or(SOCKET_DIRS[0]).into())
        }
        (_, address) if !address.is_empty() => Host::Address(address.parse().map_err(|_| wrong())?, named),
        (path, _) if path.starts_with(['/', '@']) => Host::Socket(path.into()),
        (name, _) => Host::Name(name.into()),
    })
}

/// Each server has a password of its own in the file.
fn passwords(words: &Words, environment: Lookup<'_>, endpoints: &mut [Endpoint]) -> Option<String> {
    let named = words.get("passfile").filter(|path| !path.is_empty()).map(PathBuf::from);
    let file = named.or_else(|| home_directory(environment).map(|home| home.join(".pgpass")))?;
    let text = match passfile::read(&file) {
        PassFile::Read(text) => text,
        PassFile::PassedOver(why) => return Some(why),
        PassFile::Missing => return None,
    };
    let (database, user) = names(words);
    for endpoint in endpoints {
        let host = match &endpoint.host {
            Host::Socket(dir) if SOCKET_DIRS.iter().any(|usual| dir == Path::new(usual)) => {
                "localhost".into()
            }
            Host::Socket(dir) => dir.display().to_string(),
            Host::Name(name) | Host::Address(_, Some(name)) => name.clone(),
            Host::Address(address, None) => address.to_string(),
        };
        let port = endpoint.port.to_string();
        endpoint.password = passfile::password(&text, [&host, &port, &database, &user]);
    }
    None
}

/// All that is the same for every server.
pub(super) fn common(words: &Words) -> Result<Config, ParamsError> {
    let mut config = Config::new();
    let (database, user) = names(words);
    config.user(user).dbname(database);
    let given = |name| words.get(name).filter(|value: &&String| !value.is_empty());
    let application = given("application_name").or_else(|| given("fallback_application_name"));
    config.application_name(application.map_or(NAME, String::as_str));
    given("options").map(|value| config.options(value));
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
    keep_alive(words, &mut config)?;
    Ok(config)
}

/// A dead host must be noticed in seconds, not in the two hours of the kernel's default.
fn keep_alive(words: &Words, config: &mut Config) -> Result<(), ParamsError> {
    config.keepalives(seconds(words, "keepalives", 1)? != 0);
    config.keepalives_idle(Duration::from_secs(seconds(words, "keepalives_idle", 5)?));
    config.keepalives_interval(Duration::from_secs(seconds(words, "keepalives_interval", 2)?));
    config.keepalives_retries(seconds(words, "keepalives_count", 3)? as u32);
    config.tcp_user_timeout(Duration::from_millis(seconds(words, "tcp_user_timeout", 12_000)?));
    Ok(())
}

/// How long one server may take to let us in; libpq rounds one second up to two, and without a figure waits
/// for ever.
pub(super) fn connect_timeout(words: &Words) -> Result<Duration, ParamsError> {
    let seconds = match words.get("connect_timeout") {
        None => 10,
        Some(value) => match value.trim().parse::<i32>() {
            Ok(given @ 1..) => u64::from(given.unsigned_abs().max(2)),
            Ok(_) => 3600,
            Err(_) => return Err(no_number("connect_timeout", value)),
        },
    };
    Ok(Duration::from_secs(seconds))
}

fn seconds(words: &Words, name: &'static str, default: u64) -> Result<u64, ParamsError> {
    words.get(name).map_or(Ok(default), |value| value.trim().parse().map_err(|_| no_number(name, value)))
}

fn no_number(name: &'static str, value: &str) -> ParamsError {
    ParamsError::Value { name, value: value.into(), expected: "it takes a whole number" }
}

/// Every batch writes, so a standby in a list of servers is passed over unless the parameters ask otherwise.
pub(super) fn wanted(words: &Words, servers: usize) -> Result<Wanted, ParamsError> {
    let default = if servers > 1 { "read-write" } else { "any" };
    Ok(match words.get("target_session_attrs").map_or(default, String::as_str) {
        "any" => Wanted::Any,
        "read-write" => Wanted::ReadWrite,
        "read-only" => Wanted::ReadOnly,
        "primary" => Wanted::Primary,
        "standby" => Wanted::Standby,
        "prefer-standby" => Wanted::PreferStandby,
        other => {
            let expected = "it takes any, read-write, read-only, primary, standby or prefer-standby";
            return Err(ParamsError::Value { name: "target_session_attrs", value: other.into(), expected });
        }
    })
}

pub(super) fn sequence(words: &Words) -> Result<Sequence, ParamsError> {
    match words.get("load_balance_hosts").map_or("disable", String::as_str) {
        "disable" => Ok(Sequence::AsWritten),
        "random" => Ok(Sequence::Shuffled),
        other => {
            let expected = "it takes disable or random";
            Err(ParamsError::Value { name: "load_balance_hosts", value: other.into(), expected })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::parse;
    use super::*;

    fn addresses(text: &str) -> Result<Vec<String>, ParamsError> {
        let (endpoints, _) = endpoints(&parse(text).unwrap(), &|_| None)?;
        Ok(endpoints.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_host_has_its_port() {
        assert_eq!(addresses("host=a,b port=1").unwrap(), ["a:1", "b:1"]);
        assert_eq!(addresses("host=a,b port=1,").unwrap(), ["a:1", "b:5432"]);
        assert_eq!(addresses("host=/run/pg").unwrap(), ["/run/pg/.s.PGSQL.5432"]);
        assert_eq!(addresses("host=a hostaddr=::1").unwrap(), ["a:5432"]);
    }

    #[test]
    fn lists_of_different_lengths_are_refused() {
        let error = addresses("host=a,b,c port=1,2").unwrap_err();
        assert_eq!(error, ParamsError::Count { name: "port", found: 2, hosts: 3 });
        assert!(addresses("host=a,b hostaddr=::1").is_err());
    }

    #[test]
    fn a_port_is_a_port() {
        for text in ["port=0", "port=65536", "port=x"] {
            assert!(addresses(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_second_is_two_and_none_is_an_hour() {
        let timeout = |text| connect_timeout(&parse(text).unwrap()).map(|timeout| timeout.as_secs());
        assert_eq!(timeout("connect_timeout=1"), Ok(2));
        assert_eq!(timeout("connect_timeout=0"), Ok(3600));
        assert!(timeout("connect_timeout=soon").is_err());
    }
}
