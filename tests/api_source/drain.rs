//! Fetches a source to its end, as a fetcher would.

use std::time::Duration;

use aqueduct::{
    api::{
        ApiError,
        http::{Attempt, Fetched, HttpSource, Limits},
        pagination::Next,
    },
    config::settings::{self, Paginate, Stop},
    model::ShardId,
};
use serde_json::Value;
use url::Url;

pub const NOW: i64 = 1_700_000_000_000;

/// A source whose records are `$.items[*]`.
pub fn settings(url: Url, paginate: Paginate) -> settings::HttpSource {
    settings::HttpSource {
        records: serde_json_path::JsonPath::parse("$.items[*]").unwrap(),
        records_text: "$.items[*]".to_owned(),
        retry_after_max: Duration::from_millis(50),
        paginate,
        ..settings::HttpSource::new(url)
    }
}

pub fn offset(limit: u64, stop: Stop) -> Paginate {
    Paginate::Offset {
        param: "offset".to_owned(),
        limit_param: "limit".to_owned(),
        limit,
        first: 0,
        stop,
    }
}

pub fn cursor(stop: Option<Stop>) -> Paginate {
    Paginate::Cursor {
        param: "after".to_owned(),
        path: "$.next".to_owned(),
        stop,
    }
}

pub fn next_url() -> Paginate {
    Paginate::NextUrl {
        path: "$.next".to_owned(),
        stop: None,
    }
}

pub fn source(settings: &settings::HttpSource) -> HttpSource {
    let limits = Limits {
        shortest_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        ..Limits::default()
    };
    let log = slog::Logger::root(slog::Discard, slog::o!());
    HttpSource::with_limits(settings, limits, log).unwrap()
}

/// One page; what was said about the attempts that failed goes to `heard`.
pub async fn page(
    source: &HttpSource,
    shard: &ShardId,
    cursor: Option<&Value>,
    now_ms: i64,
    heard: &mut Vec<String>,
) -> Option<Result<Fetched, ApiError>> {
    let request = match source.plan(shard, cursor, now_ms) {
        Ok(Next::Request(request)) => request,
        Ok(_) => return None,
        Err(error) => return Some(Err(error)),
    };
    let mut progress = |attempt: Attempt<'_>| {
        if let Attempt::Waiting { error, .. } = attempt {
            let mut text = error.to_string();
            if let Some(cause) = std::error::Error::source(error) {
                text = format!("{text}: {cause}");
            }
            heard.push(text);
        }
    };
    let fetching = source.fetch(shard, &request, &mut progress);
    Some(
        tokio::time::timeout(Duration::from_secs(60), fetching)
            .await
            .expect("an end"),
    )
}

/// What a sweep brought, and how it ended.
#[derive(Debug, Default)]
pub struct Swept {
    /// The member `id` of every record, in order.
    pub ids: Vec<u64>,
    pub num_pages: usize,
    /// The cursor after the last page.
    pub cursor: Option<Value>,
    /// What was said about attempts that failed.
    pub heard: Vec<String>,
    pub error: Option<ApiError>,
}

impl Swept {
    /// The error that ended it, as a text.
    pub fn failure(&self) -> String {
        self.error.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

/// Fetches a shard from a cursor to the end of the sweep, or to an error.
pub async fn sweep_from(source: &HttpSource, shard: &ShardId, cursor: Option<Value>, now_ms: i64) -> Swept {
    let mut swept = Swept {
        cursor,
        ..Swept::default()
    };
    while let Some(fetched) = page(source, shard, swept.cursor.as_ref(), now_ms, &mut swept.heard).await {
        assert!(swept.num_pages < 500, "the sweep does not end");
        match fetched {
            Ok(fetched) => {
                swept.num_pages += 1;
                swept.ids.extend(fetched.records.iter().map(|record| {
                    let record: Value = serde_json::from_slice(&record.payload).unwrap();
                    record["id"].as_u64().unwrap()
                }));
                swept.cursor = Some(fetched.cursor_after);
                if fetched.at_end {
                    break;
                }
            }
            Err(error) => {
                swept.error = Some(error);
                break;
            }
        }
    }
    swept
}

/// Fetches every shard to the end.
pub async fn sweep(settings: &settings::HttpSource) -> Swept {
    let source = source(settings);
    let mut all = Swept::default();
    for shard in source.shards() {
        let swept = sweep_from(&source, &shard, None, NOW).await;
        all.ids.extend(swept.ids);
        all.heard.extend(swept.heard);
        all.num_pages += swept.num_pages;
        all.error = all.error.or(swept.error);
        all.cursor = swept.cursor;
    }
    all
}

/// `{"items": [{"id": from}, …]}` up to before `to`, with more members.
pub fn items(from: u64, to: u64, more: Value) -> Value {
    let items: Vec<Value> = (from..to).map(|id| serde_json::json!({ "id": id })).collect();
    let mut page = serde_json::json!({ "items": items });
    let members = page.as_object_mut().unwrap();
    members.extend(more.as_object().cloned().unwrap_or_default());
    page
}
