//! Finds the system's own PostgreSQL server, or has one fetched.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use slog::Logger;

use super::{EmbeddedError, archive, home::Home};
use crate::config::settings::{PostgresPrograms, ProgramOrigin};

/// The oldest version that has all that is used.
const OLDEST: u32 = 13;

/// A PostgreSQL server's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// Holds `postgres`, `initdb` and, as a rule, `psql`.
    pub dir: PathBuf,
    /// The major version.
    pub major: u32,
}

impl Binaries {
    /// Finds the programs that the configuration asks for, and that fit the data that are there.
    pub(super) fn choose(programs: &PostgresPrograms, home: &Home, log: &Logger) -> Result<Self, EmbeddedError> {
        let data = home.major();
        let other = |data: u32, there: String| EmbeddedError::OtherMajor {
            dir: home.data.clone(),
            data,
            there,
        };
        let fits = |found: Self, is_named: &str| match data {
            Some(data) if found.major != data => Err(other(
                data,
                format!("the server {is_named} is PostgreSQL {}", found.major),
            )),
            _ => Ok(found),
        };
        let fetched = || match data {
            // Said before anything is fetched.
            Some(data) if data != archive::MAJOR => Err(other(
                data,
                format!(
                    "this machine has no server of that version, and the one that can be fetched is PostgreSQL {}",
                    archive::MAJOR
                ),
            )),
            _ => archive::fetched(programs.mirror.as_ref(), home, log),
        };
        match &programs.origin {
            ProgramOrigin::Directory(dir) => {
                let found = Self::at(dir.clone()).ok_or_else(|| EmbeddedError::NotAServer { dir: dir.clone() })?;
                fits(found, "that postgres.binaries names")
            }
            ProgramOrigin::System => Self::find(data),
            ProgramOrigin::Download => fetched(),
            ProgramOrigin::Auto => Self::find(data).or_else(|_| fetched()),
        }
    }

    /// Finds the newest server on this machine, or, for a data directory that is there already, the one of its version.
    pub fn find(major: Option<u32>) -> Result<Self, EmbeddedError> {
        let fits = |found: &Self| major.map_or(found.major >= OLDEST, |major| found.major == major);
        let newest = candidates()
            .into_iter()
            .filter_map(Self::at)
            .filter(fits)
            .max_by_key(|found| found.major);
        newest.ok_or_else(|| EmbeddedError::NoBinaries {
            wanted: major.map_or_else(|| format!("{OLDEST} or later"), |major| major.to_string()),
        })
    }

    pub(super) fn at(dir: PathBuf) -> Option<Self> {
        let is_program = |name: &str| dir.join(name).is_file();
        if !is_program("postgres") || !is_program("initdb") {
            return None;
        }
        let major = major_version(&output(&dir.join("postgres"), "--version")?)?;
        Some(Self { dir, major })
    }
}

/// Directories that may hold a server, PATH first.
fn candidates() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .collect();
    dirs.extend(output(Path::new("pg_config"), "--bindir").map(|dir| PathBuf::from(dir.trim())));
    // Debian; Red Hat; SUSE; builds from source; Homebrew on both kinds of Mac.
    for (parent, prefix, bin) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/lib", "postgresql", "bin"),
        ("/usr/local", "pgsql", "bin"),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
    ] {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        dirs.extend(named.map(|entry| entry.path().join(bin)));
    }
    dirs
}

fn output(program: &Path, argument: impl AsRef<OsStr>) -> Option<String> {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `postgres (PostgreSQL) 15.18 (Debian …)`, `postgres (PostgreSQL) 19beta1`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL)")?.1.trim_start();
    let digits = version
        .find(|c: char| !c.is_ascii_digit())
        .map_or(version, |end| &version[..end]);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_servers_print_them() {
        assert_eq!(
            major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_version("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_version("postgres (PostgreSQL) 18\n"), Some(18));
        assert_eq!(major_version("something else"), None);
    }

    #[test]
    fn a_version_that_is_not_there_is_named_with_the_remedy() {
        let error = Binaries::find(Some(7)).unwrap_err().to_string();
        assert!(
            error.contains("PostgreSQL 7 server") && error.contains("apt-get install postgresql"),
            "{error}"
        );
    }
}
