//! The rules of the house, read from its sources: who may use whom, who may print, where SQL lives.
//!
//! Must not know: PostgreSQL; nothing here needs a server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

mod circles;
mod sizes;
mod words;

type Rooms = BTreeMap<String, BTreeSet<String>>;

/// A source file: its path below the package and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// `src/engine/batch.rs` lies in the room `engine`, `src/key.rs` is the room `key`; `lib.rs` and
    /// `main.rs` lie in none.
    fn room(&self) -> Option<&str> {
        let first = self.path.strip_prefix("src/")?.split('/').next()?;
        let room = first.strip_suffix(".rs").unwrap_or(first);
        (room != "lib" && room != "main").then_some(room)
    }

    /// What is compiled into the library, unlike the command line above it.
    fn is_library(&self) -> bool {
        self.room().is_some_and(|room| room != "cli")
    }

    /// Its lines of code with their numbers: without comments, blank lines and unit tests, which stand at the
    /// end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate().map(|(at, line)| (at + 1, line));
        numbered
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
            .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
    }

    /// The rooms that its code names.
    fn uses(&self) -> BTreeSet<String> {
        let after = |line: &str| {
            let paths = line.split("crate::").skip(1).chain(line.split("pgbackfill::").skip(1));
            paths.map(first_word).filter(|word| !word.is_empty()).collect::<Vec<_>>()
        };
        let mut found: BTreeSet<_> = self.code().flat_map(|(_, line)| after(line)).collect();
        found.extend(self.code().any(|(_, line)| line.contains("cli::")).then(|| "cli".to_owned()));
        // `crate::` in the binary is the command line itself; a room may always use itself.
        found.retain(|room| Some(room.as_str()) != self.room());
        found
    }
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file below `src`, those that are tests through and through aside.
fn sources() -> Vec<Source> {
    below("src")
}

/// The same of a directory.
fn below(start: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut dirs = vec![root().join(start)];
    while let Some(dir) = dirs.pop() {
        for path in entries(&dir) {
            if path.is_dir() && !path.ends_with("tests") {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                // It was found below the root.
                let below = path.strip_prefix(root()).unwrap().display().to_string();
                found.push(Source { path: below, text });
            }
        }
    }
    assert!(found.len() > 50, "only {} files were found", found.len());
    found
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The block `rooms` of ARCHITECTURE.md, a room a line: `plan -> db, job`.
fn rooms() -> Rooms {
    let text = read("ARCHITECTURE.md");
    let block = text.split("```rooms\n").nth(1).and_then(|rest| rest.split("```").next());
    let block = block.expect("ARCHITECTURE.md has a block that is headed ```rooms");
    block
        .lines()
        .map(|line| room(line).unwrap_or_else(|| panic!("not `room -> room, room`: {line}")))
        .collect()
}

fn room(line: &str) -> Option<(String, BTreeSet<String>)> {
    let (from, to) = line.split_once("->")?;
    let to = to.split(',').map(|room| room.trim().to_owned()).filter(|room| !room.is_empty());
    Some((from.trim().to_owned(), to.collect()))
}

/// What the sources do.
fn arrows() -> Rooms {
    let mut found = Rooms::new();
    for source in sources() {
        if let Some(room) = source.room() {
            found.entry(room.to_owned()).or_default().extend(source.uses());
        }
    }
    found
}

/// Fails with every line of library code in which `wrong` sees something.
#[track_caller]
fn assert_no_line(rule: &str, sources: impl Iterator<Item = Source>, wrong: impl Fn(&str) -> bool) {
    let mut found = Vec::new();
    for source in sources {
        let lines = source.code().filter(|(_, line)| wrong(line));
        found.extend(lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())));
    }
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn every_import_is_an_arrow_of_the_architecture_and_every_arrow_is_used() {
    let (drawn, found) = (rooms(), arrows());
    let pairs = |rooms: &Rooms| -> BTreeSet<String> {
        rooms.iter().flat_map(|(from, to)| to.iter().map(move |to| format!("{from} -> {to}"))).collect()
    };
    let (drawn_pairs, found_pairs) = (pairs(&drawn), pairs(&found));
    let forbidden: Vec<_> = found_pairs.difference(&drawn_pairs).collect();
    assert!(forbidden.is_empty(), "the sources import against the architecture: {forbidden:?}");
    let idle: Vec<_> = drawn_pairs.difference(&found_pairs).collect();
    assert!(idle.is_empty(), "ARCHITECTURE.md draws what no source uses: {idle:?}");
    let names = |rooms: &Rooms| rooms.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&drawn), names(&found), "ARCHITECTURE.md and src/ have other rooms");
}

#[test]
fn the_arrows_go_in_one_direction() {
    let mut rooms = rooms();
    while !rooms.is_empty() {
        let is_leaf = |to: &BTreeSet<String>| to.iter().all(|room| !rooms.contains_key(room));
        let leaves: Vec<_> =
            rooms.iter().filter(|(_, to)| is_leaf(to)).map(|(from, _)| from.clone()).collect();
        assert!(!leaves.is_empty(), "these rooms use each other in a circle: {rooms:?}");
        rooms.retain(|room, _| !leaves.contains(room));
    }
}

#[test]
fn nobody_uses_the_command_line() {
    let users: Vec<_> =
        rooms().into_iter().filter(|(_, to)| to.contains("cli")).map(|(from, _)| from).collect();
    assert!(users.is_empty(), "{users:?} use cli");
}

#[test]
fn the_library_neither_prints_nor_exits_nor_reads_the_environment() {
    let forbidden =
        ["print!(", "println!(", "dbg!(", "process::exit", "process::abort", "env::var", "env::args"];
    let library = sources().into_iter().filter(Source::is_library);
    assert_no_line("not in the library", library, |line| forbidden.iter().any(|word| line.contains(word)));
}

#[test]
fn sql_is_written_in_its_own_room() {
    let begins =
        ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "MERGE ", "TRUNCATE ", "LOCK ", "SET LOCAL "];
    // The demo reads what a run leaves behind as a stranger would, without the library.
    // A scan is what finds rows, and a change is what is done to them: both are SQL by nature.
    let rooms = ["src/sql/", "src/scan/", "src/change/", "src/cli/demo"];
    let elsewhere = |source: &Source| !rooms.iter().any(|room| source.path.starts_with(room));
    let in_a_string = |line: &str| {
        let strings = line.split('"').skip(1);
        strings.map(str::trim_start).any(|text| begins.iter().any(|word| text.starts_with(word)))
    };
    assert_no_line("SQL outside of its rooms", sources().into_iter().filter(elsewhere), in_a_string);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = |source: &Source| !source.text.starts_with("//! ");
    let silent: Vec<_> = sources().into_iter().filter(silent).map(|source| source.path).collect();
    assert!(silent.is_empty(), "no `//!` on the first line of {silent:?}");
}

/// Words of a document that look like files of this package: `engine/batch.rs`, `jobs/`, `CHANGELOG.md`.
fn paths(text: &str) -> BTreeSet<String> {
    let extensions = [".rs", ".sql", ".toml", ".md", ".sh", ".yml"];
    let part_of_path = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    text.split(|c: char| !part_of_path(c))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| {
            // `//host` is what is left of an address.
            if word.starts_with("//") {
                return false;
            }
            let stem = word.rsplit('/').next().unwrap_or_default();
            extensions.iter().any(|extension| stem.len() > extension.len() && stem.ends_with(extension))
                || (word.starts_with("src/") || word.starts_with("tests/") || word.starts_with("jobs/"))
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_documents_name_files_that_are_there() {
    // Written by the reader; a table of a job file.
    let examples = ["JOB.toml", "guard.sql"];
    let mut missing = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md"] {
        let wanted = paths(&read(document));
        assert!(wanted.len() > 1, "{document} names no file; is this test blind?");
        let gone = wanted.into_iter().filter(|path| {
            let there = [root().join(path), root().join("src").join(path)].iter().any(|path| path.exists());
            !there && !examples.contains(&path.as_str())
        });
        missing.extend(gone.map(|path| format!("{document}: {path}")));
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// The tests of `tests/it` as its binary names them:
/// `faults::injected::lost_answer::only_the_very_transaction_is_ended`.
fn names_of_tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in below("tests/it") {
        // All files lie there, and each but these two is a module of its path.
        let path = source.path.strip_prefix("tests/it/").and_then(|path| path.strip_suffix(".rs"));
        let path = path.unwrap_or_default().trim_end_matches("/mod").replace('/', "::");
        // What an attribute of a test stands before is its function.
        let marked =
            ["#[test]\n", "#[tokio::test"].into_iter().flat_map(|mark| source.text.split(mark).skip(1));
        names.extend(
            marked
                .filter_map(|rest| rest.split("fn ").nth(1))
                .map(|rest| format!("{path}::{}", first_word(rest))),
        );
    }
    names
}

#[test]
fn the_page_on_reliability_names_tests_that_cargo_can_be_given() {
    let page = read("docs/reliability.md");
    let named: Vec<&str> =
        page.split('`').filter(|word| word.contains("::") && !word.contains(' ')).collect();
    assert!(named.len() > 15, "is this test blind?");
    let there = names_of_tests();
    let missing: Vec<_> = named.iter().filter(|name| !there.contains(**name)).collect();
    assert!(missing.is_empty(), "not in tests/it: {missing:?}");
}
