//! As whom the server runs: as us, or, because PostgreSQL refuses to be root, as somebody else when we are
//! root.
//!
//! Must not know: what is started.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Uid, User};

use super::SandboxError;

/// In this order: the account made for it, then one that exists nearly everywhere. `initdb` looks its user
/// up, so a bare number would not do.
const INSTEAD_OF_ROOT: [&str; 2] = ["postgres", "nobody"];

/// The operating system's user for `initdb` and `postgres`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Account {
    /// The user we are.
    Own,
    /// We are root and lend the server this user and group.
    Lent { uid: u32, gid: u32 },
}

impl Account {
    pub(super) fn choose() -> Result<Self, SandboxError> {
        if !Uid::effective().is_root() {
            return Ok(Self::Own);
        }
        // An account that cannot be looked up is as good as none.
        let user = INSTEAD_OF_ROOT.iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = user.ok_or(SandboxError::NoAccount)?;
        Ok(Self::Lent { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
    }

    /// Makes the account the owner of `path`.
    pub(super) fn own(self, path: &Path) -> Result<(), SandboxError> {
        match self {
            Self::Own => Ok(()),
            Self::Lent { uid, gid } => {
                chown(path, Some(uid), Some(gid)).map_err(SandboxError::io("give the server's user", path))
            }
        }
    }

    /// A command that runs as this account, in `dir`, and that a Ctrl-C meant for us does not reach. It sees
    /// no environment: `PGPORT` or `PGDATESTYLE` of the caller would change the server, and messages have to
    /// be English because we read them.
    pub(super) fn command(self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir).process_group(0);
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").env("PATH", "/usr/bin:/bin");
        if let Self::Lent { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }
}
