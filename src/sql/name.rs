//! The one way to quote a name.
//!
//! Must not know: what the name stands for.

use std::fmt;

/// A name that `Display` writes as a quoted identifier, whatever it contains.
///
/// The rule is PostgreSQL's lexical one (manual, 4.1.1 "Identifiers and Key Words"): double quotes around, a
/// double quote inside is doubled. It is always quoted, so no list of key words is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident(pub String);

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

/// A name in a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qualified {
    /// The schema.
    pub schema: Ident,
    /// The name in it.
    pub name: Ident,
}

impl Qualified {
    /// From two unquoted names.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: Ident(schema.into()), name: Ident(name.into()) }
    }
}

impl fmt::Display for Qualified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// The longest name that the server does not cut (`NAMEDATALEN` - 1), in bytes.
const NAME_BYTES_MAX: usize = 63;

/// A name that the server does not cut: `start`, `middle`, `end`, of which the middle is shortened; two long
/// ones that differ at their ends stay two.
#[must_use]
pub fn uncut_name(start: &str, middle: &str, end: &str) -> String {
    let whole = format!("{start}{middle}{end}");
    if whole.len() <= NAME_BYTES_MAX {
        return whole;
    }
    let sum = middle.bytes().fold(5_381_u64, |sum, byte| sum.wrapping_mul(33) ^ u64::from(byte));
    let end = format!("_{sum:016x}{end}");
    let mut name = format!("{start}{middle}");
    while name.len() + end.len() > NAME_BYTES_MAX {
        name.pop();
    }
    format!("{name}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_quoted_name_has_no_lone_quote_inside(name in "\\PC*") {
            let quoted = Ident(name.clone()).to_string();
            let inside = &quoted[1..quoted.len() - 1];
            prop_assert_eq!(inside.replace("\"\"", ""), name.replace('"', ""));
        }
    }

    #[test]
    fn a_name_cannot_end_its_own_quotes() {
        assert_eq!(Ident(r#"a"; DROP TABLE t; --"#.into()).to_string(), r#""a""; DROP TABLE t; --""#);
        assert_eq!(Qualified::new("app", "Order").to_string(), r#""app"."Order""#);
    }

    #[test]
    fn a_long_name_is_shortened_in_its_middle_and_stays_its_own() {
        assert_eq!(uncut_name("", "a", "_not_null"), "a_not_null");
        let long = |last: &str| uncut_name("pgbackfill_", &format!("{}{last}", "é".repeat(30)), "_not_null");
        let (one, other) = (long("x"), long("y"));
        assert!(one.len() <= NAME_BYTES_MAX && one != other && one.ends_with("_not_null"), "{one} {other}");
    }
}
