//! How large a file, a function and a type may be.
//!
//! Must not know: what they are for.

use std::collections::BTreeMap;

use super::{Source, sources};

/// Lines of a file before its unit tests, everything counted.
const FILE_LINES_MAX: usize = 400;
/// The width that `.rustfmt.toml` gives the code.
const COLUMNS_MAX: usize = 110;
/// Lines of a function, from its name to its closing brace.
const FUNCTION_LINES_MAX: usize = 60;
/// In the rooms where a bag of everything once was.
const FIELDS_MAX: usize = 12;
const METHODS_MAX: usize = 25;
const ROOMS_WITHOUT_BAGS: [&str; 3] = ["engine", "monitor", "throttle"];

/// Its lines before the unit tests.
fn lines(source: &Source) -> Vec<&str> {
    source.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).collect()
}

#[test]
fn no_file_is_too_long_to_read() {
    let long = |source: &Source| {
        let lines = lines(source).len();
        (lines > FILE_LINES_MAX).then(|| format!("{}: {lines}", source.path))
    };
    let long: Vec<_> = sources().iter().filter_map(long).collect();
    assert!(long.is_empty(), "more than {FILE_LINES_MAX} lines before the tests: {long:?}");
}

/// Items that begin with one of these words, each with its name and its lines: rustfmt closes an item with a
/// brace at its own indent.
fn items<'a>(lines: &[&'a str], begins: &[&str]) -> Vec<(String, Vec<&'a str>)> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim_start().split_inclusive(' ').skip_while(|word| is_prefix(word.trim_end()));
        let rest: String = words.collect();
        let Some(name) = begins.iter().find_map(|begin| rest.strip_prefix(begin)) else { continue };
        let closing = format!("{}}}", " ".repeat(indent));
        let whole = || lines[at..].iter().position(|line| *line == closing);
        let is_closed_at_once = line.ends_with('}') || line.ends_with(';');
        let length = if is_closed_at_once { 1 } else { whole().map_or(1, |end| end + 1) };
        found.push((name.to_owned(), lines[at..at + length].to_vec()));
    }
    found
}

fn is_prefix(word: &str) -> bool {
    ["pub", "const", "async", "unsafe"].contains(&word) || word.starts_with("pub(")
}

#[test]
fn no_comment_is_wider_than_the_code() {
    let mut wide = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            let is_picture_or_table = line.contains('│') || line.contains("//! |");
            if is_comment && !is_picture_or_table && line.chars().count() > COLUMNS_MAX {
                wide.push(format!("{}:{}", source.path, number + 1));
            }
        }
    }
    assert!(wide.is_empty(), "more than {COLUMNS_MAX} columns: {wide:#?}");
}

#[test]
fn no_function_is_too_long_to_see_at_once() {
    let mut long = Vec::new();
    for source in sources() {
        for (name, whole) in items(&lines(&source), &["fn "]) {
            if whole.len() > FUNCTION_LINES_MAX {
                long.push(format!("{}: {name}: {}", source.path, whole.len()));
            }
        }
    }
    assert!(long.is_empty(), "more than {FUNCTION_LINES_MAX} lines: {long:#?}");
}

fn in_rooms_without_bags() -> Vec<Source> {
    let all = sources().into_iter();
    all.filter(|source| source.room().is_some_and(|room| ROOMS_WITHOUT_BAGS.contains(&room))).collect()
}

#[test]
fn no_type_is_a_bag_of_everything() {
    let mut bags = Vec::new();
    let mut methods: BTreeMap<(String, String), usize> = BTreeMap::new();
    for source in in_rooms_without_bags() {
        let lines = lines(&source);
        for (name, whole) in items(&lines, &["struct "]) {
            let is_field =
                |line: &&&str| line.starts_with("    ") && line.contains(": ") && !line.contains("//");
            let fields = whole.iter().filter(is_field).count();
            if fields > FIELDS_MAX {
                bags.push(format!("{}: {name} has {fields} fields", source.path));
            }
        }
        for (name, whole) in items(&lines, &["impl "]) {
            let inside: Vec<_> = whole.iter().filter(|line| line.starts_with("    ")).copied().collect();
            let own = items(&inside, &["fn "]).len();
            let folder =
                source.path.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap_or_default();
            *methods.entry((folder, super::first_word(&name))).or_default() += own;
        }
    }
    let many = methods.iter().filter(|(_, count)| **count > METHODS_MAX);
    bags.extend(many.map(|((folder, name), count)| format!("{folder}: {name} has {count} methods")));
    assert!(bags.is_empty(), "{bags:#?}");
}

#[test]
fn these_rules_see_what_they_measure() {
    let text = [
        "pub(super) struct Bag {",
        "    a: u32,",
        "    pub b: u32,",
        "}",
        "impl Bag {",
        "    pub async fn fill(&self) {",
        "        x();",
        "    }",
        "}",
    ];
    let structs = items(&text, &["struct "]);
    assert_eq!((structs.len(), structs[0].1.len()), (1, 4));
    let functions = items(&text, &["fn "]);
    assert_eq!((functions.len(), functions[0].1.len()), (1, 3));
}
