//! One pipeline's HTTP source, shared by its fetchers.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use slog::Logger;
use tokio::time::Instant;
use url::Url;

use super::{
    Attempt, Limits, RequestRate,
    exchange::{Answer, Exchange},
    fingerprint::fingerprint,
    narrate::narrate,
    repeat::Repeats,
};
use crate::{
    api::{
        ApiError,
        pagination::{self, Next, PageFacts, PageRequest},
        split::{SplitPage, Splitter},
    },
    config::settings::{self, Paginate},
    model::{PageRecord, ShardId},
};

/// A page that is larger than this is split on a thread of its own: it takes longer than an arbiter should be held up.
const SPLIT_INLINE_BYTES: usize = 64 * 1024;

/// A fetched page. With the shard and the cursor before it, it is a [`crate::model::Page`].
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its records, in the source's order, refused ones included.
    pub records: Vec<PageRecord>,
    /// The position after the page: what is committed with it.
    pub cursor_after: Value,
    /// Whether the sweep is over.
    pub at_end: bool,
    /// The size of the body, decompressed.
    pub size_bytes: usize,
}

/// Fetches the pages of one source. Clones share connections and rate.
#[derive(Clone)]
pub struct HttpSource {
    inner: Arc<Inner>,
    log: Logger,
}

struct Inner {
    settings: settings::HttpSource,
    limits: Limits,
    exchange: Exchange,
    splitter: Arc<Splitter>,
    rate: Option<RequestRate>,
}

impl HttpSource {
    /// Prepares a source. Connects nowhere yet.
    pub fn new(settings: &settings::HttpSource, log: Logger) -> Result<Self, ApiError> {
        Self::with_limits(settings, Limits::default(), log)
    }

    /// Prepares a source with other limits than the default ones.
    pub fn with_limits(settings: &settings::HttpSource, limits: Limits, log: Logger) -> Result<Self, ApiError> {
        let inner = Inner {
            settings: settings.clone(),
            limits,
            exchange: Exchange::new(settings, limits)?,
            splitter: Arc::new(Splitter::new(settings)?),
            rate: settings.rate.map(RequestRate::new),
        };
        Ok(Self {
            inner: Arc::new(inner),
            log,
        })
    }

    /// The same source, with the same connections and rate, that tells its news to another logger.
    pub fn logging_to(&self, log: &Logger) -> Self {
        Self {
            log: log.clone(),
            ..self.clone()
        }
    }

    /// The shards of the source, by number.
    pub fn shards(&self) -> Vec<ShardId> {
        pagination::shards(&self.inner.settings.shards)
    }

    /// Says what a shard does next: [`pagination::plan`] with this source's settings.
    pub fn plan(&self, shard: &ShardId, cursor: Option<&Value>, now_ms: i64) -> Result<Next, ApiError> {
        pagination::plan(&self.inner.settings, shard, cursor, now_ms)
    }

    /// Fetches one page, with all its repeats. Never returns an error whose verdict is `Retry`.
    pub async fn fetch<P>(&self, shard: &ShardId, request: &PageRequest, progress: &mut P) -> Result<Fetched, ApiError>
    where
        P: FnMut(Attempt<'_>) + ?Sized,
    {
        let inner = &*self.inner;
        let url = inner.exchange.url(inner.settings.query.iter().chain(&request.params));
        let mut report = |attempt: Attempt<'_>| {
            narrate(&self.log, shard, &attempt);
            progress(attempt);
        };
        let mut repeats = Repeats::new(&inner.limits);
        loop {
            let number = repeats.number;
            while let Some(pause) = inner.rate.as_ref().and_then(|rate| rate.try_acquire().err()) {
                report(Attempt::RateLimited { pause });
                tokio::time::sleep(pause).await;
            }
            report(Attempt::Started {
                number,
                deadline: inner.settings.timeout,
            });
            let error = match inner.fetch_once(&url, request).await {
                Ok(fetched) => {
                    report(Attempt::Done { attempts: number });
                    return Ok(fetched);
                }
                Err(error) => error,
            };
            let Some(pause) = repeats.pause_after(&error) else {
                return Err(error);
            };
            let since = repeats.since.unwrap_or_else(Instant::now);
            report(Attempt::Waiting {
                number,
                since,
                pause,
                error: &error,
            });
            tokio::time::sleep(pause).await;
            repeats.number = number.saturating_add(1);
        }
    }
}

impl Inner {
    async fn fetch_once(&self, url: &Url, request: &PageRequest) -> Result<Fetched, ApiError> {
        let Answer { request: asked, body } = self.exchange.ask(url).await?;
        let size_bytes = body.as_ref().map_or(0, Bytes::len);
        let page = match body {
            Some(body) => self.split(&asked, body).await?,
            None => SplitPage {
                records: Vec::new(),
                total: None,
            },
        };
        let facts = PageFacts {
            num_records: page.records.len() as u64,
            hash: fingerprint(&page.records),
            total: page.total,
        };
        let advance = request
            .after(&self.settings.paginate, &facts)
            .map_err(|_| ApiError::PageLoop {
                request: asked,
                param: match &self.settings.paginate {
                    Paginate::Page { param, .. } => param.clone(),
                    Paginate::Single => String::new(),
                },
            })?;
        let mut records = page.records;
        records.truncate(advance.keep);
        Ok(Fetched {
            records,
            at_end: advance.cursor.done,
            cursor_after: advance.cursor.to_value(),
            size_bytes,
        })
    }

    async fn split(&self, request: &str, body: Bytes) -> Result<SplitPage, ApiError> {
        let split = if body.len() <= SPLIT_INLINE_BYTES {
            self.splitter.split(&body)
        } else {
            let (splitter, body) = (Arc::clone(&self.splitter), body.clone());
            match tokio::task::spawn_blocking(move || splitter.split(&body)).await {
                Ok(split) => split,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // Only a runtime that is shutting down cancels it: there is nobody left to answer.
                    Err(_) => std::future::pending().await,
                },
            }
        };
        split.map_err(|problem| ApiError::UndecodablePage {
            request: request.to_owned(),
            reason: problem.0,
            excerpt: self.exchange.excerpt(&body),
        })
    }
}

#[cfg(test)]
pub(super) fn test_settings(url: &str) -> settings::HttpSource {
    settings::HttpSource {
        url: url.parse().expect("an address"),
        query: vec![],
        headers: vec![],
        records: serde_json_path::JsonPath::parse("$").expect("a path"),
        records_text: "$".to_owned(),
        key: None,
        key_text: None,
        paginate: Paginate::Single,
        every: None,
        rate: None,
        timeout: std::time::Duration::from_secs(30),
        shards: settings::Shards::Stripes(1),
    }
}
