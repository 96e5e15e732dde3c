//! Where the embedded server lives, and as whom.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::{Gid, Uid, User, chown};
use sha2::{Digest, Sha256};

use super::EmbeddedError;

/// A socket's address holds 107 bytes; this leaves room for `/.s.PGSQL.5432` and its lock file.
const LONGEST_SOCKET_DIR: usize = 85;

/// Where root keeps a server whose user cannot get to the state directory (`/root` is closed to others).
const SHARED_STATE: &str = "/var/lib/aqueduct";

/// The directories of one embedded server, and the user that it runs as.
#[derive(Clone, Debug)]
pub struct Home {
    /// Holds everything else.
    pub base: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    /// The server's own log files.
    pub log: PathBuf,
    /// Holds the unix socket.
    pub socket: PathBuf,
    /// Whom root has to become; `None` = as we are.
    run_as: Option<(Uid, Gid)>,
}

impl Home {
    /// Chooses and makes the directories for the server of `state_dir`; the same ones each time.
    pub fn prepare(state_dir: &Path) -> Result<Self, EmbeddedError> {
        let state_dir = within(state_dir, || {
            fs::create_dir_all(state_dir)?;
            state_dir.canonicalize()
        })?;
        let run_as = if Uid::effective().is_root() {
            Some(somebody(&state_dir)?)
        } else {
            None
        };
        let digest: String = Sha256::digest(state_dir.as_os_str().as_encoded_bytes())[..6]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let base = match run_as {
            Some((uid, gid)) if !can_reach(&state_dir, uid, gid) => {
                within(Path::new(SHARED_STATE), || fs::create_dir_all(SHARED_STATE))?;
                Path::new(SHARED_STATE).join(format!("postgres-{digest}"))
            }
            _ => state_dir.join("postgres"),
        };
        let mut socket = base.join("run");
        if socket.as_os_str().len() > LONGEST_SOCKET_DIR {
            socket = PathBuf::from(format!("/tmp/aqueduct-{digest}"));
        }
        let home = Self {
            data: base.join("data"),
            log: base.join("log"),
            base,
            socket,
            run_as,
        };
        for dir in [&home.base, &home.log, &home.socket] {
            home.make_private(dir)?;
        }
        Ok(home)
    }

    /// Makes a directory that only the server's user can enter, or checks that it is one.
    fn make_private(&self, dir: &Path) -> Result<(), EmbeddedError> {
        let made = within(dir, || match fs::DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        })?;
        if let (true, Some((uid, gid))) = (made, self.run_as) {
            within(dir, || Ok(chown(dir, Some(uid), Some(gid))?))?;
        }
        // In /tmp somebody else may have been there first, with a link to wherever they like.
        let found = within(dir, || fs::symlink_metadata(dir))?;
        let owner = self.run_as.map_or_else(Uid::effective, |(uid, _)| uid);
        if found.is_dir() && found.uid() == owner.as_raw() {
            Ok(())
        } else {
            Err(EmbeddedError::NotOurs { path: dir.to_owned() })
        }
    }

    /// Whether the server's user may get into a directory.
    pub fn is_open_to_server(&self, dir: &Path) -> bool {
        self.run_as.is_none_or(|(uid, gid)| can_reach(dir, uid, gid))
    }

    /// The major version that the data directory remembers; `None` = there are no data yet.
    pub fn major(&self) -> Option<u32> {
        fs::read_to_string(self.data.join("PG_VERSION"))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// A command that runs as the server's user, within the base directory, untouched by the caller's `PG…` variables.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.base).env("LC_ALL", "C");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
            command.env_remove(name);
        }
        if let Some((uid, gid)) = self.run_as {
            use std::os::unix::process::CommandExt;
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }

    /// Removes everything that the server has ever written. It must have been stopped.
    pub fn erase(&self) -> Result<(), EmbeddedError> {
        for dir in [&self.base, &self.socket] {
            within(dir, || match fs::remove_dir_all(dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            })?;
        }
        // Fails, as it should, while there is another server in it.
        let _ = self
            .base
            .starts_with(SHARED_STATE)
            .then(|| fs::remove_dir(SHARED_STATE));
        Ok(())
    }
}

pub(super) fn within<T>(path: &Path, work: impl FnOnce() -> io::Result<T>) -> Result<T, EmbeddedError> {
    work().map_err(|source| EmbeddedError::Prepare {
        path: path.to_owned(),
        source,
    })
}

/// Whom root becomes: the state directory's owner, else `postgres`, else `nobody`. `initdb` wants a user with a name.
fn somebody(state_dir: &Path) -> Result<(Uid, Gid), EmbeddedError> {
    let owner = within(state_dir, || fs::metadata(state_dir))?.uid();
    let owner = User::from_uid(Uid::from_raw(owner))
        .ok()
        .flatten()
        .filter(|user| !user.uid.is_root());
    let named = |name| User::from_name(name).ok().flatten();
    let user = owner
        .or_else(|| named("postgres"))
        .or_else(|| named("nobody"))
        .ok_or(EmbeddedError::NoUser)?;
    Ok((user.uid, user.gid))
}

/// Whether a user may pass through a directory and all those above it.
fn can_reach(dir: &Path, uid: Uid, gid: Gid) -> bool {
    dir.ancestors().all(|dir| {
        fs::metadata(dir).is_ok_and(|found| {
            let pass = match () {
                () if found.uid() == uid.as_raw() => 0o100,
                () if found.gid() == gid.as_raw() => 0o010,
                () => 0o001,
            };
            found.mode() & pass != 0
        })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_closed_directory_anywhere_above_is_found() {
        let root = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let inner = root.path().join("closed/inner");
        fs::create_dir_all(&inner).unwrap();
        let (uid, gid) = (Uid::from_raw(4_000_000), Gid::from_raw(4_000_000));
        assert!(can_reach(&inner, uid, gid));
        fs::set_permissions(root.path().join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!can_reach(&inner, uid, gid));
        let ours = fs::metadata(&inner).unwrap();
        assert!(can_reach(&inner, Uid::from_raw(ours.uid()), gid));
    }

    #[test]
    fn a_long_state_directory_gets_a_short_socket() {
        let root = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let home = Home::prepare(&root.path().join("x".repeat(90))).unwrap();
        assert!(home.socket.starts_with("/tmp"));
        assert_eq!(
            home.socket,
            Home::prepare(&root.path().join("x".repeat(90))).unwrap().socket
        );
        home.erase().unwrap();
        assert!(!home.socket.exists() && !home.base.exists());
    }
}
