//! One main job as a user has it: a config file, the real binary, a simulated API, a real log, a real PostgreSQL.

// Each test binary compiles this file and uses a part of it.
#![allow(dead_code)]

use std::{
    fs::{self, File},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::BigInt};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::postgres::{TestDatabase, wait_for};

/// No step of a test takes longer, on whatever machine.
pub const LIMIT: Duration = Duration::from_secs(180);

/// Where the records of a job rest.
#[derive(Clone, Debug)]
pub enum Brokers {
    Embedded,
    Kafka(String),
}

/// A pipeline's part of the config file.
pub struct PipelineText {
    pub name: String,
    pub url: String,
    pub seed: String,
    pub results: u64,
    pub last: u64,
    pub shards: u64,
    pub table: String,
    pub mode: &'static str,
    /// The table's key, as TOML; empty = none.
    pub key: &'static str,
    /// `batch.rows`: of a batch, and of a transaction of the log.
    pub rows: u64,
    pub schema: String,
    pub sql: String,
    pub extra: String,
}

impl PipelineText {
    /// People of the simulated API, each once, in a table that would show a double.
    pub fn users(name: &str, url: &str, results: u64, last: u64) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            seed: name.to_owned(),
            results,
            last,
            shards: 2,
            table: format!("{}_users", name.replace('-', "_")),
            mode: "append",
            key: "",
            rows: 700,
            schema: "login STRUCT<uuid: STRING>, dob STRUCT<date: TIMESTAMP, age: INT>, email STRING, nat STRING"
                .into(),
            sql: "SELECT login.uuid AS uuid, dob.age AS age, dob.date AS born_at, email, nat FROM records".into(),
            extra: String::new(),
        }
    }

    fn render(&self) -> String {
        let Self {
            name,
            url,
            seed,
            results,
            last,
            shards,
            table,
            mode,
            key,
            rows,
            schema,
            sql,
            extra,
        } = self;
        let key = if key.is_empty() {
            String::new()
        } else {
            format!("key = {key}\n")
        };
        format!(
            r#"
[[pipeline]]
name = "{name}"
schema = "{schema}"
{extra}
[pipeline.source]
kind = "http"
url = "{url}"
records = "$.results[*]"
key = "$.login.uuid"
shards = {shards}
[pipeline.source.query]
results = {results}
seed = "{seed}"
[pipeline.source.paginate]
kind = "page"
param = "page"
first = 1
last = {last}
[pipeline.topic]
partitions = 3
[pipeline.batch]
rows = {rows}
age = "50ms"
[[pipeline.table]]
name = "{table}"
mode = "{mode}"
{key}create = true
sql = "{sql}"
"#
        )
    }
}

/// A folder with a config file, and the database that it names.
pub struct Job {
    pub dir: tempfile::TempDir,
    pub database: TestDatabase,
}

impl Job {
    pub fn new(database: TestDatabase, brokers: &Brokers, pipelines: &[PipelineText]) -> Self {
        let job = Self {
            dir: tempfile::tempdir().unwrap(),
            database,
        };
        job.write_config("config.toml", brokers, pipelines);
        job
    }

    /// Writes a config file with a door of its own; several daemons of one job have one each.
    pub fn write_config(&self, name: &str, brokers: &Brokers, pipelines: &[PipelineText]) -> PathBuf {
        let (brokers, properties) = match brokers {
            Brokers::Embedded => ("embedded".to_owned(), String::new()),
            Brokers::Kafka(address) => (
                address.clone(),
                "[kafka.properties]\n\"session.timeout.ms\" = 3000\n\"heartbeat.interval.ms\" = 500\n".to_owned(),
            ),
        };
        let head = format!(
            "[daemon]\nstate_dir = {:?}\nhttp = \"127.0.0.1:{}\"\nlog_format = \"json\"\n[kafka]\nbrokers = \"{brokers}\"\n\
             {properties}[postgres]\nurl = {:?}\n[supervision]\nbackoff = \"100ms\"\n",
            self.dir.path().join("state"),
            free_port(),
            self.database.url().expose(),
        );
        let text: String = std::iter::once(head)
            .chain(pipelines.iter().map(PipelineText::render))
            .collect();
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self, config: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aqueduct"));
        command
            .args(args)
            .arg("-c")
            .arg(self.dir.path().join(config))
            .stdin(Stdio::null());
        command
    }

    /// Starts the daemon; its log goes to `log`, in the job's folder.
    pub fn start(&self, config: &str, args: &[&str], log: &str) -> Daemon {
        self.start_with(config, args, log, &[])
    }

    /// The same, with variables of the environment.
    pub fn start_with(&self, config: &str, args: &[&str], log: &str, variables: &[(&str, &str)]) -> Daemon {
        let path = self.dir.path().join(log);
        let file = File::options().create(true).append(true).open(&path).unwrap();
        let out = File::create(path.with_extension("out")).unwrap();
        let mut command = self.command(config, args);
        command.envs(variables.iter().copied()).stdout(out).stderr(file);
        let child = command.spawn().unwrap();
        Daemon { child, log: path }
    }

    /// `run --once` to its end; returns what it printed.
    pub fn run_once(&self) -> String {
        let mut daemon = self.start("config.toml", &["run", "--once"], "once.log");
        let status = daemon.wait("the run ends");
        assert!(status.success(), "{status}: {}", daemon.tail());
        fs::read_to_string(self.dir.path().join("once.out")).unwrap()
    }

    pub fn count(&self, sql: &str) -> i64 {
        try_count(self.database.url().expose(), sql).unwrap()
    }

    /// For tests in which the server may be away.
    pub fn try_count(&self, sql: &str) -> Option<i64> {
        try_count(self.database.url().expose(), sql).ok()
    }

    /// A column of texts, sorted.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            text: String,
        }
        let mut connection = PgConnection::establish(self.database.url().expose()).unwrap();
        let rows: Vec<Row> = sql_query(format!("SELECT ({sql}) AS text"))
            .load(&mut connection)
            .unwrap_or_else(|_| {
                sql_query(format!("SELECT x::text AS text FROM ({sql}) AS t(x)"))
                    .load(&mut connection)
                    .unwrap()
            });
        let mut texts: Vec<String> = rows.into_iter().map(|row| row.text).collect();
        texts.sort();
        texts
    }

    /// What `status --json` says.
    pub fn status(&self, config: &str) -> Option<Value> {
        let output = self.command(config, &["status", "--json"]).output().unwrap();
        output
            .status
            .success()
            .then(|| serde_json::from_slice(&output.stdout).unwrap())
    }
}

/// The counts in a printed ledger: fetched, produced, consumed, applied, filtered, dead, skipped, pending.
pub fn ledger_counts(ledger: &str) -> Vec<u64> {
    let mut lines = ledger.lines().skip_while(|line| !line.contains("fetched"));
    let row = lines.find(|line| line.contains(char::is_numeric)).unwrap_or_default();
    row.split(['│', '┆'])
        .filter_map(|cell| cell.trim().replace(',', "").parse().ok())
        .collect()
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn try_count(url: &str, sql: &str) -> Result<i64, Box<dyn std::error::Error>> {
    let mut connection = PgConnection::establish(url)?;
    let row: Count = sql_query(format!("SELECT ({sql})::bigint AS count")).get_result(&mut connection)?;
    Ok(row.count)
}

/// A running daemon; killed when the value goes.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn wait(&mut self, what: &str) -> ExitStatus {
        let mut status = None;
        wait_for(what, LIMIT, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// SIGTERM, and the orderly end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait("the daemon stops in order")
    }

    /// Its whole log, for messages.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of its log, for messages.
    pub fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill9();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
