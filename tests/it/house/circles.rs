//! Files of one folder do not use each other in a circle, re-exports of `mod.rs` aside.
//!
//! An arrow goes from the file that names an item to the file that the item stands in. A folder below counts
//! as one of the files.
//!
//! Must not know: which rooms there are.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, sources};

/// Files by their path, without their unit tests.
struct Files(BTreeMap<String, String>);

/// From file to file (or folder) within one folder.
type Arrows = BTreeMap<String, BTreeSet<String>>;

impl Files {
    fn new(sources: &[Source]) -> Self {
        let code = |source: &Source| source.code().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        Self(sources.iter().map(|source| (source.path.clone(), code(source))).collect())
    }

    fn is_folder(&self, path: &str) -> bool {
        self.0.keys().any(|file| file.starts_with(&format!("{path}/")))
    }

    /// The file or folder in `folder` in which `name` stands.
    fn resolve(&self, folder: &str, name: &str) -> Option<String> {
        let (file, below) = (format!("{folder}/{name}.rs"), format!("{folder}/{name}"));
        if self.0.contains_key(&file) {
            return Some(file);
        }
        if self.is_folder(&below) {
            return Some(below);
        }
        let module = format!("{folder}/mod.rs");
        let text = self.0.get(&module)?;
        let exported = uses(text).into_iter().filter(|(is_public, _)| *is_public).map(|(_, path)| path);
        let exported = exported.filter(|path| path.last().is_some_and(|last| last == name) && path.len() > 1);
        match exported.map(|path| path[0].clone()).find(|first| first != "crate" && first != name) {
            Some(child) => self.resolve(folder, &child),
            None => Some(module),
        }
    }

    /// Follows a path from a file to the file or folder that it leads to.
    fn follow(&self, from: &str, path: &[String]) -> Option<String> {
        let own = from.rsplit_once('/')?.0.to_owned();
        let is_module = from.ends_with("/mod.rs");
        let (mut folder, mut rest) = (own.clone(), path);
        match path.first()?.as_str() {
            "crate" => (folder, rest) = ("src".to_owned(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                let mut steps = path.iter().take_while(|part| *part == "super").count();
                rest = &path[steps..];
                // In `mod.rs` the first step leaves the folder, elsewhere the file.
                steps -= usize::from(!is_module);
                for _ in 0..steps {
                    folder = folder.rsplit_once('/')?.0.to_owned();
                }
            }
            first
                if is_module
                    && (self.0.contains_key(&format!("{own}/{first}.rs"))
                        || self.is_folder(&format!("{own}/{first}"))) => {}
            _ => return None,
        }
        let mut found = None;
        for name in rest {
            let next = self.resolve(&folder, name)?;
            found = Some(next.clone());
            if self.0.contains_key(&next) {
                break;
            }
            folder = next;
        }
        found
    }

    /// The arrows of every folder.
    fn arrows(&self) -> BTreeMap<String, Arrows> {
        let mut all: BTreeMap<String, Arrows> = BTreeMap::new();
        for (file, text) in &self.0 {
            for path in Self::paths(file, text) {
                let Some(to) = self.follow(file, &path).filter(|to| to != file) else { continue };
                let (from, to): (Vec<_>, Vec<_>) = (file.split('/').collect(), to.split('/').collect());
                let depth = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                let depth = depth.min(from.len() - 1);
                let target = to.get(depth).copied().unwrap_or("mod.rs");
                if from[depth] != target {
                    let arrows = all.entry(from[..depth].join("/")).or_default();
                    arrows.entry(from[depth].to_owned()).or_default().insert(target.to_owned());
                }
            }
        }
        all
    }

    /// What a file names: its imports (what `mod.rs` hands on is none), and paths in its code.
    fn paths(file: &str, text: &str) -> Vec<Vec<String>> {
        let is_module = file.ends_with("/mod.rs");
        let imports = uses(text).into_iter().filter(|(is_public, _)| !(is_module && *is_public));
        let mut found: Vec<_> = imports.map(|(_, path)| path).collect();
        let mut within = false;
        let code = text.lines().filter(|line| {
            let is_part = within || is_use(line);
            within = is_part && !line.contains(';');
            !is_part
        });
        let code: String = code.collect::<Vec<_>>().join("\n");
        let words = code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        let inline = words.filter(|word| word.contains("::") && !word.starts_with("::"));
        let inline =
            inline.map(|word| word.split("::").map(str::to_owned).filter(|part| !part.is_empty()).collect());
        found.extend(inline.filter(|path: &Vec<String>| path.len() > 1 || is_module));
        found
    }
}

/// Whether an import begins on this line.
fn is_use(line: &str) -> bool {
    line.find("use ").is_some_and(|at| is_statement(&line[..at]))
}

/// The imports of a text, each as its parts, and whether it is handed on.
fn uses(text: &str) -> Vec<(bool, Vec<String>)> {
    let mut found = Vec::new();
    for statement in text.split(';') {
        let Some(at) = statement.rfind("use ").filter(|at| is_statement(&statement[..*at])) else { continue };
        let is_public =
            statement[..at].lines().last().is_some_and(|before| before.trim_start().starts_with("pub"));
        let tree: String = statement[at + 4..].split_whitespace().collect::<Vec<_>>().join(" ");
        expand(&[], &tree, &mut |path| found.push((is_public, path)));
    }
    found
}

/// Only a visibility stands before `use` on its line.
fn is_statement(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default().trim();
    line.is_empty() || line == "pub" || (line.starts_with("pub(") && line.ends_with(')'))
}

fn expand(prefix: &[String], tree: &str, found: &mut impl FnMut(Vec<String>)) {
    let parts = |text: &str| -> Vec<String> {
        text.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    };
    match tree.split_once('{') {
        None => {
            let name = tree.split(" as ").next().unwrap_or_default();
            found(prefix.iter().cloned().chain(parts(name)).collect());
        }
        Some((before, inside)) => {
            let prefix: Vec<_> = prefix.iter().cloned().chain(parts(before)).collect();
            let inside = inside.rsplit_once('}').map_or(inside, |(inside, _)| inside);
            let (mut depth, mut start) = (0_i32, 0);
            for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
                depth += i32::from(c == '{') - i32::from(c == '}');
                if c == ',' && depth == 0 {
                    let branch = inside[start..at].trim();
                    if !branch.is_empty() {
                        expand(&prefix, branch, found);
                    }
                    start = at + 1;
                }
            }
        }
    }
}

/// The files of `arrows` that are in a circle, or on a way between two of them.
fn circle(mut arrows: Arrows) -> Arrows {
    loop {
        let used: BTreeSet<String> = arrows.values().flatten().cloned().collect();
        let before = (arrows.len(), arrows.values().map(BTreeSet::len).sum::<usize>());
        arrows.retain(|from, _| used.contains(from));
        let known: BTreeSet<String> = arrows.keys().cloned().collect();
        for targets in arrows.values_mut() {
            targets.retain(|to| known.contains(to));
        }
        arrows.retain(|_, targets| !targets.is_empty());
        if before == (arrows.len(), arrows.values().map(BTreeSet::len).sum::<usize>()) {
            return arrows;
        }
    }
}

#[test]
fn files_of_one_folder_do_not_use_each_other_in_a_circle() {
    let all = Files::new(&sources()).arrows();
    assert!(all.get("src/engine").is_some_and(|arrows| arrows.len() > 10), "is this test blind?");
    let circles: Vec<_> = all
        .into_iter()
        .filter(|(folder, _)| folder != "src")
        .map(|(folder, arrows)| (folder, circle(arrows)))
        .filter(|(_, circle)| !circle.is_empty())
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_circle_is_seen_through_a_re_export_and_a_path_in_the_code() {
    let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let files = |two: &str| {
        Files::new(&[
            file("src/room/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::{self, Two};\n"),
            file("src/room/one.rs", "use super::Two;\npub struct One(Two);\n"),
            file("src/room/two.rs", two),
        ])
    };
    let circles = |two: &str| files(two).arrows().remove("src/room").map(circle).unwrap_or_default();
    assert!(circles("pub struct Two;\n").is_empty());
    assert_eq!(circles("use crate::room::One;\npub struct Two;\n").len(), 2);
    assert_eq!(circles("pub fn two() { super::one::make() }\n").len(), 2);
}
