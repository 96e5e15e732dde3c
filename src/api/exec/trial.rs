//! `check --live`: does the program start, and print what it should?

use std::time::Duration;

use super::{ExecSource, cursor::RunCursor};
use crate::api::{ApiError, Next, Request};

/// A program may take its time; whoever has typed `check` may not.
const PATIENCE: Duration = Duration::from_secs(30);

impl ExecSource {
    /// Starts the program for the first shard, without a cursor, reads its first page and ends it. Commits nothing. Says
    /// what was found.
    pub async fn try_once(&self) -> Result<String, ApiError> {
        let Some(shard) = self.shards().into_iter().next() else {
            return Ok("no shards".to_owned());
        };
        let Next::Fetch(Request::Exec(request)) = self.plan(&shard, None, chrono::Utc::now().timestamp_millis())?
        else {
            return Ok("nothing to read".to_owned());
        };
        let (mut feed, mut first_error) = (self.feed(&shard), None);
        let mut hear = |attempt: crate::api::http::Attempt<'_>| {
            if let crate::api::http::Attempt::Waiting { error, .. } = attempt {
                first_error.get_or_insert_with(|| crate::api::chain(error));
            }
        };
        let fetched = tokio::time::timeout(PATIENCE, feed.fetch(&request, &mut hear)).await;
        feed.end_run().await;
        match fetched {
            Ok(fetched) => {
                let fetched = fetched?;
                let cursor: Option<RunCursor> = serde_json::from_value(fetched.cursor_after).ok();
                let state = match cursor.and_then(|cursor| cursor.state) {
                    Some(_) => "it prints cursors",
                    None => "it has printed no cursor so far: what an interrupted run has printed may come twice",
                };
                Ok(format!("its first page has {} records; {state}", fetched.records.len()))
            }
            Err(_) => Ok(match first_error {
                Some(error) => format!("it has failed once at least: {error}"),
                None => format!("it starts, and has filled no page within {PATIENCE:?}"),
            }),
        }
    }
}
