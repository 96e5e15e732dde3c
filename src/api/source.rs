//! A source of whatever kind, as the fetcher sees it: plan, fetch, and the cursor after it.

use serde_json::Value;

use super::{
    ApiError,
    exec::{ExecFeed, ExecSource, RunRequest},
    http::{Attempt, Fetched, HttpSource},
    pagination::{self, PageRequest},
};
use crate::model::ShardId;

/// Where pages come from. Clones share what is behind.
#[derive(Clone)]
pub enum Source {
    /// An HTTP API: a page is a request and its answer.
    Http(HttpSource),
    /// A program: a page is a part of what a run of it prints.
    Exec(ExecSource),
}

/// What a shard does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Fetch this.
    Fetch(Request),
    /// The sweep is over; the next one starts at this time: milliseconds since 1970-01-01 UTC.
    WaitUntil(i64),
    /// There is nothing more to fetch, ever.
    Finished,
}

/// The next page of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A page of an API.
    Http(Box<PageRequest>),
    /// The next page of a run.
    Exec(RunRequest),
}

impl Request {
    /// What the fetcher is at, in words for the status.
    pub fn describe(&self) -> String {
        match self {
            Self::Http(request) => format!("fetching page {}", request.page()),
            Self::Exec(request) => format!("reading run {} of the program", request.run()),
        }
    }
}

impl Source {
    /// The same source, with the same connections and rate, that tells its news to another logger.
    pub fn logging_to(&self, log: &slog::Logger) -> Self {
        match self {
            Self::Http(http) => Self::Http(http.logging_to(log)),
            // A program's lines carry the pipeline and its pid.
            Self::Exec(exec) => Self::Exec(exec.clone()),
        }
    }

    /// The shards of the source, by number.
    pub fn shards(&self) -> Vec<ShardId> {
        match self {
            Self::Http(http) => http.shards(),
            Self::Exec(exec) => exec.shards(),
        }
    }

    /// Says what a shard does next. `cursor` is what it has committed, `now_ms` the time in milliseconds since 1970.
    pub fn plan(&self, shard: &ShardId, cursor: Option<&Value>, now_ms: i64) -> Result<Next, ApiError> {
        match self {
            Self::Http(http) => Ok(match http.plan(shard, cursor, now_ms)? {
                pagination::Next::Request(request) => Next::Fetch(Request::Http(Box::new(request))),
                pagination::Next::WaitUntil(due_ms) => Next::WaitUntil(due_ms),
                pagination::Next::Finished => Next::Finished,
            }),
            Self::Exec(exec) => exec.plan(shard, cursor, now_ms),
        }
    }

    /// Opens what fetches one shard's pages, in order. Starts nothing yet.
    pub fn feed(&self, shard: &ShardId) -> Feed {
        match self {
            Self::Http(http) => Feed(Kind::Http(http.clone(), shard.clone())),
            Self::Exec(exec) => Feed(Kind::Exec(Box::new(exec.feed(shard)))),
        }
    }

    /// Who is waited for, in words for the status.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Http(_) => "the API",
            Self::Exec(_) => "the program",
        }
    }
}

impl From<HttpSource> for Source {
    fn from(http: HttpSource) -> Self {
        Self::Http(http)
    }
}

impl From<ExecSource> for Source {
    fn from(exec: ExecSource) -> Self {
        Self::Exec(exec)
    }
}

/// Fetches the pages of one shard for as long as it is lent. Dropping it ends what it has started.
pub struct Feed(Kind);

enum Kind {
    Http(HttpSource, ShardId),
    Exec(Box<ExecFeed>),
}

impl Feed {
    /// Fetches one page, with all its repeats. Never returns an error whose verdict is `Retry`. The call may be dropped at
    /// any time.
    pub async fn fetch<P>(&mut self, request: &Request, progress: &mut P) -> Result<Fetched, ApiError>
    where
        P: FnMut(Attempt<'_>) + ?Sized,
    {
        match (&mut self.0, request) {
            (Kind::Http(http, shard), Request::Http(request)) => http.fetch(shard, request, progress).await,
            (Kind::Exec(feed), Request::Exec(request)) => feed.fetch(request, progress).await,
            _ => Err(ApiError::Configure {
                place: "kind",
                problem: "the request belongs to a source of another kind".to_owned(),
            }),
        }
    }
}
