//! What can go wrong with a throwaway server, each with what the reader can do about it.
//!
//! Must not know: how a server is started.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why there is no throwaway server.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// PostgreSQL has to be installed, or its directory named.
    #[error(
        "no PostgreSQL server programs (initdb and postgres) in {}\n\
         hint: install a PostgreSQL server: postgresql on Debian and Ubuntu, postgresql-server on Fedora, \
         `brew install postgresql@17` on macOS",
        list(.searched)
    )]
    NotInstalled {
        /// Every directory that was looked into.
        searched: Vec<PathBuf>,
    },
    /// The process is root, and PostgreSQL does not run as root.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody\n\
         hint: run as an ordinary user"
    )]
    NoAccount,
    /// The operating system refused something.
    #[error("cannot {act} {}", .path.display())]
    Io {
        /// What was tried: `create`, `start`, ….
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// `initdb` gave up.
    #[error("initdb ended with {status}:\n{output}")]
    Initdb {
        /// How it ended.
        status: ExitStatus,
        /// What it said, on both streams.
        output: String,
    },
    /// The server ended before it was ready, or was not ready in time.
    #[error("the server {what}; the end of its log:\n{log}")]
    NotReady {
        /// `ended with exit status: 1`, or `was not ready after 30s`.
        what: String,
        /// The last lines of its log since this start.
        log: String,
    },
    /// The server was told to stop and did not.
    #[error("the server (process {pid}) did not stop within {seconds} s\nhint: kill -9 {pid}")]
    DidNotStop {
        /// The postmaster.
        pid: u32,
        /// How long we waited.
        seconds: u64,
    },
    /// A stopped server has no process to signal.
    #[error("the server is not running")]
    NotRunning,
}

impl SandboxError {
    /// For `map_err`: an operation on `path` failed.
    pub(super) fn io(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { act, path, source }
    }

    /// Somebody else took the port between our look and the server's bind.
    pub(super) fn port_taken(&self) -> bool {
        self.log_has(&["Address already in use", "could not create any TCP/IP sockets"])
    }

    /// The backends of a killed postmaster still hold its memory or its lock file; they will be gone in a
    /// moment.
    pub(super) fn remains_of_the_last(&self) -> bool {
        self.log_has(&["is still in use", "postmaster.pid\" already exists"])
    }

    fn log_has(&self, words: &[&str]) -> bool {
        matches!(self, Self::NotReady { log, .. } if words.iter().any(|word| log.contains(word)))
    }
}

fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_ready(log: &str) -> SandboxError {
        SandboxError::NotReady { what: "ended with exit status: 1".into(), log: log.into() }
    }

    #[test]
    fn a_taken_port_is_told_from_a_bad_setting() {
        assert!(
            not_ready("LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use").port_taken()
        );
        assert!(!not_ready("FATAL:  unrecognized configuration parameter \"nonsense\"").port_taken());
    }

    #[test]
    fn memory_of_a_killed_server_is_worth_waiting_for() {
        let log = "FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use";
        assert!(not_ready(log).remains_of_the_last());
        assert!(!not_ready("PANIC:  could not locate a valid checkpoint record").remains_of_the_last());
    }

    #[test]
    fn missing_programs_are_reported_with_every_place_and_a_hint() {
        let searched = vec![PathBuf::from("/a/bin"), PathBuf::from("/b")];
        let text = SandboxError::NotInstalled { searched }.to_string();
        assert!(text.contains("/a/bin, /b"), "{text}");
        assert!(text.contains("\nhint: install"), "{text}");
    }
}
