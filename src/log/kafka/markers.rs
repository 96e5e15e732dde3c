//! Whether a transaction's markers are there, and writing them if the broker has lost them.
//!
//! A coordinator answers a commit when it has noted it; the markers that `read_committed` readers wait for follow. Kafka
//! since 4.0 may lose them (KAFKA-20734): in the moment in which a broker shuts down its partitions have no leader, the
//! coordinator takes them for deleted, writes no marker and calls the transaction complete. What was confirmed then stays
//! undecided, a cursor among it, and takes the fate of its writer's *next* transaction. So nothing counts as committed
//! before its marker was seen, and whoever opens a shard first decides what was left undecided there: committed, because
//! the cursor is there, and it is sent only when all its records are (`docs/decisions/0007-lost-markers.md`).

use std::{sync::Arc, time::Duration};

use rdkafka::producer::Producer;
use slog::{info, warn};
use tokio::time::Instant;

use super::{
    client::Observer,
    cursor_read::{bounds_within, last_record},
    delivery::Ends,
    describe::{self, describe},
    transaction::{Obstacle, Transaction},
    wait,
};
use crate::{
    log::{Cancel, LogError},
    model::Verdict,
};

/// How long markers may take once the coordinator has answered. They come within milliseconds, or seconds if the broker
/// is busy; who gives up only opens the shard again.
const LIMIT: Duration = Duration::from_secs(5);

/// The same for the partitions that others write to: the last stable offset waits for all their transactions.
const SHARED_LIMIT: Duration = Duration::from_secs(15);

/// One question.
const ASK: Duration = Duration::from_millis(500);

const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A partition as its readers see it.
pub(super) struct Seen<'a> {
    pub(super) observer: &'a Observer,
    pub(super) topic: &'a str,
    pub(super) partition: i32,
}

impl Seen<'_> {
    /// Waits until readers have passed `offset`; `false` = they have not within `limit`, while the broker answered.
    fn passes(
        &self,
        offset: i64,
        limit: Duration,
        stopped: &dyn Fn() -> Option<LogError>,
        cancel: &Cancel,
    ) -> Result<bool, LogError> {
        let (mut since, mut pause) = (None, SHORTEST_PAUSE);
        loop {
            match bounds_within(self.observer, self.topic, self.partition, true, ASK) {
                Ok(bounds) if bounds.last_stable > offset => return Ok(true),
                Ok(_) if since.get_or_insert_with(Instant::now).elapsed() > limit => return Ok(false),
                Ok(_) => {}
                // The broker is away: its answers count.
                Err(problem) if problem.verdict() == Verdict::Retry => since = None,
                Err(problem) => return Err(problem),
            }
            if let Some(reason) = stopped() {
                return Err(reason);
            }
            wait::pause(cancel, pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Waits until readers can see the transaction that was just committed. If the client has met more errors than the
/// `num_errors` before it, as it does when a broker goes, the shared partitions are looked at as well.
///
/// Its pages are in, whatever this answers: no error of it may lead to an abort and the same pages once more. So it is no
/// [`Obstacle`], and the shard is opened again instead.
pub(super) fn confirm(
    transaction: &Transaction<'_>,
    observer: &Observer,
    cursor: &[u8],
    num_errors: u64,
) -> Result<(), LogError> {
    let (place, cancel) = (transaction.place, transaction.cancel);
    let Ends { cursor: end, records } = transaction.producer.context().side.ends();
    let passes = |topic: &str, partition, offset, limit| {
        let seen = Seen {
            observer,
            topic,
            partition,
        };
        seen.passes(offset, limit, &|| transaction.stopped(), cancel)
    };
    if !passes(&place.cursors, place.shard.number, end.unwrap_or(-1), LIMIT)? {
        warn!(
            transaction.log,
            "a commit was confirmed and its marker is missing; the shard is opened again"
        );
        return Err(place.lost());
    }
    if transaction.producer.context().num_errors() == num_errors {
        return Ok(());
    }
    let mut missing = Vec::new();
    for (partition, offset) in records {
        if !passes(&place.topic, partition, offset, SHARED_LIMIT)? {
            missing.push(partition);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    info!(transaction.log, "markers may be missing; they are written again"; "partitions" => ?missing);
    marked(transaction, missing.into_iter(), place.shard.content.as_bytes(), cursor)
}

/// Commits a transaction of markers; what stands against it costs the client, and the next one begins anew.
fn marked(
    transaction: &Transaction<'_>,
    partitions: impl Iterator<Item = i32>,
    key: &[u8],
    cursor: &[u8],
) -> Result<(), LogError> {
    transaction
        .mark(partitions, key, cursor)
        .map_err(|obstacle| match obstacle {
            Obstacle::Spent(reason) | Obstacle::GiveUp(reason) => reason,
            Obstacle::Again(_) | Obstacle::TooLarge(_) | Obstacle::BatchTooLarge => transaction.place.lost(),
        })
}

/// Commits what an earlier transaction of this id has left without its marker. The id must have been initialised: after
/// that nothing of it is open.
pub(super) fn restore(
    transaction: &Transaction<'_>,
    observer: &Arc<Observer>,
    undecided: &Observer,
) -> Result<(), LogError> {
    let (place, cancel) = (transaction.place, transaction.cancel);
    let (topic, partition) = (&*place.cursors, place.shard.number);
    let stopped = || transaction.stopped();
    let end = bounds_within(undecided, topic, partition, true, describe::LIMIT)?.last_stable;
    let seen = Seen {
        observer,
        topic,
        partition,
    };
    if end == 0 || seen.passes(end - 1, LIMIT, &stopped, cancel)? {
        return Ok(());
    }
    let start = bounds_within(observer, topic, partition, true, describe::LIMIT)?.last_stable;
    let hanging = LogError::Mismatch {
        place: format!("{topic}[{partition}]@{start}"),
        problem: "a transaction hangs here that nobody will end; readers wait for it. Kafka's own tool ends it: \
                  kafka-transactions.sh find-hanging, then abort"
            .to_owned(),
    };
    let Some(cursor) = last_record(undecided, (topic, partition), (start, end), cancel)? else {
        return Err(hanging);
    };
    let Some(payload) = cursor.payload else {
        return Err(hanging);
    };
    let num_partitions = describe(observer, &place.topic, true, cancel)?
        .map(|topic| topic.num_partitions)
        .ok_or_else(|| LogError::Gone {
            topic: place.topic.clone(),
        })?;
    warn!(transaction.log, "Kafka has lost the markers of a transaction (KAFKA-20734); it is committed now";
        "cursors" => format!("{topic}[{partition}]"), "from" => start, "to" => end);
    marked(transaction, 0..num_partitions, &cursor.key, &payload)?;
    let end = transaction.producer.context().side.ends().cursor.unwrap_or(end);
    if seen.passes(end, LIMIT, &stopped, cancel)? {
        Ok(())
    } else {
        Err(hanging)
    }
}
