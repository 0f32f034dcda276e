//! Parts of a statement: parameters, row values, and a user's text in parentheses of its own.
//!
//! Must not know: which statement.

/// `$first … $first+n-1`
#[must_use]
pub fn parameters(first: usize, n: usize) -> Vec<String> {
    (first..first + n).map(|i| format!("${i}")).collect()
}

/// A single value as it is, several as a row: PostgreSQL compares rows column by column and a btree can serve
/// it.
#[must_use]
pub fn row(parts: &[String]) -> String {
    match parts {
        [one] => one.clone(),
        many => format!("({})", many.join(", ")),
    }
}

/// The user's text in parentheses of its own; the line break keeps a trailing `--` comment from swallowing
/// ours.
#[must_use]
pub fn enclosed(expression: &str) -> String {
    format!("(\n{expression}\n)")
}

/// A value as text. JSON has one form for dates, whatever the session's settings are, and every server reads
/// it.
#[must_use]
pub fn as_text(value: &str) -> String {
    format!("to_jsonb({value}) #>> '{{}}'")
}

/// The user's query without the semicolon that people write at its end.
#[must_use]
pub fn bare(query: &str) -> &str {
    query.trim_end().trim_end_matches(';')
}

/// A dollar quote that is not in the text.
#[must_use]
pub fn dollar_quote(tag: &str, text: &str) -> String {
    let quotes = std::iter::once(format!("${tag}$")).chain((1..).map(|number| format!("${tag}_{number}$")));
    quotes.into_iter().find(|quote| !text.contains(quote.as_str())).unwrap_or_default()
}
