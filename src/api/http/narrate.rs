//! What the log says of a fetch.

use std::time::Duration;

use slog::Logger;

use super::Attempt;
use crate::{api::ApiError, model::ShardId};

/// Logs what is worth a line: the beginning and the end of an outage; the rest is for the curious.
pub(super) fn narrate(log: &Logger, shard: &ShardId, attempt: &Attempt<'_>) {
    match attempt {
        Attempt::Started { number, .. } => {
            slog::trace!(log, "asking for a page"; "shard" => shard.number, "attempt" => number);
        }
        Attempt::RateLimited { pause } => {
            slog::debug!(log, "the rate is used up"; "shard" => shard.number, "wait_ms" => millis(pause));
        }
        Attempt::Waiting {
            number: 1,
            pause,
            error,
            ..
        } => {
            slog::warn!(log, "waiting for the API";
                "shard" => shard.number, "wait_ms" => millis(pause), "error" => chain(error));
        }
        Attempt::Waiting {
            number,
            pause,
            error,
            since,
        } => {
            slog::debug!(log, "still waiting for the API"; "shard" => shard.number, "attempt" => number,
                "wait_ms" => millis(pause), "away_ms" => millis(&since.elapsed()), "error" => chain(error));
        }
        Attempt::Done { attempts: 1 } => {}
        Attempt::Done { attempts } => {
            slog::info!(log, "the API answers again"; "shard" => shard.number, "attempts" => attempts);
        }
    }
}

fn millis(duration: &Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn chain(error: &ApiError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
