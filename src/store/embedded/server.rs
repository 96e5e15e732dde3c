//! Starts, finds again and stops one PostgreSQL server.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_types::Text};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use slog::{Logger, info, warn};

use super::{
    Binaries, EmbeddedError,
    home::{Home, within},
};
use crate::config::settings::{PostgresPrograms, Secret};

/// How long a server may take to answer: recovery after a crash included.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long an orderly stop may take, then how long a disorderly one.
const STOP_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Not `aqueduct`: its `"$user"` in the search path would put the user's tables into aqueduct's own schema.
const USER: &str = "postgres";
const DATABASE: &str = "aqueduct";

/// Small, and as safe as any server: what is committed survives the loss of power.
const SETTINGS: [(&str, &str); 15] = [
    ("listen_addresses", ""),
    ("port", "5432"),
    ("unix_socket_permissions", "0700"),
    ("cluster_name", "aqueduct"),
    ("max_connections", "64"),
    ("shared_buffers", "64MB"),
    ("maintenance_work_mem", "32MB"),
    ("max_wal_size", "512MB"),
    // Nobody replicates it, and a table that is filled in the transaction that made it needs no log.
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    // A log file a weekday, written over a week later.
    ("logging_collector", "on"),
    ("log_filename", "server-%a.log"),
    ("log_rotation_age", "1d"),
    ("log_rotation_size", "0"),
    ("log_truncate_on_rotation", "on"),
];

/// A running server on a unix socket in a private directory.
///
/// It does not end with this process: whoever starts it on the same directory again takes it over.
pub struct Server {
    home: Home,
    binaries: Binaries,
    settings: Vec<(String, String)>,
    pid: i32,
    /// `None`: it was running already, or it has been stopped.
    child: Option<Child>,
    log: Logger,
}

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    value: String,
}

impl Server {
    /// Starts the server of `state_dir`, with an empty database at the first time; `settings` come on top of ours. A server
    /// that still runs there, left by an earlier life, is taken over as it is. Blocks until it answers, at most 2 minutes.
    pub fn start(state_dir: &Path, log: &Logger, settings: &[(&str, &str)]) -> Result<Self, EmbeddedError> {
        Self::start_with(state_dir, &PostgresPrograms::default(), log, settings)
    }

    /// The same, with the programs that the configuration asks for.
    pub fn start_with(
        state_dir: &Path,
        programs: &PostgresPrograms,
        log: &Logger,
        settings: &[(&str, &str)],
    ) -> Result<Self, EmbeddedError> {
        let home = Home::prepare(state_dir)?;
        let binaries = Binaries::choose(programs, &home, log)?;
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut server = Self {
            home,
            binaries,
            settings,
            pid: 0,
            child: None,
            log: log.clone(),
        };
        server.init()?;
        server.run()?;
        Ok(server)
    }

    /// The address of its database, on the unix socket.
    pub fn url(&self) -> Secret {
        Secret::new(self.url_of(DATABASE))
    }

    fn url_of(&self, database: &str) -> String {
        url_at(&self.home, database)
    }

    /// The address of the server that runs in `state_dir`, if there is one. It is neither started nor taken over.
    pub fn running_in(state_dir: &Path) -> Option<Secret> {
        let home = state_dir.is_dir().then(|| Home::prepare(state_dir).ok()).flatten()?;
        let lock_file = fs::read_to_string(home.data.join("postmaster.pid")).ok()?;
        let pid: i32 = lock_file.lines().next()?.trim().parse().ok()?;
        (pid > 0 && is_alive(pid) && is_postgres(pid)).then(|| Secret::new(url_at(&home, DATABASE)))
    }

    /// What a person types to look into it.
    pub fn psql_line(&self) -> String {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let in_path = std::env::split_paths(&path).any(|dir| dir.join("psql").is_file());
        let beside = self.binaries.dir.join("psql");
        // The archives of the Maven repository hold the server alone.
        let psql = if in_path || !beside.is_file() {
            String::from("psql")
        } else {
            shell_word(&beside)
        };
        format!("{psql} -h {} -U {USER} {DATABASE}", shell_word(&self.home.socket))
    }

    /// The directory that holds everything of it.
    pub fn base_dir(&self) -> &Path {
        &self.home.base
    }

    /// The process id of the server.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether its process is there.
    pub fn is_running(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => self.pid > 0 && is_alive(self.pid),
        }
    }

    /// Makes the data directory, whole or not at all.
    fn init(&self) -> Result<(), EmbeddedError> {
        let Home { base, data, .. } = &self.home;
        if data.join("PG_VERSION").is_file() {
            return Ok(());
        }
        let unfinished = base.join("data.new");
        within(&unfinished, || {
            if unfinished.exists() {
                fs::remove_dir_all(&unfinished)
            } else {
                Ok(())
            }
        })?;
        let program = self.binaries.dir.join("initdb");
        // The C locale is on every machine and sorts fastest; the private socket directory is the door's lock.
        let mut initdb = self.home.command(&program);
        initdb
            .args([
                "--encoding=UTF8",
                "--locale=C",
                "--auth=trust",
                "--username",
                USER,
                "--pgdata",
            ])
            .arg(&unfinished);
        let output = initdb
            .stdin(Stdio::null())
            .output()
            .map_err(|source| EmbeddedError::Run { program, source })?;
        if !output.status.success() {
            return Err(EmbeddedError::InitDb {
                said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        within(data, || {
            fs::rename(&unfinished, data)?;
            File::open(base)?.sync_all()
        })
    }

    /// Starts the server, or takes over the one that runs, and waits until it answers.
    pub fn run(&mut self) -> Result<(), EmbeddedError> {
        let mut last_refusal = String::new();
        for _ in 0..pauses(START_LIMIT) {
            if self
                .child
                .as_mut()
                .is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
            {
                self.child = None;
                let said = self.last_words();
                // The last processes of a server that was killed still hold its memory: wait for them.
                if !said.contains("pre-existing shared memory") && !said.contains("lock file") {
                    return Err(EmbeddedError::Start { said });
                }
            }
            if self.child.is_none() && self.running_postmaster().is_none() {
                self.remove_stale_lock()?;
                self.child = Some(self.spawn()?);
            }
            match self.greet() {
                Ok(()) => {
                    self.pid = self.running_postmaster().unwrap_or_default();
                    let taken_over = self.child.is_none();
                    info!(self.log, "embedded PostgreSQL answers"; "version" => self.binaries.major, "server_pid" => self.pid,
                        "taken_over" => taken_over, "dir" => %self.home.base.display());
                    return Ok(());
                }
                Err(refusal) => last_refusal = refusal,
            }
            pause();
        }
        Err(EmbeddedError::NoAnswer {
            waited_s: START_LIMIT.as_secs(),
            said: last_refusal,
        })
    }

    fn spawn(&self) -> Result<Child, EmbeddedError> {
        let output_path = self.home.log.join("start.log");
        let output = within(&output_path, || File::create(&output_path))?;
        let errors = within(&output_path, || output.try_clone())?;
        let program = self.binaries.dir.join("postgres");
        let mut postgres = self.home.command(&program);
        postgres.arg("-D").arg(&self.home.data);
        let setting = |name: &str, value: &str| format!("{name}={value}");
        postgres
            .arg("-c")
            .arg(setting("unix_socket_directories", &self.home.socket.to_string_lossy()));
        postgres
            .arg("-c")
            .arg(setting("log_directory", &self.home.log.to_string_lossy()));
        for (name, value) in SETTINGS {
            postgres.arg("-c").arg(setting(name, value));
        }
        for (name, value) in &self.settings {
            postgres.arg("-c").arg(setting(name, value));
        }
        // A group of its own: Ctrl-C in the terminal is for the daemon, which still needs its server to drain.
        postgres
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        postgres
            .spawn()
            .map_err(|source| EmbeddedError::Run { program, source })
    }

    /// Connects, makes sure that it is the server of our data directory, and that the database is there.
    fn greet(&self) -> Result<(), String> {
        let url = format!(
            "{}&connect_timeout=2&application_name=aqueduct%20greet",
            self.url_of("postgres")
        );
        let mut connection = PgConnection::establish(&url).map_err(|error| error.to_string().trim().to_owned())?;
        let said = |error: diesel::result::Error| error.to_string();
        let served: Setting = diesel::sql_query("SELECT current_setting('data_directory') AS value")
            .get_result(&mut connection)
            .map_err(said)?;
        if Path::new(&served.value) != self.home.data {
            return Err(format!("it serves {}, not {}", served.value, self.home.data.display()));
        }
        let databases: Vec<Setting> = diesel::sql_query("SELECT datname::text AS value FROM pg_database")
            .load(&mut connection)
            .map_err(said)?;
        if databases.iter().all(|database| database.value != DATABASE) {
            connection
                .batch_execute(&format!("CREATE DATABASE {DATABASE}"))
                .map_err(said)?;
        }
        Ok(())
    }

    /// The process that the data directory's lock file names, if it is a living PostgreSQL.
    fn running_postmaster(&self) -> Option<i32> {
        let pid = self.locked_by()?;
        (is_alive(pid) && is_postgres(pid)).then_some(pid)
    }

    fn locked_by(&self) -> Option<i32> {
        let lock_file = fs::read_to_string(self.lock_file()).ok()?;
        lock_file.lines().next()?.trim().parse().ok().filter(|pid| *pid > 0)
    }

    fn lock_file(&self) -> PathBuf {
        self.home.data.join("postmaster.pid")
    }

    /// After a power failure another program may have the number in the lock file; PostgreSQL itself cannot tell, and
    /// would not start until somebody removes the file.
    fn remove_stale_lock(&self) -> Result<(), EmbeddedError> {
        let stale = self.locked_by().is_some_and(|pid| is_alive(pid) && !is_postgres(pid));
        if stale {
            within(&self.lock_file(), || fs::remove_file(self.lock_file()))
        } else {
            Ok(())
        }
    }

    fn last_words(&self) -> String {
        let said = fs::read_to_string(self.home.log.join("start.log")).unwrap_or_default();
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(5)..].join("; ")
    }

    /// Stops it: sessions are ended, everything is on disk. A server that does not is ended the hard way, which loses
    /// nothing that was committed. Blocks, at most a minute.
    pub fn stop(&mut self) -> Result<(), EmbeddedError> {
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            if !self.is_running() {
                break;
            }
            self.send(signal);
            if self.wait_until_gone() {
                break;
            }
            warn!(self.log, "embedded PostgreSQL does not stop"; "server_pid" => self.pid, "signal" => signal.as_str());
        }
        if self.is_running() {
            return Err(EmbeddedError::Stop { pid: self.pid });
        }
        self.child = None;
        self.pid = 0;
        Ok(())
    }

    /// Ends it as a crash would: `SIGQUIT` (recovery at the next start) or `SIGKILL`.
    pub fn crash(&mut self, signal: Signal) {
        self.send(signal);
        if self.wait_until_gone() {
            self.child = None;
            self.pid = 0;
        }
    }

    fn send(&self, signal: Signal) {
        if self.pid > 0 {
            // Gone in the meantime is as good.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    fn wait_until_gone(&mut self) -> bool {
        (0..pauses(STOP_LIMIT)).any(|_| {
            let gone = !self.is_running();
            if !gone {
                pause();
            }
            gone
        })
    }

    /// Removes everything that it has ever written. Stop it first.
    pub fn erase(&self) -> Result<(), EmbeddedError> {
        self.home.erase()
    }
}

fn url_at(home: &Home, database: &str) -> String {
    let socket: String = url::form_urlencoded::byte_serialize(home.socket.as_os_str().as_encoded_bytes()).collect();
    format!(
        "postgres:///{database}?host={}&port=5432&user={USER}",
        socket.replace('+', "%20")
    )
}

fn is_alive(pid: i32) -> bool {
    // Where nobody reaps orphans (a container without an init) the dead stay listed, as `Z`.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_zombie = stat
        .rsplit_once(')')
        .is_some_and(|(_, fields)| fields.trim_start().starts_with('Z'));
    !is_zombie && !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

/// Where there is no `/proc` to ask, a living process is taken for what the lock file says it is.
fn is_postgres(pid: i32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => ["postgres", "postmaster"].contains(&name.trim()),
        Err(_) => true,
    }
}

fn pauses(limit: Duration) -> u128 {
    limit.as_millis() / PAUSE.as_millis()
}

/// Not `thread::sleep`, which is banned: this never runs on an arbiter.
fn pause() {
    std::thread::park_timeout(PAUSE);
}

fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
