//! PostgreSQL for tests: a fresh database a test, or a server of its own for tests that stop and crash it.
//!
//! Without `AQUEDUCT_TEST_POSTGRES` (a URL of a server on which databases may be made) each test binary starts one server
//! from the system's programs. A shell waits on a pipe for the end of the test process, however it ends, and then stops
//! the server and removes its directory.

// Each test binary compiles this file and uses a part of it.
#![allow(dead_code, missing_docs)]

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use aqueduct::{
    config::settings::Secret,
    store::{self, ConnectInfo, Session, embedded::Server},
};
use diesel::{Connection, PgConnection, connection::SimpleConnection};
use nix::sys::signal::Signal;
use tokio::time::Instant;

/// Tests crash processes, not machines: what the operating system holds is safe.
const SETTINGS: [(&str, &str); 3] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("max_connections", "200"),
];

/// Waits until `condition` holds, at most `limit`; panics with `what` otherwise.
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let (pause, deadline) = (Duration::from_millis(20), Instant::now() + limit);
    // Counted as well: on a held clock there is no deadline.
    for _ in 0..limit.as_millis() / pause.as_millis() {
        if condition() {
            return;
        }
        if Instant::now() >= deadline {
            break;
        }
        std::thread::park_timeout(pause);
    }
    panic!("waited {limit:?} in vain until {what}");
}

/// A logger that says nothing.
pub fn silent() -> slog::Logger {
    slog::Logger::root(slog::Discard, slog::o!())
}

/// A directory that other users may pass through: as root the server runs as somebody else.
pub fn open_dir() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("aqueduct-test-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .expect("a temporary directory")
}

/// A server of the test's own.
pub struct TestPostgres {
    server: Server,
    dir: PathBuf,
    guard: Child,
}

impl TestPostgres {
    /// Starts a server that this test may stop and crash.
    pub fn private() -> Self {
        Self::private_with(&[])
    }

    /// The same, with server settings of its own.
    pub fn private_with(settings: &[(&str, &str)]) -> Self {
        let dir = open_dir().keep();
        let guard = guard(&dir);
        let settings: Vec<_> = SETTINGS.iter().chain(settings).copied().collect();
        let server = Server::start(&dir, &silent(), &settings).expect("a PostgreSQL server");
        Self { server, dir, guard }
    }

    /// A server of the test's own that follows `primary`. Both need `wal_level = replica` and some `max_wal_senders`.
    pub fn standby_of(primary: &Self, settings: &[(&str, &str)]) -> Self {
        let dir = open_dir().keep();
        let guard = guard(&dir);
        let (owner, base) = (
            fs::metadata(primary.base_dir()).expect("the primary's directory"),
            dir.join("postgres"),
        );
        fs::DirBuilder::new().mode(0o700).create(&base).expect("a directory");
        chown(&base, Some(owner.uid()), Some(owner.gid())).expect("the server's directory");
        let postgres = fs::read_link(format!("/proc/{}/exe", primary.pid())).expect("the server's program");
        let mut backup = Command::new(postgres.with_file_name("pg_basebackup"));
        if owner.uid() != nix::unistd::Uid::effective().as_raw() {
            backup.uid(owner.uid()).gid(owner.gid());
        }
        let status = backup
            .current_dir(&base)
            .args([
                "--dbname",
                primary.url().expose(),
                "--checkpoint=fast",
                "--wal-method=stream",
            ])
            .args(["--write-recovery-conf", "--no-sync", "--pgdata"])
            .arg(base.join("data"))
            .status();
        assert!(status.expect("pg_basebackup").success());
        let settings: Vec<_> = SETTINGS.iter().chain(settings).copied().collect();
        let server = Server::start(&dir, &silent(), &settings).expect("a standby");
        Self { server, dir, guard }
    }

    /// Everything of the server: `data`, `log`.
    pub fn base_dir(&self) -> &Path {
        self.server.base_dir()
    }

    /// The database of this name that came from another server by replication. Nobody has to drop it.
    pub fn copy_of(&self, database: &TestDatabase) -> TestDatabase {
        TestDatabase {
            name: database.name.clone(),
            url: Secret::new(with_database(self.url().expose(), &database.name)),
            admin_url: self.url().expose().to_owned(),
        }
    }

    /// The address of its database `aqueduct`; stays the same over restarts.
    pub fn url(&self) -> Secret {
        self.server.url()
    }

    pub fn info(&self) -> ConnectInfo {
        ConnectInfo::new(self.url(), true)
    }

    /// A database of its own on this server.
    pub fn database(&self) -> TestDatabase {
        TestDatabase::on(self.url().expose())
    }

    pub fn pid(&self) -> i32 {
        self.server.pid()
    }

    /// Stops it in order.
    pub fn stop(&mut self) {
        self.server.stop().expect("the server stops");
    }

    /// Starts it again.
    pub fn start(&mut self) {
        self.server.run().expect("the server starts again");
    }

    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Ends it as a crash would (`pg_ctl stop -m immediate`); the next start recovers.
    pub fn crash(&mut self) {
        self.server.crash(Signal::SIGQUIT);
    }

    /// Kills the postmaster: its sessions end by themselves soon after.
    pub fn kill(&mut self) {
        self.server.crash(Signal::SIGKILL);
    }
}

impl Drop for TestPostgres {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// A database of the test's own, dropped at its end.
pub struct TestDatabase {
    pub name: String,
    url: Secret,
    admin_url: String,
}

static NUM_DATABASES: AtomicU32 = AtomicU32::new(0);

impl TestDatabase {
    /// A database with aqueduct's tables.
    pub fn new() -> Self {
        let database = Self::empty();
        store::migrate(&database.info(), None).expect("migrations run");
        database
    }

    /// A database with nothing in it.
    pub fn empty() -> Self {
        Self::on(shared_server())
    }

    fn on(admin_url: &str) -> Self {
        let number = NUM_DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("aqueduct_test_{}_{number}", std::process::id());
        execute(
            admin_url,
            &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"),
        );
        let url = Secret::new(with_database(admin_url, &name));
        Self {
            name,
            url,
            admin_url: admin_url.to_owned(),
        }
    }

    pub fn url(&self) -> Secret {
        self.url.clone()
    }

    pub fn info(&self) -> ConnectInfo {
        ConnectInfo::new(self.url(), true)
    }

    /// A session as aqueduct's actors have it.
    pub fn session(&self, actor: &str) -> Session {
        Session::connect(&self.info(), actor).expect("a session")
    }

    /// A bare connection, for looking on from outside.
    pub fn connection(&self) -> PgConnection {
        PgConnection::establish(self.url.expose()).expect("a connection")
    }

    /// Runs SQL over a connection of its own.
    pub fn execute(&self, sql: &str) {
        execute(self.url.expose(), sql);
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // The server may have been stopped by the test.
        if let Ok(mut admin) = PgConnection::establish(&self.admin_url) {
            // Nor may it wait for a standby that a test has invented.
            let _ = admin.batch_execute("SET synchronous_commit = off");
            let _ = admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::establish(url).expect("a connection");
    connection.batch_execute(sql).expect(sql);
}

/// One server for the whole test binary.
fn shared_server() -> &'static str {
    static SERVER: OnceLock<(String, Option<Child>)> = OnceLock::new();
    let (url, _) = SERVER.get_or_init(|| {
        if let Ok(url) = std::env::var("AQUEDUCT_TEST_POSTGRES") {
            return (url, None);
        }
        let dir = open_dir().keep();
        let guard = guard(&dir);
        let server = Server::start(&dir, &silent(), &SETTINGS).expect("a PostgreSQL server");
        (server.url().expose().to_owned(), Some(guard))
    });
    url
}

/// Ends the server of `dir` and removes it when this process, or the returned handle's pipe, is no more.
fn guard(dir: &Path) -> Child {
    let script = r#"read -r _; kill -QUIT "$(head -n 1 "$0/postgres/data/postmaster.pid")"; n=0
        while [ -e "$0/postgres/data/postmaster.pid" ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done; rm -rf "$0""#;
    Command::new("sh")
        .args(["-c", script])
        .arg(dir)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh")
}

fn with_database(url: &str, name: &str) -> String {
    let (path, query) = url
        .split_once('?')
        .map_or((url, None), |(path, query)| (path, Some(query)));
    let (scheme, rest) = path.split_once("://").expect("a URL");
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{authority}/{name}{query}")
}
