//! What the log says of a fetch.

use std::time::Duration;

use slog::Logger;

use super::{Attempt, Fetched};
use crate::{
    api::{ApiError, pagination::PageRequest},
    model::ShardId,
};

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

/// Logs that a refused credential is replaced.
pub(super) fn renewed(log: &Logger, shard: &ShardId) {
    slog::info!(log, "the API has refused the credential, another one is sent"; "shard" => shard.number);
}

/// Logs the end of a sweep; with a warning where the API had promised more.
pub(super) fn end(log: &Logger, shard: &ShardId, request: &PageRequest, fetched: &Fetched, missing: u64) {
    if !fetched.at_end {
        return;
    }
    if missing > 0 {
        slog::warn!(log, "the sweep has ended before the total that the API names";
            "shard" => shard.number, "sweep" => request.sweep(), "missing" => missing);
    }
    slog::debug!(log, "the sweep has ended"; "shard" => shard.number, "sweep" => request.sweep(), "at" => request.page());
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
