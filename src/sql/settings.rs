//! Settings of one transaction, in one statement.
//!
//! Must not know: what a setting is for.

/// `SELECT set_config(…, true), …`: what SET LOCAL does, in one statement for all of them.
#[must_use]
pub fn settings(pairs: &[(&str, &str)]) -> String {
    let calls: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("set_config({}, {}, true)", literal(name), literal(value)))
        .collect();
    format!("SELECT {}", calls.join(", "))
}

/// A string constant, in the form that means the same whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_own_quotes() {
        assert_eq!(
            settings(&[("search_path", r#""a'b", c"#), ("x", r"\'")]),
            r#"SELECT set_config('search_path', '"a''b", c', true), set_config('x', E'\\''', true)"#
        );
    }
}
