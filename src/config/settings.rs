//! What the configuration means: typed, complete, checked. Everything below the config room works with these.

mod http;
mod paginate;

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

pub use http::{Auth, Body, Credential, Method, Place};
pub use paginate::{Paginate, Stop};

/// The whole daemon.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[daemon]`
    pub daemon: Daemon,
    /// `[kafka]`
    pub kafka: Kafka,
    /// `[postgres]`
    pub postgres: Postgres,
    /// `[supervision]`
    pub supervision: Supervision,
    /// `[[pipeline]]`, in the file's order.
    pub pipelines: Vec<Arc<Pipeline>>,
}

/// `[daemon]`
#[derive(Clone, Debug)]
pub struct Daemon {
    /// Holds the embedded log, the embedded PostgreSQL and the daemon's lock.
    pub state_dir: PathBuf,
    /// Dashboard, health, metrics and the CLI's door; `None` = no door (`http = ""`).
    pub http: Option<SocketAddr>,
    /// The least severe level that is logged.
    pub log_level: LogLevel,
    /// How log lines look.
    pub log_format: LogFormat,
    /// How often the log and PostgreSQL are asked whether they answer.
    pub probe_every: Duration,
}

/// `daemon.log_level`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LogLevel {
    Error,
    Warning,
    Info,
    Debug,
    Trace,
}

/// `daemon.log_format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Terminal,
    /// One JSON object a line.
    Json,
    /// systemd's journal, with fields.
    Journald,
}

/// A text that never prints: `Debug` shows `***`, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself. Call it where it goes on the wire, nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `[kafka]`
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Where the log is.
    pub brokers: Brokers,
    /// `[kafka.properties]`, passed to librdkafka as they are. Values may be passwords.
    pub properties: Vec<(String, Secret)>,
}

/// `kafka.brokers`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// One redb file in `state_dir`.
    Embedded,
    /// `host:port,…`
    Hosts(String),
}

/// `[postgres]`
#[derive(Clone, Debug)]
pub struct Postgres {
    /// Where the store is.
    pub url: PostgresUrl,
    /// Whether `run` applies aqueduct's own and the user's migrations.
    pub migrate: bool,
    /// The user's own migrations, in diesel's layout.
    pub migrations: Option<PathBuf>,
    /// `synchronous_commit` of the load sessions. Off loses nothing: the log has the records, and the offsets go with the rows.
    pub synchronous_commit: bool,
    /// Whose programs the embedded server is made of.
    pub programs: PostgresPrograms,
}

/// `postgres.binaries` and `postgres.mirror`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostgresPrograms {
    /// Where they come from.
    pub origin: ProgramOrigin,
    /// A Maven repository to fetch them from; `None` = the public one.
    pub mirror: Option<url::Url>,
}

/// `postgres.binaries`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProgramOrigin {
    /// The system's, or, where there are none, those of the Maven repository.
    #[default]
    Auto,
    /// The system's.
    System,
    /// Those of the Maven repository.
    Download,
    /// Those in this directory.
    Directory(PathBuf),
}

/// `postgres.url`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostgresUrl {
    /// A server of our own, in `state_dir`.
    Embedded,
    /// `postgres://…`; it may carry a password.
    Url(Secret),
}

/// `[supervision]`
#[derive(Clone, Debug)]
pub struct Supervision {
    /// More restarts than this within `window` park the branch.
    pub max_restarts: u32,
    /// The span in which restarts are counted.
    pub window: Duration,
    /// The first back-off.
    pub backoff: Duration,
    /// The longest back-off, and how often a parked branch is tried again.
    pub backoff_max: Duration,
    /// Work in hand without progress for this long = the actor is replaced.
    pub stall_after: Duration,
    /// How long an actor may take to stop.
    pub grace: Duration,
    /// What to do when a branch has spent its restarts.
    pub on_escalate: OnEscalate,
}

/// `supervision.on_escalate`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEscalate {
    /// Park the branch, go on with the others, try again at `backoff_max`; exit 70 when every branch is parked.
    Park,
    /// Stop everything in order and exit 70.
    Exit,
}

/// `"100 in 1m"`: so many within such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub count: u32,
    /// Within how long; above zero.
    pub per: Duration,
}

/// `[[pipeline]]`
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Unique; `[a-z][a-z0-9_-]*`, at most 63 characters: it is part of topic names, groups and rows.
    pub name: Arc<str>,
    /// Which engine runs the SQL.
    pub engine: Engine,
    /// The records' schema as Spark DDL, as written.
    pub schema: String,
    /// What to do with U+0000 in text, which PostgreSQL does not store.
    pub on_nul: OnNul,
    /// The brake: more dead letters than this and the pipeline parks.
    pub dead_letters_max: Rate,
    /// Where records come from.
    pub source: Source,
    /// Where they rest.
    pub topic: Topic,
    /// How many actors of each kind.
    pub actors: Actors,
    /// When a batch is full.
    pub batch: Batch,
    /// Where they go; at least one.
    pub tables: Vec<Table>,
}

/// `pipeline.engine`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Engine {
    Datafusion,
    Spark,
}

/// `pipeline.on_nul`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNul {
    /// The record goes to the dead letters.
    Reject,
    /// U+0000 is left out.
    Strip,
    /// U+0000 becomes U+FFFD.
    Replace,
}

/// `[pipeline.source]`
#[derive(Clone, Debug)]
pub enum Source {
    /// `kind = "http"`
    Http(Box<HttpSource>),
    /// `kind = "exec"`
    Exec(Box<ExecSource>),
    /// `kind = "none"`: others fill the topic.
    None,
}

/// `[pipeline.source]` with `kind = "http"`
#[derive(Clone)]
pub struct HttpSource {
    /// The address without the parameters of `query` and of the pagination.
    pub url: url::Url,
    /// The method of every request.
    pub method: Method,
    /// Query parameters sent with every request, in the file's order.
    pub query: Vec<(String, String)>,
    /// Request headers; values may be secrets.
    pub headers: Vec<(String, Secret)>,
    /// The body of every request.
    pub body: Option<Body>,
    /// How requests are authorised.
    pub auth: Auth,
    /// Where the records are in a page.
    pub records: serde_json_path::JsonPath,
    /// The text of `records`, as written.
    pub records_text: String,
    /// Where the message key is in a record.
    pub key: Option<serde_json_path::JsonPath>,
    /// The text of `key`, as written.
    pub key_text: Option<String>,
    /// How to get from page to page.
    pub paginate: Paginate,
    /// Where the parameters of the pagination and of the shards go.
    pub place: Place,
    /// From the start of one sweep over the pages to the start of the next; `None` = one sweep.
    pub every: Option<Duration>,
    /// No more requests than this, over all shards of this daemon.
    pub rate: Option<Rate>,
    /// The deadline of a whole request, body included.
    pub timeout: Duration,
    /// The most that an API's Retry-After is believed.
    pub retry_after_max: Duration,
    /// The largest page, in bytes, decompressed.
    pub max_page_bytes: usize,
    /// The most pages of a sweep in a shard: beyond, the pagination is taken for a circle.
    pub max_pages: u64,
    /// How the source is split.
    pub shards: Shards,
}

/// An address without what may be secret in it: user, password, parameters.
pub fn shown_url(url: &url::Url) -> String {
    let mut shown = url.clone();
    // These fail only for addresses that cannot have a user.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}

/// `[pipeline.source]` with `kind = "exec"`
#[derive(Clone, Debug)]
pub struct ExecSource {
    /// The program and its arguments, which may hold secrets.
    pub command: Vec<Secret>,
    /// The program as messages name it: the command's first word as written.
    pub program: String,
    /// What must not be repeated of the program's words: the values of `env`, and arguments with variables in them.
    pub hidden: Vec<Secret>,
    /// Variables of the program's environment; values may be secrets.
    pub env: Vec<(String, Secret)>,
    /// The program's working directory.
    pub dir: PathBuf,
    /// What its lines mean.
    pub output: ExecOutput,
    /// With Singer messages: the one stream whose records count; `None` = all.
    pub stream: Option<String>,
    /// The argument before the path of a file with the state; `None` = no file.
    pub state_arg: Option<String>,
    /// Where the message key is in a record.
    pub key: Option<serde_json_path::JsonPath>,
    /// The text of `key`, as written.
    pub key_text: Option<String>,
    /// From the start of one run to the start of the next; `None` = one run.
    pub every: Option<Duration>,
    /// The longest time without a line.
    pub timeout: Duration,
    /// How the source is split: one run a parameter set. `Stripes(1)` = not split.
    pub shards: Shards,
}

/// The variable in which a program gets a shard's parameter.
pub fn exec_variable(parameter: &str) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    format!("AQUEDUCT_{}", parameter.chars().map(letter).collect::<String>())
}

/// `pipeline.source.output`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecOutput {
    /// A line is a record, or a cursor `{"cursor": …}`; until there is one, records go as they come.
    Lines,
    /// The same, and records always wait for the cursor after them.
    Cursors,
    /// Singer messages; records wait for the STATE after them.
    Singer,
}

/// `pipeline.source.shards`
#[derive(Clone, Debug, PartialEq)]
pub enum Shards {
    /// `shards = 4`: stripes of page numbers; shard k takes pages first+k, first+k+n, …
    Stripes(u32),
    /// `shards = [{ nat = "fr" }, …]`: one shard for each set of query parameters.
    Declared(Vec<serde_json::Map<String, serde_json::Value>>),
}

/// `[pipeline.topic]`
#[derive(Clone, Debug)]
pub struct Topic {
    /// The topic's name; defaults to the pipeline's.
    pub name: Arc<str>,
    /// Partitions, if the topic has to be created.
    pub partitions: u32,
    /// Replicas, if the topic has to be created.
    pub replication: u32,
}

/// `[pipeline.actors]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Actors {
    pub fetchers: usize,
    pub producers: usize,
    pub consumers: usize,
    pub transformers: usize,
    pub writers: usize,
}

/// `[pipeline.batch]`: whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Records.
    pub rows: usize,
    /// Bytes of payloads.
    pub bytes: usize,
    /// Age of the oldest record in it.
    pub age: Duration,
}

/// `[[pipeline.table]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The target, `table` or `schema.table`.
    pub name: String,
    /// How rows are written.
    pub mode: Mode,
    /// The key columns; empty for `append`.
    pub key: Vec<String>,
    /// `upsert`: the column that decides which version is the newer one; `None` = the offset.
    pub order_by: Option<String>,
    /// The query over `records`.
    pub sql: String,
    /// Create the table from the query's types if it is missing.
    pub create: bool,
}

/// `pipeline.table.mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every row is new.
    Append,
    /// Insert or update by key.
    Upsert,
}
