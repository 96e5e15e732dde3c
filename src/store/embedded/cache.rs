//! Where fetched programs are kept, for all state directories of a user.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use nix::unistd::Uid;

use super::home::Home;

/// Chooses the directory: the first one that is ours alone to write and that the server's user may enter. The server's
/// own directory is the last resort, and always fits.
pub(super) fn dir(home: &Home) -> PathBuf {
    let fits = |dir: &PathBuf| {
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(dir);
        made.is_ok() && is_ours(dir) && is_writable(dir) && home.is_open_to_server(dir)
    };
    candidates()
        .into_iter()
        .find(fits)
        .unwrap_or_else(|| home.base.join("cache"))
}

fn candidates() -> Vec<PathBuf> {
    let absolute = |name: &str| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let mut dirs: Vec<PathBuf> = [
        absolute("AQUEDUCT_CACHE"),
        // systemd's, where the unit declares one.
        absolute("CACHE_DIRECTORY"),
        absolute("XDG_CACHE_HOME").map(|cache| cache.join("aqueduct")),
        absolute("HOME").map(|home| home.join(".cache/aqueduct")),
    ]
    .into_iter()
    .flatten()
    .collect();
    // Root's home is closed to the server's user.
    if Uid::effective().is_root() {
        dirs.push(PathBuf::from("/var/cache/aqueduct"));
    }
    dirs
}

/// Whether nobody else can put programs there that we would run: nobody else owns it or a directory above it, nor may
/// write there, but for places like `/tmp` where everyone keeps to their own.
fn is_ours(dir: &Path) -> bool {
    let Ok(dir) = dir.canonicalize() else { return false };
    let euid = Uid::effective().as_raw();
    dir.ancestors().all(|dir| {
        fs::metadata(dir).is_ok_and(|found| {
            let kept_apart = found.mode() & 0o022 == 0 || found.mode() & 0o1000 != 0;
            [0, euid].contains(&found.uid()) && kept_apart
        })
    })
}

fn is_writable(dir: &Path) -> bool {
    tempfile::tempfile_in(dir).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_that_others_may_write_is_not_trusted() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("cache/aqueduct");
        fs::create_dir_all(&inner).unwrap();
        for dir in [&root.path().join("cache"), &inner] {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert!(is_ours(&inner) && is_writable(&inner));
        fs::set_permissions(root.path().join("cache"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(!is_ours(&inner));
    }
}
