//! The load side: members that share the partitions and read them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    group::Group,
    storage::{Storage, Topic},
};
use crate::{
    log::{LoadEvent, LoadMember, LogError, ReadLimit, ReadOutcome, Waker},
    model::LogRecord,
};

/// Retention takes only what was settled this long ago, and runs as often: PostgreSQL may commit asynchronously, and a crash
/// of it may take the last moments back. It reads them again here, for there is nobody else who has them.
const SETTLED_FOR_GOOD: Duration = Duration::from_secs(30);

pub(super) struct Member {
    storage: Arc<Storage>,
    topic: Topic,
    group: Arc<Group>,
    number: u64,
    waker: Waker,
    reading: HashMap<i32, Reading>,
    asked_to_release: Vec<i32>,
}

struct Reading {
    next: i64,
    end: Arc<AtomicI64>,
    /// Decoded, but beyond the last read's limit.
    rest: VecDeque<LogRecord>,
    end_told: Option<i64>,
    settled: (Instant, i64),
}

impl Member {
    pub(super) fn join(storage: Arc<Storage>, topic: Topic, group: Arc<Group>, waker: Waker) -> Self {
        storage.add_reader(waker.clone());
        let number = group.join(waker.clone());
        Self {
            storage,
            topic,
            group,
            number,
            waker,
            reading: HashMap::new(),
            asked_to_release: Vec::new(),
        }
    }
}

impl LoadMember for Member {
    /// Never waits: group and storage call the waker when there is something new.
    fn poll(&mut self, _wait: Duration) -> Result<Vec<LoadEvent>, LogError> {
        let changes = self.group.sync(self.number);
        let mut events = Vec::new();
        let asked = &self.asked_to_release;
        let fresh: Vec<i32> = changes
            .to_release
            .into_iter()
            .filter(|item| !asked.contains(item))
            .collect();
        if !fresh.is_empty() {
            self.asked_to_release.extend(&fresh);
            events.push(LoadEvent::Revoked {
                partitions: fresh,
                lost: false,
            });
        }
        if !changes.assigned.is_empty() {
            events.push(LoadEvent::Assigned(changes.assigned));
        }
        Ok(events)
    }

    fn assign(&mut self, claims: &[(i32, i64)]) -> Result<(), LogError> {
        for (partition, next) in claims {
            let end = self.storage.end(&self.topic, *partition)?;
            let (rest, end_told) = (VecDeque::new(), None);
            self.reading.insert(
                *partition,
                Reading {
                    next: *next,
                    end,
                    rest,
                    end_told,
                    settled: (Instant::now(), *next),
                },
            );
        }
        (self.waker)();
        Ok(())
    }

    fn release(&mut self, partitions: &[i32]) -> Result<(), LogError> {
        for partition in partitions {
            self.reading.remove(partition);
        }
        self.asked_to_release.retain(|item| !partitions.contains(item));
        self.group.release(self.number, partitions);
        Ok(())
    }

    fn read(&mut self, partition: i32, limit: ReadLimit, into: &mut Vec<LogRecord>) -> Result<ReadOutcome, LogError> {
        let Some(reading) = self.reading.get_mut(&partition) else {
            return Ok(ReadOutcome::Empty);
        };
        let (mut records, mut bytes) = (0, 0);
        while records < limit.records && bytes < limit.bytes {
            if reading.rest.is_empty() {
                let end = reading.end.load(Ordering::SeqCst);
                if reading.next >= end {
                    let news = reading.end_told != Some(end);
                    reading.end_told = Some(end);
                    return Ok(if news { ReadOutcome::End } else { ReadOutcome::Empty });
                }
                reading.rest = self.storage.records_from(&self.topic, partition, reading.next)?.into();
                if reading.rest.is_empty() {
                    return Ok(ReadOutcome::OutOfRange);
                }
            }
            if let Some(record) = reading.rest.pop_front() {
                reading.next = record.offset + 1;
                records += 1;
                bytes += record.value.as_ref().map_or(0, bytes::Bytes::len);
                into.push(record);
            }
        }
        Ok(ReadOutcome::More)
    }

    fn position(&mut self, partition: i32) -> Option<i64> {
        self.reading.get(&partition).map(|reading| reading.next)
    }

    fn note_settled(&mut self, partition: i32, next_offset: i64) {
        let Some(reading) = self.reading.get_mut(&partition) else {
            return;
        };
        if reading.settled.0.elapsed() >= SETTLED_FOR_GOOD {
            let settled = std::mem::replace(&mut reading.settled, (Instant::now(), next_offset)).1;
            let now_ms = chrono::Utc::now().timestamp_millis();
            // Retention that fails is tried again after the next records; it holds up nothing.
            let _ = self.storage.retain(&self.topic, partition, settled, now_ms);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.storage.remove_reader(&self.waker);
        self.group.leave(self.number);
    }
}
