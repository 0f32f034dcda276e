//! How much TLS is asked for, and with which files (manual, 34.19 "SSL Support").
//!
//! Must not know: how TLS works.

use std::path::{Path, PathBuf};

use super::environment::{Lookup, home_directory};
use super::error::ParamsError;
use super::text::Words;

/// `sslmode`, from none to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::connect) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// How much of the server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connect) enum Verify {
    Nothing,
    Authority,
    AuthorityAndName,
}

/// Whom to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::connect) enum Roots {
    Nobody,
    System,
    File(PathBuf),
}

/// The versions of the protocol that may be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connect) enum Versions {
    All,
    Only12,
    Only13,
}

/// What a TLS connection has to be like.
#[derive(Clone, Debug)]
pub(in crate::connect) struct TlsParams {
    pub(in crate::connect) mode: SslMode,
    pub(in crate::connect) roots: Roots,
    pub(in crate::connect) revoked: Option<PathBuf>,
    /// A client certificate and its key.
    pub(in crate::connect) own: Option<(PathBuf, PathBuf)>,
    /// Whether the server is told its name.
    pub(in crate::connect) sni: bool,
    pub(in crate::connect) versions: Versions,
    /// TLS from the first byte on.
    pub(in crate::connect) direct: bool,
}

impl TlsParams {
    /// libpq checks the chain in *every* mode as soon as there is a root certificate, and the name only if
    /// asked to.
    pub(in crate::connect) fn verify(&self) -> Verify {
        match (self.mode, &self.roots) {
            (SslMode::VerifyFull, _) => Verify::AuthorityAndName,
            (_, Roots::Nobody) => Verify::Nothing,
            _ => Verify::Authority,
        }
    }

    pub(super) fn read(words: &Words, environment: Lookup<'_>) -> Result<Self, ParamsError> {
        let file = |name, usual: &str| -> Option<PathBuf> {
            let named = words.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
            named.or_else(|| home_directory(environment).map(|home| home.join(".postgresql").join(usual)))
        };
        let there = |path: &PathBuf| path.exists();
        let system = words.get("sslrootcert").is_some_and(|path| path == "system");
        let mode = mode(words, system)?;
        let root_file = file("sslrootcert", "root.crt");
        let roots = match root_file.clone().filter(there) {
            _ if system => Roots::System,
            Some(path) => Roots::File(path),
            None if mode >= SslMode::VerifyCa => return Err(no_root(mode, root_file.as_deref())),
            None => Roots::Nobody,
        };
        Ok(Self {
            mode,
            roots,
            revoked: file("sslcrl", "root.crl").filter(there),
            own: file("sslcert", "postgresql.crt").filter(there).zip(file("sslkey", "postgresql.key")),
            sni: words.get("sslsni").is_none_or(|value| value != "0"),
            versions: versions(words)?,
            direct: direct(words, mode)?,
        })
    }
}

fn no_root(mode: SslMode, file: Option<&Path>) -> ParamsError {
    let file = file.unwrap_or(Path::new("~/.postgresql/root.crt")).display().to_string();
    ParamsError::NoRoot { mode: if mode == SslMode::VerifyFull { "verify-full" } else { "verify-ca" }, file }
}

fn wrong<T>(name: &'static str, value: &str, expected: &'static str) -> Result<T, ParamsError> {
    Err(ParamsError::Value { name, value: value.into(), expected })
}

fn mode(words: &Words, system: bool) -> Result<SslMode, ParamsError> {
    // With every public authority trusted the name has to be checked: anybody can have such a certificate.
    let given = words.get("sslmode").map_or(if system { "verify-full" } else { "prefer" }, String::as_str);
    let mode = match given {
        "disable" => SslMode::Disable,
        "allow" => SslMode::Allow,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        other => {
            return wrong(
                "sslmode",
                other,
                "it takes disable, allow, prefer, require, verify-ca or verify-full",
            );
        }
    };
    if system && mode != SslMode::VerifyFull {
        return wrong("sslmode", given, "sslrootcert=system needs verify-full");
    }
    Ok(mode)
}

fn versions(words: &Words) -> Result<Versions, ParamsError> {
    let at = |name: &'static str, default: u8| match words.get(name).map_or("", String::as_str) {
        "" => Ok(default),
        "TLSv1" => Ok(0),
        "TLSv1.1" => Ok(1),
        "TLSv1.2" => Ok(2),
        "TLSv1.3" => Ok(3),
        other => wrong(name, other, "it takes TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3"),
    };
    let max = at("ssl_max_protocol_version", 3)?;
    match (at("ssl_min_protocol_version", 2)?, max) {
        (min, max) if min > max || max < 2 => wrong(
            "ssl_max_protocol_version",
            words.get("ssl_max_protocol_version").map_or("", String::as_str),
            "it takes no less than ssl_min_protocol_version and TLSv1.2",
        ),
        (3, _) => Ok(Versions::Only13),
        (_, 2) => Ok(Versions::Only12),
        _ => Ok(Versions::All),
    }
}

fn direct(words: &Words, mode: SslMode) -> Result<bool, ParamsError> {
    match words.get("sslnegotiation").map_or("postgres", String::as_str) {
        "postgres" => Ok(false),
        "direct" if mode >= SslMode::Require => Ok(true),
        "direct" => wrong("sslnegotiation", "direct", "direct needs sslmode=require or stronger"),
        other => wrong("sslnegotiation", other, "it takes postgres or direct"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::parse;
    use super::*;

    fn read(text: &str) -> Result<TlsParams, ParamsError> {
        TlsParams::read(&parse(text).unwrap(), &|_| None)
    }

    #[test]
    fn a_root_certificate_is_asked_in_every_mode() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let with_root = |mode: &str| read(&format!("sslmode={mode} sslrootcert={}", file.path().display()));
        assert_eq!(with_root("require").unwrap().verify(), Verify::Authority);
        assert_eq!(with_root("prefer").unwrap().verify(), Verify::Authority);
        assert_eq!(with_root("verify-full").unwrap().verify(), Verify::AuthorityAndName);
        assert_eq!(read("sslmode=require sslrootcert=/nonexistent").unwrap().verify(), Verify::Nothing);
    }

    #[test]
    fn verifying_without_a_root_certificate_is_refused() {
        let error = read("sslmode=verify-ca sslrootcert=/nonexistent").unwrap_err().to_string();
        assert!(error.contains("verify-ca") && error.contains("/nonexistent"), "{error}");
    }

    #[test]
    fn the_system_s_authorities_are_trusted_only_for_a_name() {
        assert_eq!(read("sslrootcert=system").unwrap().verify(), Verify::AuthorityAndName);
        assert!(read("sslrootcert=system sslmode=require").is_err());
    }

    #[test]
    fn versions_are_narrowed_but_never_below_1_2() {
        assert_eq!(read("ssl_min_protocol_version=TLSv1").unwrap().versions, Versions::All);
        assert_eq!(read("ssl_min_protocol_version=TLSv1.3").unwrap().versions, Versions::Only13);
        assert_eq!(read("ssl_max_protocol_version=TLSv1.2").unwrap().versions, Versions::Only12);
        assert!(read("ssl_max_protocol_version=TLSv1.1").is_err());
        assert!(read("ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2").is_err());
    }

    #[test]
    fn tls_from_the_first_byte_needs_a_mode_that_cannot_do_without() {
        assert!(read("sslnegotiation=direct sslmode=require").unwrap().direct);
        assert!(read("sslnegotiation=direct").is_err());
    }
}
