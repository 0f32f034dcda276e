//! Engines that are broken on purpose, each in one way: the suite must catch every one of them, or it proves nothing.
//!
//! `make test` sees to it that each can still be made; `make mutants` makes each, in a tree of its own, and runs the part of the suite that
//! has to fail. `ONLY=name,name` takes some of them.
//!
//! Must not know: what the parts test.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde::Deserialize;

use super::house::root;

/// Set by `make mutants`.
const ON: &str = "PGBACKFILL_MUTANTS";
const ONLY: &str = "ONLY";
/// What hangs is caught, too.
const PATIENCE: Duration = Duration::from_secs(420);
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
    old: String,
    new: String,
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
            assert_eq!(
                text.matches(&edit.old).count(),
                1,
                "{}: {:?} in {}",
                self.name,
                edit.old,
                edit.file.display()
            );
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
            assert_eq!(text.matches(&edit.old).count(), 1, "{}: {:?}", mutant.name, edit.old);
        }
    }
}

#[test]
fn no_mutant_survives_the_suite() {
    if env::var_os(ON).is_none() {
        // It takes an hour.
        return;
    }
    let tree = root().join("target/mutants/tree");
    copy_tree(&tree);
    let only = env::var(ONLY).ok();
    let mut survivors = Vec::new();
    println!("{:<40} {:<22} {:>6}  first to fail", "mutant", "part", "s");
    let asked =
        |mutant: &&Mutant| only.as_ref().is_none_or(|names| names.split(',').any(|name| name == mutant.name));
    for mutant in mutants().iter().filter(asked) {
        let before = mutant.make(&tree);
        let program =
            build(&tree).unwrap_or_else(|errors| panic!("{} does not compile:\n{errors}", mutant.name));
        let began = Instant::now();
        let caught = caught_by(&program, &tree, &mutant.caught_by);
        let (took, by) = (began.elapsed().as_secs(), caught.as_deref().unwrap_or("SURVIVES"));
        println!("{:<40} {:<22} {took:>6}  {by}", mutant.name, mutant.caught_by);
        if caught.is_none() {
            survivors.push(format!("{}: {}", mutant.name, mutant.what));
        }
        for (path, text) in before.into_iter().rev() {
            fs::write(path, text).unwrap();
        }
    }
    assert!(survivors.is_empty(), "{survivors:#?}");
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

/// The first test of the part that fails; a part that does not end has caught it, too.
fn caught_by(program: &Path, tree: &Path, part: &str) -> Option<String> {
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
    let failed = || -> io::Result<Option<String>> {
        let text = fs::read_to_string(&log)?;
        Ok(text
            .lines()
            .find_map(|line| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned())))
    };
    loop {
        // The first is enough.
        let first = failed().unwrap();
        let ended = running.try_wait().unwrap();
        if first.is_some() || ended.is_some() || began.elapsed() > PATIENCE {
            // With the processes that it has started.
            let _ = signal::killpg(Pid::from_raw(running.id().cast_signed()), Signal::SIGKILL);
            let _ = running.wait();
            let hangs = (ended.is_none() && first.is_none()).then(|| "it hangs".to_owned());
            return first.or(hangs);
        }
        thread::sleep(Duration::from_millis(200));
    }
}
