//! Reads a shard's last committed cursor back.
//!
//! The end of the partition is the last stable offset, and the record before it need not be a cursor of this shard: control
//! records, aborted transactions and cursors of older contents lie there too. So a window before the end is read, from an
//! absolute offset, and widened when it holds none.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    Message, Offset, TopicPartitionList, consumer::Consumer, error::KafkaError, types::RDKafkaErrorCode as Code,
};

use super::{
    client::{Observer, serve},
    describe::LIMIT,
    error,
    wait::{self, SLICE},
};
use crate::{
    log::{Bounds, Cancel, LogError, TopicSpec},
    model::{CursorRecord, ShardId, Verdict},
};

const OPERATION: &str = "read cursor";

/// The first window. Each transaction leaves a cursor and a marker.
const WINDOW: i64 = 500;

/// The first offset that can be read, and the last stable one. `serve_queue` as in [`describe`](super::describe::describe).
pub(super) fn bounds(observer: &Observer, topic: &str, partition: i32, serve_queue: bool) -> Result<Bounds, LogError> {
    bounds_within(observer, topic, partition, serve_queue, LIMIT)
}

/// The same, for a caller that looks at other things in between.
pub(super) fn bounds_within(
    observer: &Observer,
    topic: &str,
    partition: i32,
    serve_queue: bool,
    limit: Duration,
) -> Result<Bounds, LogError> {
    let (operation, place) = ("read offsets", format!("{topic}[{partition}]"));
    let answer = observer.fetch_watermarks(topic, partition, limit);
    if serve_queue {
        serve(observer);
    }
    match answer {
        // On a read_committed client the high watermark of this call is the last stable offset.
        Ok((low, last_stable)) => Ok(Bounds { low, last_stable }),
        // What librdkafka says of a partition without a leader, as while its broker shuts down. That there is such a
        // partition was seen when the topic was prepared.
        Err(problem) if error::code(&problem) == Some(Code::UnknownPartition) => {
            let code = Code::LeaderNotAvailable;
            Err(error::reported(operation, place, code, "the partition has no leader"))
        }
        Err(problem) => {
            let fault = observer.context().take_fault(operation, &place);
            Err(fault.unwrap_or_else(|| error::call(operation, place, problem)))
        }
    }
}

/// The shard's cursor as last committed; `None` = none yet. Nothing else may use the observer meanwhile.
pub(super) fn read(
    observer: &Arc<Observer>,
    spec: &TopicSpec,
    shard: &ShardId,
    cancel: &Cancel,
) -> Result<Option<CursorRecord>, LogError> {
    let topic = spec.cursors_topic();
    let place = format!("{topic}[{}]", shard.number);
    let found = {
        let (observer, topic, partition) = (Arc::clone(observer), topic.clone(), shard.number);
        wait::detached(cancel, move || bounds(&observer, &topic, partition, true))
    };
    let Bounds { low, last_stable } = found.ok_or_else(|| LogError::Cancelled {
        operation: OPERATION,
        place: place.clone(),
    })??;

    let mut window = WINDOW;
    let mut end = last_stable;
    while end > low {
        let start = low.max(last_stable.saturating_sub(window));
        let span = Span {
            topic: &topic,
            partition: shard.number,
            start,
            end,
        };
        let value = span.last_value(observer, Some(shard.content.as_bytes()), cancel);
        if let Some(Value { offset, payload, .. }) = value? {
            let Some(payload) = payload else { return Ok(None) };
            return serde_json::from_slice(&payload)
                .map(Some)
                .map_err(|problem| LogError::Mismatch {
                    place: format!("{place}@{offset}"),
                    problem: format!(
                        "holds a cursor that cannot be read ({problem}); nobody else may write to this topic"
                    ),
                });
        }
        end = start;
        window = window.saturating_mul(16);
    }
    Ok(None)
}

/// The last record with a key between two offsets, whatever its key.
pub(super) fn last_record(
    observer: &Observer,
    (topic, partition): (&str, i32),
    (start, end): (i64, i64),
    cancel: &Cancel,
) -> Result<Option<Value>, LogError> {
    let span = Span {
        topic,
        partition,
        start,
        end,
    };
    span.last_value(observer, None, cancel)
}

/// A cursor record; no payload = a tombstone.
pub(super) struct Value {
    offset: i64,
    pub(super) key: Vec<u8>,
    pub(super) payload: Option<Vec<u8>>,
}

struct Span<'a> {
    topic: &'a str,
    partition: i32,
    start: i64,
    end: i64,
}

impl Span<'_> {
    fn place(&self) -> String {
        format!("{}[{}]", self.topic, self.partition)
    }

    /// With this key, or with any.
    fn last_value(&self, observer: &Observer, key: Option<&[u8]>, cancel: &Cancel) -> Result<Option<Value>, LogError> {
        let value = self.assigned_last_value(observer, key, cancel);
        // Also after an error: the next reader assigns anew.
        let _ = observer.unassign();
        value
    }

    fn assigned_last_value(
        &self,
        observer: &Observer,
        key: Option<&[u8]>,
        cancel: &Cancel,
    ) -> Result<Option<Value>, LogError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(self.topic, self.partition, Offset::Offset(self.start))
            .and_then(|()| observer.assign(&list))
            .map_err(|problem| error::call(OPERATION, self.place(), problem))?;

        let mut last = None;
        let mut num_idle = 0;
        loop {
            if cancel.is_cancelled() {
                return Err(LogError::Cancelled {
                    operation: OPERATION,
                    place: self.place(),
                });
            }
            match observer.poll(SLICE) {
                Some(Ok(message)) => {
                    num_idle = 0;
                    let found = message.key().filter(|found| key.is_none_or(|key| key == *found));
                    if let Some(found) = found.filter(|_| message.offset() < self.end) {
                        last = Some(Value {
                            offset: message.offset(),
                            key: found.to_vec(),
                            payload: message.payload().map(<[u8]>::to_vec),
                        });
                    }
                    if message.offset() + 1 >= self.end {
                        return Ok(last);
                    }
                }
                // An end before the one that was asked for says nothing: what lies between may hold a newer cursor.
                Some(Err(KafkaError::PartitionEOF(_))) if self.is_passed(observer) => return Ok(last),
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                // Compaction or retention passed between the question and the read: ask again.
                Some(Err(KafkaError::MessageConsumption(Code::AutoOffsetReset | Code::OffsetOutOfRange))) => {
                    return Err(error::reported(
                        OPERATION,
                        self.place(),
                        Code::Retry,
                        "the offsets have moved",
                    ));
                }
                Some(Err(problem)) => {
                    let failed = error::call(OPERATION, self.place(), problem);
                    if failed.verdict() != Verdict::Retry {
                        return Err(failed);
                    }
                }
                None if self.is_passed(observer) => return Ok(last),
                None => {
                    num_idle += 1;
                    if SLICE * num_idle > LIMIT {
                        let fault = observer.context().take_fault(OPERATION, &self.place());
                        let silent = || error::reported(OPERATION, self.place(), Code::OperationTimedOut, "no answer");
                        return Err(fault.unwrap_or_else(silent));
                    }
                }
            }
        }
    }

    /// Whether the reader stands at the end: control records move it without a message.
    fn is_passed(&self, observer: &Observer) -> bool {
        let position = observer.position().ok().and_then(|list| {
            list.find_partition(self.topic, self.partition)
                .and_then(|partition| partition.offset().to_raw())
        });
        position.is_some_and(|offset| offset >= self.end)
    }
}
