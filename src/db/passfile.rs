//! `.pgpass`: the password for a host, port, database and user (manual, 34.16 "The Password File").
//!
//! Must not know: where the file is, who asks.

/// The password of the first line that matches, if any does.
pub(super) fn password(file: &str, host: &str, port: u16, database: &str, user: &str) -> Option<String> {
    let port = port.to_string();
    let wanted = [host, port.as_str(), database, user];
    file.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let (secret, rest) = fields.split_last()?;
        let fits =
            rest.len() == 4 && rest.iter().zip(wanted).all(|(field, want)| field == "*" || field == want);
        fits.then(|| secret.clone())
    })
}

/// The fields between colons; a backslash takes the next character as it is.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut().into_iter().for_each(|field| field.extend(characters.next())),
            other => fields.last_mut().into_iter().for_each(|field| field.push(other)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\nh:5432:db:u:first\n*:*:*:u\\:v:a\\:b\n*:*:*:*:last\n";

    #[test]
    fn the_first_line_that_fits_wins() {
        assert_eq!(password(FILE, "h", 5432, "db", "u").as_deref(), Some("first"));
        assert_eq!(password(FILE, "h", 5433, "db", "u").as_deref(), Some("last"));
    }

    #[test]
    fn a_backslash_escapes_a_colon() {
        assert_eq!(password(FILE, "h", 1, "db", "u:v").as_deref(), Some("a:b"));
    }
}
