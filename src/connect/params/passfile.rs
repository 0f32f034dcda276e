//! `.pgpass`: the password for a host, port, database and user (manual, 34.16 "The Password File").
//!
//! Must not know: who asks.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What a password file says, or why it is passed over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PassFile {
    /// There is none.
    Missing,
    /// There is one that must not be read; the reason is for a person.
    PassedOver(String),
    Read(String),
}

/// Reads the file; libpq passes over one that others can read: the six lowest mode bits are theirs.
pub(super) fn read(file: &Path) -> PassFile {
    let Ok(data) = std::fs::metadata(file) else { return PassFile::Missing };
    let shown = file.display();
    if !data.is_file() {
        return PassFile::PassedOver(format!("password file {shown} is not a plain file and is passed over"));
    }
    if data.permissions().mode().trailing_zeros() < 6 {
        let mode = data.permissions().mode() & 0o777;
        return PassFile::PassedOver(format!(
            "password file {shown} has mode {mode:04o}, so others can read it, and is passed over\nhint: chmod 600 {shown}"
        ));
    }
    match std::fs::read(file) {
        // Whatever encoding another line is in.
        Ok(bytes) => PassFile::Read(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            PassFile::PassedOver(format!("password file {shown} cannot be read and is passed over: {error}"))
        }
    }
}

/// The password of the first line that matches, if any does.
pub(super) fn password(file: &str, wanted: [&str; 4]) -> Option<String> {
    file.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let fits = fields.iter().zip(wanted).all(|(field, want)| *field == "*" || unescaped(field) == want);
        // Behind a fifth colon nothing counts.
        let secret = fields.get(4).filter(|_| fits)?;
        Some(unescaped(secret))
    })
}

/// The texts between the colons that no backslash stands before.
fn fields(line: &str) -> Vec<&str> {
    let (mut fields, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, character) in line.char_indices() {
        if character == ':' && !escaped {
            fields.push(&line[start..at]);
            start = at + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    fields.push(&line[start..]);
    fields
}

/// A backslash takes the next character as it is.
fn unescaped(field: &str) -> String {
    let mut characters = field.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        text.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\nh:5432:db:u:first\n*:*:*:u\\:v:a\\:b:rest\n\\*:*:*:*:star\n*:*:*:*:last\n";

    #[test]
    fn the_first_line_that_fits_wins() {
        assert_eq!(password(FILE, ["h", "5432", "db", "u"]).as_deref(), Some("first"));
        assert_eq!(password(FILE, ["h", "5433", "db", "u"]).as_deref(), Some("last"));
    }

    #[test]
    fn a_backslash_escapes_a_colon_and_a_star() {
        assert_eq!(password(FILE, ["h", "1", "db", "u:v"]).as_deref(), Some("a:b"));
        assert_eq!(password(FILE, ["*", "1", "db", "u"]).as_deref(), Some("star"));
    }

    #[test]
    fn a_line_without_a_password_is_none() {
        assert_eq!(password("h:1:db:u\n", ["h", "1", "db", "u"]), None);
    }
}
