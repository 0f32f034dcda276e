//! Engines that are broken on purpose, each in one way: the suite must catch every one of them, or it proves
//! nothing.
//!
//! `make test` sees to it that each can still be made; `make mutants` makes each, in a tree of its own, and
//! runs the part of the suite that has to fail, after it has passed with the engine as it is.
//! `ONLY=name,name` takes some of them.
//!
//! Must not know: what the parts test.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde::Deserialize;

use super::house::root;

/// Set by `make mutants`.
const ON: &str = "PGBACKFILL_MUTANTS";
const ONLY: &str = "ONLY";
/// A part that takes so many times as long as with the engine as it is, and some time more, hangs, and that
/// is caught, too.
const TIMES: u32 = 4;
const SOME_TIME: Duration = Duration::from_secs(60);
/// The engine as it is may take so long for a part.
const PATIENCE: Duration = Duration::from_secs(600);
/// What a build needs.
const TREE: [&str; 6] = ["Cargo.toml", "Cargo.lock", "src", "jobs", "tests", "benches"];
const DOCUMENTS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutants {
    mutant: Vec<Mutant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    what: String,
    caught_by: String,
    edit: Vec<Edit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: PathBuf,
    /// Where the text stands, so that a match that no longer applies says where to look.
    function: Option<String>,
    old: String,
    new: String,
}

impl Edit {
    /// Whether the text stands once in this file, in the function that is named; else what is wrong.
    fn fits(&self, text: &str) -> Result<(), String> {
        let found: Vec<_> = text.match_indices(&self.old).map(|(at, _)| at).collect();
        let stands_in: Vec<_> = found.iter().map(|at| function_at(text, *at)).collect();
        let meant = self.function.as_deref();
        if found.len() == 1 && (meant.is_none() || stands_in[0] == meant) {
            return Ok(());
        }
        let file = self.file.display();
        let meant = meant.map_or(String::new(), |name| format!(", which was in fn {name}"));
        Err(format!("{:?}{meant} stands {} times in {file}: {stands_in:?}", self.old, found.len()))
    }
}

/// The function that begins last before this place.
fn function_at(text: &str, at: usize) -> Option<&str> {
    // The line may be the function's own first one.
    let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
    let mut heads = text[..end].lines().filter_map(|line| {
        let (before, rest) = line.trim_start().split_once("fn ")?;
        let is_head =
            before.split(' ').all(|word| ["", "async", "const"].contains(&word) || word.starts_with("pub"));
        let length = rest.find(['(', '<'])?;
        is_head.then_some(&rest[..length])
    });
    heads.next_back()
}

#[test]
fn an_edit_that_no_longer_fits_says_where_it_was() {
    let text = "fn one() {\n    a();\n}\n\npub(super) async fn two<T>() {\n    b();\n}\n";
    let edit = |function: &str, old: &str| Edit {
        file: "src/x.rs".into(),
        function: Some(function.into()),
        old: old.into(),
        new: String::new(),
    };
    assert_eq!(edit("two", "b();").fits(text), Ok(()));
    assert_eq!(edit("one", "fn one").fits(text), Ok(()));
    let moved = edit("one", "b();").fits(text).unwrap_err();
    assert_eq!(moved, "\"b();\", which was in fn one stands 1 times in src/x.rs: [Some(\"two\")]");
    assert!(edit("two", "c();").fits(text).unwrap_err().contains("in fn two stands 0 times"));
}

fn mutants() -> Vec<Mutant> {
    toml::from_str::<Mutants>(&fs::read_to_string(root().join("tests/it/mutants.toml")).unwrap())
        .unwrap()
        .mutant
}

impl Mutant {
    /// Makes it in a tree; gives the files it has touched, with what was in them.
    fn make(&self, tree: &Path) -> Vec<(PathBuf, String)> {
        let mut before = Vec::new();
        for edit in &self.edit {
            let path = tree.join(&edit.file);
            let text = fs::read_to_string(&path).unwrap();
            edit.fits(&text).unwrap_or_else(|wrong| panic!("{}: {wrong}", self.name));
            fs::write(&path, text.replacen(&edit.old, &edit.new, 1)).unwrap();
            before.push((path, text));
        }
        before
    }
}

#[test]
fn every_mutant_can_be_made_of_the_engine_as_it_is() {
    let all = mutants();
    assert!(all.len() >= 12, "the suite is proved by {} mutants only", all.len());
    for mutant in &all {
        for edit in &mutant.edit {
            let text = fs::read_to_string(root().join(&edit.file)).unwrap();
            edit.fits(&text).unwrap_or_else(|wrong| panic!("{}: {wrong}", mutant.name));
        }
    }
}

#[test]
fn no_mutant_survives_the_suite() {
    if env::var_os(ON).is_none() {
        // It takes long.
        return;
    }
    let tree = root().join("target/mutants/tree");
    copy_tree(&tree);
    let only = env::var(ONLY).ok();
    let asked =
        |mutant: &Mutant| only.as_ref().is_none_or(|names| names.split(',').any(|name| name == mutant.name));
    let all: Vec<_> = mutants().into_iter().filter(asked).collect();
    println!("{:<44} {:<22} {:>6}  first to fail", "mutant", "part", "s");
    let patience = patience_for(&all, &tree);
    let survivors = all.iter().filter(|mutant| !is_caught(mutant, &tree, &patience));
    let survivors: Vec<_> = survivors.map(|mutant| format!("{}: {}", mutant.name, mutant.what)).collect();
    assert!(survivors.is_empty(), "{survivors:#?}");
}

/// How long each part may take: with the engine as it is it has to pass.
fn patience_for(all: &[Mutant], tree: &Path) -> BTreeMap<String, Duration> {
    let program =
        build(tree).unwrap_or_else(|errors| panic!("the engine as it is does not compile:\n{errors}"));
    let parts: BTreeSet<_> = all.iter().map(|mutant| mutant.caught_by.clone()).collect();
    let patience = |part: String| {
        let began = Instant::now();
        let end = run(&program, tree, &part, PATIENCE);
        let took = began.elapsed();
        println!("{:<44} {part:<22} {:>6}  {end:?}", "none", took.as_secs());
        assert_eq!(end, End::Passed, "{part} with the engine as it is");
        (part, took * TIMES + SOME_TIME)
    };
    parts.into_iter().map(patience).collect()
}

fn is_caught(mutant: &Mutant, tree: &Path, patience: &BTreeMap<String, Duration>) -> bool {
    let before = mutant.make(tree);
    let program = build(tree).unwrap_or_else(|errors| panic!("{} does not compile:\n{errors}", mutant.name));
    let began = Instant::now();
    let end = run(&program, tree, &mutant.caught_by, patience[&mutant.caught_by]);
    let took = began.elapsed().as_secs();
    for (path, text) in before.into_iter().rev() {
        fs::write(path, text).unwrap();
    }
    let (caught, by) = match end {
        End::Failed(test) => (true, test),
        End::Hangs => (true, "it hangs".into()),
        End::Passed => (false, "SURVIVES".into()),
        End::Died => (false, "SURVIVES: the tests ended, and none of them failed".into()),
    };
    println!("{:<44} {:<22} {took:>6}  {by}", mutant.name, mutant.caught_by);
    caught
}

/// A copy of what a build needs; built things of an earlier time stay.
fn copy_tree(tree: &Path) {
    let _ = fs::remove_dir_all(tree);
    fs::create_dir_all(tree).unwrap();
    for name in TREE.iter().chain(&DOCUMENTS) {
        let copied = Command::new("cp").arg("-a").arg(root().join(name)).arg(tree).status().unwrap();
        assert!(copied.success(), "{name} cannot be copied");
    }
}

/// The test program of the tree as it is.
fn build(tree: &Path) -> Result<PathBuf, String> {
    let built = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--test", "it", "--no-run", "--message-format=json-render-diagnostics"])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", root().join("target/mutants"))
        .env("RUSTFLAGS", "-Awarnings")
        .output()
        .unwrap();
    let errors = || String::from_utf8_lossy(&built.stderr).into_owned();
    let lines = String::from_utf8_lossy(&built.stdout);
    let mut programs = lines.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == "it";
        Some(PathBuf::from(message["executable"].as_str().filter(|_| is_it)?))
    });
    if built.status.success() { programs.next().ok_or_else(errors) } else { Err(errors()) }
}

/// How a part of the suite ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Passed,
    /// The first test that failed.
    Failed(String),
    Hangs,
    /// Without a word about a test that failed, which says nothing.
    Died,
}

fn run(program: &Path, tree: &Path, part: &str, patience: Duration) -> End {
    let log = tree.join("log");
    let out = fs::File::create(&log).unwrap();
    let mut running = Command::new(program)
        .args([part, "--test-threads=4"])
        .current_dir(tree)
        .env_remove(ON)
        .process_group(0)
        .stdin(Stdio::null())
        .stderr(out.try_clone().unwrap())
        .stdout(out)
        .spawn()
        .unwrap();
    let began = Instant::now();
    loop {
        // Before the log is read, so that nothing of it is missed; the first to fail is enough.
        let ended = running.try_wait().unwrap();
        let failed = first_failed(&log);
        if failed.is_some() || ended.is_some() || began.elapsed() > patience {
            // With the processes that it has started.
            let _ = signal::killpg(Pid::from_raw(running.id().cast_signed()), Signal::SIGKILL);
            let _ = running.wait();
            return match (failed, ended) {
                (Some(test), _) => End::Failed(test),
                (None, Some(status)) if status.success() => End::Passed,
                (None, Some(_)) => End::Died,
                (None, None) => End::Hangs,
            };
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn first_failed(log: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned();
    text.lines().find_map(|line| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned()))
}
