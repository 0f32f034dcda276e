//! Plain words: no riddles for names, one word for one thing.
//!
//! Must not know: what a word means.

use std::collections::BTreeMap;

use super::{Source, first_word, read, sources};

/// Names that told nobody what is inside, and what has taken their place.
const RIDDLES: [(&str, &str); 20] = [
    ("brakeman", "pacer"),
    ("braking", "gate"),
    ("guardian", "leader"),
    ("crew", "supervisor"),
    ("muster", "spawn_missing"),
    ("mender", "retry"),
    ("mend_", "handle_error, retry_bad_rows"),
    ("held_share", "share_now"),
    ("Piece", "NextBatch"),
    ("Hands", "InFlight"),
    ("Gauge", "Measure"),
    ("Aside", "Quarantined"),
    ("Halt", "BatchError"),
    ("Brake", "Judge"),
    ("OwnSignal", "CustomSignal"),
    ("OwnReading", "CustomReading"),
    ("Canary", "probe"),
    ("Runs", "Bands"),
    ("at_home", "Primary::check"),
    ("ask_the_address", "Primary::dial_again"),
];

/// The same word for another thing than PostgreSQL means by it, or a riddle in a comment.
const NOT_IN_COMMENTS: [&str; 7] = [
    "the same of it",
    "how manieth",
    "written to the log",
    "logs the whole page",
    "whole pages",
    "where the log was",
    "grows the log",
];

/// Public types of the same name in different rooms: a server of the catalog and one of the sandbox; the
/// lookup of a job and of the environment.
const SAME_NAME_ALLOWED: [&str; 2] = ["Lookup", "Server"];

fn production() -> Vec<Source> {
    // `pool.rs` has a slot beside the pool's own types.
    sources().into_iter().filter(|source| source.path != "src/db/pool.rs").collect()
}

#[test]
fn no_name_is_a_riddle() {
    let mut found = Vec::new();
    for source in production() {
        for (number, line) in source.code() {
            let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            for word in words {
                for (riddle, plain) in RIDDLES {
                    let is_type = riddle.starts_with(char::is_uppercase);
                    if (is_type && word == riddle) || (!is_type && word.contains(riddle)) {
                        found.push(format!("{}:{number}: {word}, say {plain}", source.path));
                    }
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn wal_is_wal_and_comments_are_no_riddles() {
    let mut found = Vec::new();
    for source in production() {
        for (number, line) in source.text.lines().enumerate() {
            let comment =
                line.split_once("//").map(|(_, comment)| comment.to_lowercase()).unwrap_or_default();
            let wrong = NOT_IN_COMMENTS.iter().filter(|words| comment.contains(*words));
            found.extend(wrong.map(|words| format!("{}:{}: {words}", source.path, number + 1)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn one_public_name_is_one_type() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in production() {
        for (_, line) in source.code() {
            // What is private to a file or a room is told apart by where it stands.
            let line = line.strip_prefix("pub ").unwrap_or_default();
            let name = ["struct ", "enum "].iter().find_map(|begin| line.strip_prefix(begin)).map(first_word);
            if let Some(name) = name {
                places.entry(name).or_default().push(source.path.clone());
            }
        }
    }
    let twice: Vec<_> = places
        .iter()
        .filter(|(name, places)| places.len() > 1 && !SAME_NAME_ALLOWED.contains(&name.as_str()))
        .collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

#[test]
fn the_words_of_the_architecture_stand_at_its_beginning() {
    let text = read("ARCHITECTURE.md");
    let words = text.find("## Words").expect("ARCHITECTURE.md has a list of words");
    let rest = text.find("## The picture").expect("ARCHITECTURE.md has a picture");
    assert!(words < rest, "the words come first");
    for word in [
        "job", "run", "range", "stripe", "band", "batch", "cursor", "worker", "pace", "guard", "signal",
        "step",
    ] {
        assert!(text[words..rest].contains(&format!("**{word}**")), "{word} is not explained");
    }
}
