//! The name of a table, as SQL writes it.
//!
//! Must not know: whether the table exists.

use std::fmt;

/// `NAMEDATALEN - 1` of PostgreSQL as it is built by default. Longer names are cut by the server without an
/// error, and a cut name could be another table, so they are refused.
pub(super) const NAME_BYTES_MAX: usize = 63;

/// A table, with its schema where the job gives one; else `search_path` decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    /// The schema, unquoted.
    pub schema: Option<String>,
    /// The table, unquoted.
    pub name: String,
}

impl TableName {
    /// Reads `orders`, `app.orders` or `app."Odd.Name"`. What is not quoted is folded to lower case as
    /// PostgreSQL does; in UTF-8 that means the letters A to Z only.
    pub fn parse(text: &str) -> Result<Self, String> {
        let seen = text.escape_debug();
        let (first, rest) = part(text).map_err(|why| format!("{why}: `{seen}`"))?;
        let Some(rest) = rest.strip_prefix('.') else {
            nothing_left(rest).map_err(|why| format!("{why}: `{seen}`"))?;
            return Ok(Self { schema: None, name: first });
        };
        let (second, rest) = part(rest).map_err(|why| format!("{why}: `{seen}`"))?;
        nothing_left(rest).map_err(|why| format!("{why}: `{seen}`"))?;
        Ok(Self { schema: Some(first), name: second })
    }

    /// Reads the name that a text begins with, and gives what stands behind it.
    pub fn begin(text: &str) -> Result<(Self, &str), String> {
        let seen = text.escape_debug();
        let (first, behind) = part(text).map_err(|why| format!("{why}: `{seen}`"))?;
        let Some(rest) = behind.strip_prefix('.') else {
            return Ok((Self { schema: None, name: first }, behind));
        };
        let (second, behind) = part(rest).map_err(|why| format!("{why}: `{seen}`"))?;
        Ok((Self { schema: Some(first), name: second }, behind))
    }
}

/// Quoted only where `quote_ident` would quote it, key words aside: a reader of messages knows `order`
/// without quotes.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quoted(schema))?;
        }
        f.write_str(&quoted(&self.name))
    }
}

fn quoted(name: &str) -> String {
    let plain_first = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if plain_first && name.chars().all(plain) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// One part of the name and what comes behind it, without the blanks that SQL allows around both.
fn part(text: &str) -> Result<(String, &str), String> {
    let text = text.trim_start();
    let (name, rest) = match text.strip_prefix('"') {
        Some(inner) => quoted_part(inner)?,
        None => plain_part(text)?,
    };
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("a name of {} bytes, PostgreSQL keeps {NAME_BYTES_MAX}", name.len()));
    }
    if name.contains('\0') {
        return Err("a zero byte in the name of a table".to_owned());
    }
    Ok((name, rest.trim_start()))
}

/// Reads up to the closing quote; two quotes in a row are one.
fn quoted_part(inner: &str) -> Result<(String, &str), String> {
    let mut name = String::new();
    let mut rest = inner;
    loop {
        let Some((before, after)) = rest.split_once('"') else {
            return Err("a quote is not closed in the name of a table".to_owned());
        };
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None if name.is_empty() => return Err("an empty part in the name of a table".to_owned()),
            None => return Ok((name, after)),
        }
    }
}

fn plain_part(text: &str) -> Result<(String, &str), String> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let later = |c: char| first(c) || c.is_ascii_digit() || c == '$';
    let end = text.find(|c: char| !later(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.starts_with(first) {
        return Ok((name.to_ascii_lowercase(), rest));
    }
    Err(match text.chars().next() {
        None | Some('.') => "an empty part in the name of a table".to_owned(),
        Some(c) => format!("the name of a table cannot begin with {c:?} unless it is quoted"),
    })
}

fn nothing_left(rest: &str) -> Result<(), String> {
    match rest.chars().next() {
        None => Ok(()),
        Some('.') => Err("the name of a table has at most a schema and a name".to_owned()),
        Some(c) => Err(format!("{c:?} is not expected in the name of a table")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> (Option<String>, String) {
        let table = TableName::parse(text).unwrap();
        (table.schema, table.name)
    }

    #[test]
    fn unquoted_parts_are_folded_and_quoted_parts_are_not() {
        assert_eq!(parts("Orders"), (None, "orders".into()));
        assert_eq!(parts(r#"App."Odd.Name""#), (Some("app".into()), "Odd.Name".into()));
        assert_eq!(parts(r#" "a""b" . c$1 "#), (Some("a\"b".into()), "c$1".into()));
        // PostgreSQL folds only A to Z in a UTF-8 database.
        assert_eq!(parts("GRÖSSE"), (None, "grÖsse".into()));
    }

    #[test]
    fn what_is_no_name_says_why_with_the_value() {
        let why = |text| TableName::parse(text).unwrap_err();
        insta::assert_snapshot!(why("a.b.c"), @"the name of a table has at most a schema and a name: `a.b.c`");
        insta::assert_snapshot!(why("a."), @"an empty part in the name of a table: `a.`");
        insta::assert_snapshot!(why("1a"), @"the name of a table cannot begin with '1' unless it is quoted: `1a`");
        insta::assert_snapshot!(why("a; drop"), @"';' is not expected in the name of a table: `a; drop`");
        insta::assert_snapshot!(why("\"a"), @r#"a quote is not closed in the name of a table: `\"a`"#);
        assert!(TableName::parse(&"x".repeat(64)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_displayed_is_read_back(schema in proptest::option::of("[^\0]{1,15}"), name in "[^\0]{1,15}") {
            let table = TableName { schema, name };
            prop_assert_eq!(TableName::parse(&table.to_string()), Ok(table));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in ".*") {
            let _ = TableName::parse(&text);
        }
    }
}
