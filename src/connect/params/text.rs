//! A connection string as libpq reads it: a URI, `key=value` words, or the bare name of a database (manual,
//! 34.1.1 "Connection Strings").
//!
//! A part of a password must never end up in a message, so no message here shows a piece of the text that
//! could be one.
//!
//! Must not know: what a parameter means.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::error::ParamsError;

/// Parameters by libpq's names.
pub(super) type Words = BTreeMap<String, String>;

/// The parameters in a text.
pub(super) fn parse(text: &str) -> Result<Words, ParamsError> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        return uri(rest);
    }
    if text.contains('=') {
        return words(text);
    }
    if text.contains(['/', '@']) {
        // More likely a URI with a slip in it than a database's name, and then it may hold a password.
        return syntax("it begins neither with postgresql:// nor with a parameter's name");
    }
    Ok(text
        .split_whitespace()
        .next()
        .map(|_| Words::from([("dbname".into(), text.into())]))
        .unwrap_or_default())
}

fn syntax<T>(what: &str) -> Result<T, ParamsError> {
    Err(ParamsError::Syntax(what.into()))
}

/// `[user[:password]@][host[:port][,…]][/database][?name=value[&…]]`
fn uri(rest: &str) -> Result<Words, ParamsError> {
    let (credentials, rest) = match rest.find(['@', '/']) {
        Some(at) if rest[at..].starts_with('@') => (&rest[..at], &rest[at + 1..]),
        _ => ("", rest),
    };
    let (hosts, tail) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    // A raw `/` in a password ends the search for its `@`, and a raw `@` comes too early: what is then taken
    // for a port, a host or a database is a piece of it.
    let cut_off = credentials.is_empty() && tail.contains('@');
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (host_list, ports) = split_hosts(hosts)?;
    let odd_port = || ports.split(',').any(|port| !port.is_empty() && port.parse::<u16>().is_err());
    let odd_path = || path.trim_start_matches('/').contains('/') && path.contains('@');
    if hosts.contains('@') || cut_off && odd_port() || odd_path() {
        return syntax("an @ stands where none can be: in a password, write @ as %40 and / as %2F");
    }
    let mut words = Words::new();
    let own = [("user", user), ("password", password), ("dbname", path.strip_prefix('/').unwrap_or(path))];
    for (name, value) in own.into_iter().chain([("host", host_list.as_str()), ("port", ports.as_str())]) {
        if !value.is_empty() {
            words.insert(name.into(), decode(value)?);
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = parameter(pair)?;
        words.insert(name, value);
    }
    Ok(words)
}

fn parameter(pair: &str) -> Result<(String, String), ParamsError> {
    match pair.split_once('=') {
        None => syntax("a parameter behind the ? has no value"),
        Some((_, value)) if value.contains('=') => {
            syntax("a parameter behind the ? has two = signs, write %3D")
        }
        // JDBC's spelling, which libpq takes, too.
        Some(("ssl", "true")) => Ok(("sslmode".into(), "require".into())),
        Some((name, value)) => Ok((decode(name)?, decode(value)?)),
    }
}

/// Hosts and ports of a list, each joined by commas; an IPv6 address stands in brackets.
fn split_hosts(list: &str) -> Result<(String, String), ParamsError> {
    let mut pairs = Vec::new();
    for one in list.split(',') {
        pairs.push(match one.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((address, "")) => (address, ""),
                Some((address, port)) if port.starts_with(':') => (address, &port[1..]),
                _ => return syntax("an IPv6 address stands in brackets: [::1]:5432"),
            },
            None => one.split_once(':').unwrap_or((one, "")),
        });
    }
    let hosts: Vec<_> = pairs.iter().map(|pair| pair.0).collect();
    let ports: Vec<_> = pairs.iter().map(|pair| pair.1).collect();
    let any_port = ports.iter().any(|port| !port.is_empty());
    Ok((hosts.join(","), if any_port { ports.join(",") } else { String::new() }))
}

fn decode(text: &str) -> Result<String, ParamsError> {
    let escapes = text.split('%').skip(1);
    for escape in escapes {
        let digits = escape.as_bytes().get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if digits.is_none_or(|digits| digits == b"00") {
            return syntax(
                "behind a % stand two hexadecimal digits, and not 00; the sign itself is written %25",
            );
        }
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| ParamsError::Syntax("a percent-encoded part is not UTF-8".into()))
}

/// `key = value` words; a value with spaces stands in single quotes, a backslash escapes.
fn words(text: &str) -> Result<Words, ParamsError> {
    let mut words = Words::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let Some((name, tail)) = rest.split_once('=') else {
            return syntax("the last word has no = and no value");
        };
        let name = name.trim_end();
        if name.contains(char::is_whitespace) {
            return syntax("a word has no = and no value: a value with spaces stands in single quotes");
        }
        let (value, tail) = word_value(tail.trim_start())?;
        words.insert(name.to_owned(), value);
        rest = tail.trim_start();
    }
    Ok(words)
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
    if quoted { syntax("a single quote is not closed") } else { Ok((value, "")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_parsed(text: &str, expected: &[(&str, &str)]) {
        let expected: Words =
            expected.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        assert_eq!(parse(text).unwrap(), expected, "{text}");
    }

    #[test]
    fn a_uri_is_taken_apart() {
        assert_parsed(
            "postgres://ada:s%40cret@db1:6000,[::1]:6001/app?sslmode=disable",
            &[
                ("user", "ada"),
                ("password", "s@cret"),
                ("host", "db1,::1"),
                ("port", "6000,6001"),
                ("dbname", "app"),
                ("sslmode", "disable"),
            ],
        );
        assert_parsed(
            "postgresql://%2Frun%2Fpg/a?dbname=b&ssl=true",
            &[("host", "/run/pg"), ("dbname", "b"), ("sslmode", "require")],
        );
        assert_parsed("postgresql:///?host=h&port=1", &[("host", "h"), ("port", "1")]);
    }

    #[test]
    fn words_may_be_quoted_and_escaped() {
        assert_parsed(
            r"host = /run/pg user='o\'neil x' dbname=a\ b port=''",
            &[("host", "/run/pg"), ("user", "o'neil x"), ("dbname", "a b"), ("port", "")],
        );
    }

    #[test]
    fn a_bare_word_is_a_database() {
        assert_parsed("shop", &[("dbname", "shop")]);
        assert_parsed("  ", &[]);
    }

    #[test]
    fn no_message_shows_a_piece_of_a_password() {
        for text in [
            "password='hunter2",
            "host=h password=x hunter2",
            "postgres:/ada:hunter2@h/app",
            "postgres://ada:hunter2/x@h/app",
            "postgres://ada:1234/hunter2/x@h/app",
            "postgres://ada:x@hunter2@h/app",
            "postgres://ada:hunter2%zz@h/app",
            "postgres://ada:hunter2@[::1/app",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }
}
