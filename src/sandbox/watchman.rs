//! Makes sure that a server does not outlive us, even if we are killed with SIGKILL or exit without dropping
//! it.
//!
//! A small shell process reads from a pipe whose other end only we hold. When we are gone, however that
//! happened, the pipe ends, and it stops the server and removes the directories. `PR_SET_PDEATHSIG` would be
//! the other way, but it fires when the *thread* that started the server ends, needs `unsafe` or `setpriv`,
//! exists on Linux only and leaves the directories behind. Statics are never dropped, so this is also what
//! ends the shared server of a test binary.
//!
//! Must not know: what the server is for.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::SandboxError;
use super::home::Home;

const SCRIPT: &str = include_str!("watchman.sh");

/// The process that cleans up after us. Dropping it dismisses it.
#[derive(Debug)]
pub(super) struct Watchman {
    shell: Child,
}

impl Watchman {
    pub(super) fn post(home: &Home) -> Result<Self, SandboxError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "watchman"]).args(home.all());
        // Away from the terminal's Ctrl-C, and without our outputs: whoever reads those to their end would
        // wait for it.
        command.process_group(0).current_dir("/").env_clear().env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let shell = command.spawn().map_err(SandboxError::io("start", Path::new("/bin/sh")))?;
        Ok(Self { shell })
    }

    /// A server with this process id is up.
    pub(super) fn watch(&mut self, pid: u32) {
        self.tell(&pid.to_string());
    }

    /// No server is up; the directories are still to be removed.
    pub(super) fn rest(&mut self) {
        self.tell("none");
    }

    fn tell(&mut self, word: &str) {
        // If it has been killed, there is no second one; we still clean up ourselves on every ordinary way
        // out.
        if let Some(pipe) = &mut self.shell.stdin {
            let _ = writeln!(pipe, "{word}");
        }
    }
}

impl Drop for Watchman {
    fn drop(&mut self) {
        self.tell("dismiss");
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::path::PathBuf;

    use tokio::runtime;
    use tokio::signal::unix::{SignalKind, signal};

    use super::super::account::Account;
    use super::*;

    /// A process in the place of the server, which SIGQUIT ends. Under `nohup make test &` that signal is
    /// ignored, and what is ignored stays so in a child; what is caught has its default there.
    fn stand_in() -> Child {
        let runtime = runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let caught = runtime.block_on(async { signal(SignalKind::quit()) });
        drop(caught.unwrap());
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    /// What a watchman sees of our death is the end of his pipe.
    fn after_our_death(mut watchman: Watchman) {
        drop(watchman.shell.stdin.take());
        watchman.shell.wait().unwrap();
    }

    fn home() -> (Home, PathBuf) {
        let home = Home::create(Path::new("/tmp"), Account::Own).unwrap();
        let dir = home.dir().to_path_buf();
        (home, dir)
    }

    #[test]
    fn our_death_ends_the_server_and_removes_its_directory() {
        let (home, dir) = home();
        let mut server = stand_in();
        let mut watchman = Watchman::post(&home).unwrap();
        watchman.watch(server.id());
        after_our_death(watchman);
        assert_eq!(server.wait().unwrap().signal(), Some(nix::libc::SIGQUIT));
        assert!(!dir.exists());
    }

    #[test]
    fn a_stopped_servers_process_id_is_not_signalled_again() {
        let (home, dir) = home();
        let mut other = stand_in();
        let mut watchman = Watchman::post(&home).unwrap();
        watchman.watch(other.id());
        watchman.rest();
        after_our_death(watchman);
        assert!(other.try_wait().unwrap().is_none() && !dir.exists());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_dismissed_watchman_touches_nothing() {
        let (home, dir) = home();
        drop(Watchman::post(&home).unwrap());
        assert!(dir.exists());
        drop(home);
    }
}
