//! The directories of one server: data, socket and log, made for it and removed with it.
//!
//! Must not know: how the server is started.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SandboxError;
use super::account::Account;
use super::wait;

/// `sun_path` holds 108 bytes on Linux and 104 on macOS, the last one a zero.
const SOCKET_PATH_MAX: usize = 103;
/// The longest name PostgreSQL gives a socket, with its lock file and the separator.
const SOCKET_NAME: &str = "/.s.PGSQL.65535.lock";
/// Backends of a killed server may still be writing while we remove their files.
const REMOVAL_LIMIT: Duration = Duration::from_secs(5);

/// A server's directories. They are removed on drop.
#[derive(Debug)]
pub(super) struct Home {
    dir: PathBuf,
    sockets: PathBuf,
    at_end: AtEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtEnd {
    Remove,
    Leave,
}

impl Home {
    pub(super) fn create(parent: &Path, account: Account) -> Result<Self, SandboxError> {
        let dir = make_dir(parent, account)?;
        // From here on, dropping removes the directory whatever fails.
        let mut home = Self { sockets: dir.clone(), dir, at_end: AtEnd::Remove };
        if !socket_fits(&home.dir) {
            home.sockets = make_dir(Path::new("/tmp"), account)?;
        }
        Ok(home)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(super) fn sockets(&self) -> &Path {
        &self.sockets
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// Everything that has to go in the end.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        let mut dirs = vec![self.dir.clone(), self.sockets.clone()];
        dirs.dedup();
        dirs
    }

    /// From now on, dropping removes nothing.
    pub(super) fn leave(&mut self) {
        self.at_end = AtEnd::Leave;
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.at_end == AtEnd::Leave {
            return;
        }
        for dir in self.all() {
            // There is nobody to tell in a drop; what is left lies in the temporary directory.
            let _ = wait::until(REMOVAL_LIMIT, || Ok::<_, ()>(removed(&dir).then_some(())));
        }
    }
}

fn make_dir(parent: &Path, account: Account) -> Result<PathBuf, SandboxError> {
    let made = tempfile::Builder::new().prefix("pgbackfill-").tempdir_in(parent);
    let made = made.map_err(SandboxError::io("make a directory in", parent))?;
    account.own(made.path())?;
    Ok(made.keep())
}

fn socket_fits(dir: &Path) -> bool {
    dir.as_os_str().len() + SOCKET_NAME.len() <= SOCKET_PATH_MAX
}

fn removed(dir: &Path) -> bool {
    match fs::remove_dir_all(dir) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_home_is_gone() {
        let parent = tempfile::tempdir().unwrap();
        let home = Home::create(parent.path(), Account::Own).unwrap();
        fs::write(home.log(), "something").unwrap();
        drop(home);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_left_home_stays() {
        let parent = tempfile::tempdir().unwrap();
        let mut home = Home::create(parent.path(), Account::Own).unwrap();
        home.leave();
        drop(home);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_too_long_for_a_socket_gets_a_short_one_beside_it() {
        let parent = tempfile::tempdir().unwrap();
        let deep = parent.path().join("x".repeat(100));
        fs::create_dir(&deep).unwrap();
        let home = Home::create(&deep, Account::Own).unwrap();
        let sockets = home.sockets().to_path_buf();
        assert!(socket_fits(&sockets) && !socket_fits(home.dir()));
        drop(home);
        assert!(!sockets.exists());
    }
}
