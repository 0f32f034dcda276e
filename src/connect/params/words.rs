//! Which parameters there are, and which of their sources wins: the connection string, then the service, then
//! the variables (manual, 34.1.2 "Parameter Key Words", 34.15 "Environment Variables").
//!
//! Must not know: how a connection is made.

use super::environment::Lookup;
use super::error::ParamsError;
use super::service;
use super::text::Words;

/// What we do with a parameter of libpq.
#[derive(Clone, Copy)]
enum Use {
    Taken,
    /// It changes nothing here, as it changes nothing in a libpq that was built without the feature.
    Idle,
    /// Anything but these values asks for what we cannot do; to pass over that could be unsafe.
    Only(&'static [&'static str]),
}

/// libpq's name of each parameter, and its variable.
const KNOWN: [(&str, &str, Use); 46] = [
    ("service", "PGSERVICE", Use::Taken),
    ("host", "PGHOST", Use::Taken),
    ("hostaddr", "PGHOSTADDR", Use::Taken),
    ("port", "PGPORT", Use::Taken),
    ("dbname", "PGDATABASE", Use::Taken),
    ("user", "PGUSER", Use::Taken),
    ("password", "PGPASSWORD", Use::Taken),
    ("passfile", "PGPASSFILE", Use::Taken),
    ("sslmode", "PGSSLMODE", Use::Taken),
    ("sslnegotiation", "PGSSLNEGOTIATION", Use::Taken),
    ("sslrootcert", "PGSSLROOTCERT", Use::Taken),
    ("sslcrl", "PGSSLCRL", Use::Taken),
    ("sslcert", "PGSSLCERT", Use::Taken),
    ("sslkey", "PGSSLKEY", Use::Taken),
    ("sslsni", "PGSSLSNI", Use::Taken),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", Use::Taken),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Use::Taken),
    ("channel_binding", "PGCHANNELBINDING", Use::Taken),
    ("connect_timeout", "PGCONNECT_TIMEOUT", Use::Taken),
    ("options", "PGOPTIONS", Use::Taken),
    ("application_name", "PGAPPNAME", Use::Taken),
    ("fallback_application_name", "", Use::Taken),
    ("target_session_attrs", "PGTARGETSESSIONATTRS", Use::Taken),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS", Use::Taken),
    ("keepalives", "", Use::Taken),
    ("keepalives_idle", "", Use::Taken),
    ("keepalives_interval", "", Use::Taken),
    ("keepalives_count", "", Use::Taken),
    ("tcp_user_timeout", "", Use::Taken),
    // We speak UTF-8, whatever the terminal does.
    ("client_encoding", "PGCLIENTENCODING", Use::Idle),
    ("sslcompression", "PGSSLCOMPRESSION", Use::Idle),
    ("krbsrvname", "PGKRBSRVNAME", Use::Idle),
    ("gsslib", "PGGSSLIB", Use::Idle),
    ("gssdelegation", "PGGSSDELEGATION", Use::Idle),
    ("gssencmode", "PGGSSENCMODE", Use::Only(&["disable", "prefer"])),
    ("requiressl", "PGREQUIRESSL", Use::Only(&["0", ""])),
    ("requirepeer", "PGREQUIREPEER", Use::Only(&[""])),
    ("require_auth", "PGREQUIREAUTH", Use::Only(&[""])),
    ("replication", "", Use::Only(&["0", "false", "off", "no"])),
    ("sslpassword", "", Use::Only(&[""])),
    ("sslcertmode", "PGSSLCERTMODE", Use::Only(&["allow"])),
    ("sslcrldir", "PGSSLCRLDIR", Use::Only(&[""])),
    ("sslkeylogfile", "", Use::Only(&[""])),
    ("min_protocol_version", "PGMINPROTOCOLVERSION", Use::Only(&["", "3.0"])),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION", Use::Only(&["", "3.0", "3.2", "latest"])),
    ("scram_client_key", "", Use::Only(&[""])),
];

/// Adds to what the connection string says what the service and the variables say; refuses what is unknown or
/// we cannot do.
pub(super) fn complete(mut words: Words, environment: Lookup<'_>) -> Result<Words, ParamsError> {
    let secret = words.contains_key("password");
    for name in words.keys() {
        known(name, secret)?;
    }
    if let Some(name) = words.get("service").cloned().or_else(|| environment("PGSERVICE")) {
        for (name, value) in service::read(&name, environment)? {
            known(&name, false)?;
            words.entry(name).or_insert(value);
        }
    }
    for (name, variable, _) in KNOWN.iter().filter(|known| !known.1.is_empty()) {
        if let Some(value) = environment(variable) {
            words.entry((*name).to_owned()).or_insert(value);
        }
    }
    for (name, _, usage) in KNOWN {
        if let (Use::Only(values), Some(value)) = (usage, words.get(name))
            && !values.contains(&value.as_str())
        {
            return Err(ParamsError::Unsupported { name });
        }
    }
    words
        .retain(|name, _| KNOWN.iter().any(|(known, _, usage)| known == name && matches!(usage, Use::Taken)));
    Ok(words)
}

/// Behind an unquoted password a name may be a piece of it, so it is shown only if it is nearly a parameter's
/// name.
fn known(name: &str, secret: bool) -> Result<(), ParamsError> {
    if KNOWN.iter().any(|(known, ..)| *known == name) {
        return Ok(());
    }
    let near = KNOWN
        .iter()
        .map(|(known, ..)| (*known, strsim::jaro_winkler(known, name)))
        .filter(|(_, likeness)| *likeness > 0.8)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(known, _)| known);
    let name = if secret && near.is_none() { "…" } else { name };
    Err(ParamsError::Unknown { name: name.to_owned(), near })
}

#[cfg(test)]
mod tests {
    use super::super::text::parse;
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn the_string_wins_over_the_variables() {
        let environment = |name: &str| match name {
            "PGHOST" => Some("elsewhere".to_owned()),
            "PGPORT" => Some("7777".to_owned()),
            _ => None,
        };
        let words = complete(parse("host=here dbname=d").unwrap(), &environment).unwrap();
        assert_eq!((words["host"].as_str(), words["port"].as_str()), ("here", "7777"));
    }

    #[test]
    fn a_misspelt_parameter_is_refused_with_the_right_one() {
        let error = complete(parse("hots=here").unwrap(), &none).unwrap_err();
        assert_eq!(error, ParamsError::Unknown { name: "hots".into(), near: Some("host") });
    }

    #[test]
    fn what_may_be_a_piece_of_the_password_is_not_shown() {
        let error = complete(parse("password=correct horse9=battery").unwrap(), &none).unwrap_err();
        assert!(!error.to_string().contains("horse9"), "{error}");
    }

    #[test]
    fn what_would_make_the_connection_safer_is_refused_rather_than_passed_over() {
        let error = complete(parse("host=h require_auth=scram-sha-256").unwrap(), &none).unwrap_err();
        assert_eq!(error, ParamsError::Unsupported { name: "require_auth" });
        assert!(complete(parse("host=h gssencmode=prefer client_encoding=LATIN1").unwrap(), &none).is_ok());
    }
}
