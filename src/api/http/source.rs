//! One pipeline's HTTP source, shared by its fetchers.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use slog::Logger;
use tokio::time::Instant;

use super::{
    Attempt, Limits, RequestRate,
    credentials::Grant,
    exchange::{Answer, Exchange},
    fingerprint::fingerprint,
    narrate::{self, narrate},
    question::Question,
    repeat::Repeats,
};
use crate::{
    api::{
        ApiError,
        pagination::{self, Circle, Next, PageFacts, PageRequest},
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
        let question = inner
            .exchange
            .questions
            .page(request)
            .map_err(|problem| ApiError::Cursor {
                shard: shard.number,
                problem,
            })?;
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
            let (grant, error) = match inner.fetch_once(&question, request).await {
                Ok((fetched, missing)) => {
                    report(Attempt::Done { attempts: number });
                    narrate::end(&self.log, shard, request, &fetched, missing);
                    return Ok(fetched);
                }
                Err(error) => error,
            };
            let pause = match (&error, grant) {
                (ApiError::Status { status: 401, .. }, Some(grant)) => {
                    repeats.pause_after_refusal(inner.exchange.credentials.renew(&grant).await)
                }
                _ => repeats.pause_after(&error),
            };
            let Some(pause) = pause else {
                return Err(error);
            };
            repeats.number = number.saturating_add(1);
            if pause.is_zero() {
                narrate::renewed(&self.log, shard);
                continue;
            }
            let since = repeats.since.unwrap_or_else(Instant::now);
            report(Attempt::Waiting {
                number,
                since,
                pause,
                error: &error,
            });
            tokio::time::sleep(pause).await;
        }
    }
}

impl Inner {
    /// One attempt; an error comes with the credential that the request bore. With the page comes how many records of the
    /// total that the API names the finished sweep has not seen.
    async fn fetch_once(
        &self,
        question: &Question,
        request: &PageRequest,
    ) -> Result<(Fetched, u64), (Option<Grant>, ApiError)> {
        let grant = self.exchange.credentials.grant().await.map_err(|error| (None, error))?;
        match self.exchange.ask(question, grant.as_ref()).await {
            Ok(answer) => self.open(request, answer).await.map_err(|error| (None, error)),
            Err(error) => Err((grant, error)),
        }
    }

    async fn open(&self, request: &PageRequest, answer: Answer) -> Result<(Fetched, u64), ApiError> {
        let size_bytes = answer.body.as_ref().map_or(0, Bytes::len);
        let page = match &answer.body {
            Some(body) => self.split(&answer.request, body.clone()).await?,
            None => SplitPage {
                records: Vec::new(),
                total: None,
                token: None,
            },
        };
        let link = match &self.settings.paginate {
            Paginate::NextUrl { .. } => page.token.as_ref(),
            Paginate::LinkHeader { .. } => answer.next.as_ref(),
            _ => None,
        };
        let link = link.map(|link| self.exchange.keep(link, &answer.url)).transpose();
        let link = link.map_err(|reason| ApiError::UndecodablePage {
            request: answer.request.clone(),
            reason,
            excerpt: String::new(),
        })?;
        let facts = PageFacts {
            num_records: page.records.len() as u64,
            hash: fingerprint(&page.records),
            total: page.total,
            token: link.or(page.token),
        };
        let advance = request
            .after(&self.settings.paginate, &facts)
            .map_err(|circle| ApiError::PageLoop {
                request: answer.request,
                problem: format!("{circle}; {}", remedy(&self.settings.paginate, circle)),
            })?;
        let mut records = page.records;
        records.truncate(advance.keep);
        let fetched = Fetched {
            records,
            at_end: advance.cursor.done,
            cursor_after: advance.cursor.to_value(),
            size_bytes,
        };
        Ok((fetched, advance.missing))
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

/// What to do about a pagination that goes in a circle.
fn remedy(paginate: &Paginate, circle: Circle) -> String {
    match (paginate, circle) {
        (Paginate::Single, _) => String::new(),
        (_, Circle::FirstPage) => {
            "the API seems to begin anew behind its last page: say `last = N`, or `stop = \"short\"` if its last page is shorter \
             than the others"
                .to_owned()
        }
        (Paginate::Page { param, .. } | Paginate::Offset { param, .. }, _) => format!(
            "the API seems to ignore the page parameter `{param}` (or to repeat its last page: then say `last = N`)"
        ),
        (Paginate::Cursor { param, .. }, Circle::SamePage) => {
            format!("the API seems to ignore the parameter `{param}`, which takes the token")
        }
        (_, Circle::SamePage) => "the API seems to serve one page under two links".to_owned(),
        (Paginate::Cursor { .. }, Circle::SameToken) => {
            "if this is how the API marks its end, say `stop = \"empty\"` or `stop = \"short\"`; if the token is a value of \
             the records, such as a time, then more of them have it than a page takes: ask for larger pages, or for a token \
             that is unique; else ask whoever runs the API"
                .to_owned()
        }
        _ => "if this is how the API marks its end, say `stop = \"empty\"` or `stop = \"short\"`; else check `paginate`, or \
              ask whoever runs the API"
            .to_owned(),
    }
}

#[cfg(test)]
pub(super) fn test_settings(url: &str) -> settings::HttpSource {
    settings::HttpSource::new(url.parse().expect("an address"))
}
