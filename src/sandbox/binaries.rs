//! Where PostgreSQL's server programs are on this machine.
//!
//! Must not know: what they are started for; the environment (the caller hands over `PATH`).

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::SandboxError;

/// Whether to look where packages put PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SystemDirs {
    /// Look there, the highest major version first.
    #[default]
    Look,
    /// Do not.
    Skip,
}

/// Where to look for the programs; the first directory that has them wins, in the order of these fields.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Directories that the caller knows of, either the `bin` directory or the one above it.
    pub extra_dirs: Vec<PathBuf>,
    /// `/usr/lib/postgresql/*/bin` and its like.
    pub system: SystemDirs,
    /// The value of `PATH`.
    pub path: Option<OsString>,
}

impl Search {
    /// Only in `dir`: whoever names a directory does not want to be given another server in silence.
    #[must_use]
    pub fn only(dir: impl Into<PathBuf>) -> Self {
        Self { extra_dirs: vec![dir.into()], system: SystemDirs::Skip, path: None }
    }

    fn dirs(&self) -> Vec<PathBuf> {
        let mut dirs = Vec::new();
        for dir in &self.extra_dirs {
            dirs.extend([dir.clone(), dir.join("bin")]);
        }
        if self.system == SystemDirs::Look {
            dirs.extend(system_dirs(Path::new("/")));
        }
        if let Some(path) = &self.path {
            dirs.extend(std::env::split_paths(path).filter(|dir| dir.is_absolute()));
        }
        dirs
    }
}

/// A directory with `initdb` and `postgres` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// The first directory of the search that holds both programs.
    pub fn find(search: &Search) -> Result<Self, SandboxError> {
        let searched = search.dirs();
        let Some(found) = searched.iter().find(|dir| has_programs(dir)) else {
            return Err(SandboxError::NotInstalled { searched });
        };
        // The programs are started from another directory, so a relative path would lead astray.
        let dir = std::path::absolute(found).map_err(SandboxError::io("resolve", found))?;
        Ok(Self { dir })
    }

    /// The directory, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }
}

fn has_programs(dir: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|name| is_program(&dir.join(name)))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Where Debian, the PGDG packages for Fedora and its kin, a build from source and Homebrew put their
/// programs.
fn system_dirs(root: &Path) -> Vec<PathBuf> {
    let mut dirs = versions(&root.join("usr/lib/postgresql"), "");
    dirs.extend(versions(&root.join("usr"), "pgsql-"));
    dirs.push(root.join("usr/local/pgsql/bin"));
    dirs.extend(versions(&root.join("opt/homebrew/opt"), "postgresql"));
    dirs.extend(versions(&root.join("usr/local/opt"), "postgresql"));
    dirs
}

/// `parent/prefix*/bin`, the highest major version first; without a match the pattern itself, to be named in
/// an error.
fn versions(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some((major(entry.file_name().to_str()?.strip_prefix(prefix)?), entry.path())))
        .collect();
    found.sort();
    if found.is_empty() {
        return vec![parent.join(format!("{prefix}*")).join("bin")];
    }
    found.into_iter().rev().map(|(_, path)| path.join("bin")).collect()
}

/// `17` of `17`, `@17` and `17.2`; 0 where no number is.
fn major(rest: &str) -> u32 {
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        for name in ["initdb", "postgres"] {
            let program = dir.join(name);
            fs::write(&program, "").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn the_highest_major_comes_first_by_number_not_by_letter() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "17"] {
            install(&root.path().join("usr/lib/postgresql").join(version).join("bin"));
        }
        let dirs = system_dirs(root.path());
        let order: Vec<_> = dirs[..3].iter().map(|dir| dir.parent().unwrap().file_name().unwrap()).collect();
        assert_eq!(order, ["17", "15", "9.6"]);
    }

    #[test]
    fn a_named_directory_may_be_the_one_above_bin() {
        let root = tempfile::tempdir().unwrap();
        install(&root.path().join("bin"));
        let found = Binaries::find(&Search::only(root.path())).unwrap();
        assert_eq!(found.dir(), root.path().join("bin"));
    }

    #[test]
    fn a_directory_with_only_one_of_the_programs_is_passed_over() {
        let (half, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        install(half.path());
        install(whole.path());
        fs::remove_file(half.path().join("initdb")).unwrap();
        let path = std::env::join_paths([half.path(), whole.path()]).unwrap();
        let search = Search { path: Some(path), system: SystemDirs::Skip, ..Search::default() };
        assert_eq!(Binaries::find(&search).unwrap().dir(), whole.path());
    }

    #[test]
    fn a_file_that_may_not_be_executed_is_not_a_program() {
        let root = tempfile::tempdir().unwrap();
        install(root.path());
        fs::set_permissions(root.path().join("initdb"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Binaries::find(&Search::only(root.path())).is_err());
    }

    #[test]
    fn nothing_found_names_every_place() {
        let error = Binaries::find(&Search::only("/nonexistent/pg")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/pg, /nonexistent/pg/bin"), "{error}");
    }

    #[test]
    fn majors_are_read_from_the_names_that_packagers_use() {
        assert_eq!(["17", "@16", "9.6", "", "-15"].map(major), [17, 16, 9, 0, 15]);
    }
}
