//! When a partition's records are a batch: full, old enough, or at the end of the partition.

use std::{collections::VecDeque, sync::Arc};

use tokio::time::Instant;

use crate::{
    config::settings::Batch,
    log::{ReadLimit, ReadOutcome},
    messages::Claim,
    model::LogRecord,
};

/// So many batches of a partition may be unsettled: one is written while the next is transformed.
const MAX_IN_FLIGHT: usize = 2;

/// What a record takes besides its payload, so that many small ones count as well.
const OVERHEAD_BYTES: usize = 256;

/// One claimed partition as its reader sees it.
pub(super) struct Reading {
    pub(super) claim: Arc<Claim>,
    limits: Batch,
    /// Where the next batch begins: what the fence row will say when its turn comes.
    expected_offset: i64,
    records: Vec<LogRecord>,
    size_bytes: usize,
    oldest: Option<Instant>,
    /// The sizes of its unsettled batches, the oldest first.
    in_flight: VecDeque<usize>,
}

/// A batch without its envelope.
pub(super) struct Cut {
    pub(super) expected_offset: i64,
    pub(super) next_offset: i64,
    pub(super) records: Vec<LogRecord>,
}

impl Reading {
    pub(super) fn new(claim: Arc<Claim>, next_offset: i64, limits: Batch) -> Self {
        let (records, size_bytes, oldest, in_flight) = (Vec::new(), 0, None, VecDeque::new());
        Self {
            claim,
            limits,
            expected_offset: next_offset,
            records,
            size_bytes,
            oldest,
            in_flight,
        }
    }

    /// How much may be read now; `None` while earlier batches are unsettled. That is the back-pressure: a queue that is
    /// not read fills up, and librdkafka stops to fetch.
    pub(super) fn room(&self) -> Option<ReadLimit> {
        (self.in_flight.len() < MAX_IN_FLIGHT).then(|| ReadLimit {
            records: self.limits.rows.saturating_sub(self.records.len()),
            bytes: self.limits.bytes.saturating_sub(self.size_bytes),
        })
    }

    /// What was read and is not settled.
    pub(super) fn held_bytes(&self) -> usize {
        self.gathered_bytes() + self.in_flight.iter().sum::<usize>()
    }

    /// What was read and is in no batch yet.
    pub(super) fn gathered_bytes(&self) -> usize {
        self.size_bytes + self.records.len() * OVERHEAD_BYTES
    }

    /// Whether its next batch may be read whatever the others hold: so a partition whose batches are slow takes nothing
    /// from its neighbours.
    pub(super) fn is_first(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// The offset of the next record to be read, if nothing is in hand.
    pub(super) fn reads_from(&self) -> Option<i64> {
        (self.is_first() && self.records.is_empty()).then_some(self.expected_offset)
    }

    /// Takes in what was read. `position` is where the reader stands: at the end of the partition that is beyond the
    /// last record, because transaction markers take offsets too.
    pub(super) fn add(
        &mut self,
        read: &mut Vec<LogRecord>,
        outcome: ReadOutcome,
        position: Option<i64>,
        now: Instant,
    ) -> Option<Cut> {
        // Below this everything is in a batch already. A log that repeats itself must not double a row.
        let floor = self
            .records
            .last()
            .map_or(self.expected_offset, |record| record.offset + 1);
        read.retain(|record| record.offset >= floor);
        if !read.is_empty() {
            self.oldest.get_or_insert(now);
            self.size_bytes += read.iter().map(size_bytes).sum::<usize>();
            self.records.append(read);
        }
        let at_end = outcome == ReadOutcome::End;
        let full = self.records.len() >= self.limits.rows || self.size_bytes >= self.limits.bytes;
        if full || at_end || self.is_old(now) {
            self.cut(at_end.then_some(position).flatten())
        } else {
            None
        }
    }

    fn is_old(&self, now: Instant) -> bool {
        self.oldest
            .is_some_and(|oldest| now.duration_since(oldest) >= self.limits.age)
    }

    /// When the records in hand become a batch of their own accord.
    pub(super) fn due(&self) -> Option<Instant> {
        self.oldest.map(|oldest| oldest + self.limits.age)
    }

    fn cut(&mut self, end: Option<i64>) -> Option<Cut> {
        let after_last = self.records.last().map(|record| record.offset + 1);
        let next_offset = after_last.max(end).unwrap_or(self.expected_offset);
        if next_offset <= self.expected_offset {
            return None;
        }
        let expected_offset = std::mem::replace(&mut self.expected_offset, next_offset);
        self.in_flight.push_back(self.gathered_bytes());
        self.size_bytes = 0;
        self.oldest = None;
        Some(Cut {
            expected_offset,
            next_offset,
            records: std::mem::take(&mut self.records),
        })
    }

    /// A batch is settled.
    pub(super) fn settled(&mut self) {
        self.in_flight.pop_front();
    }
}

fn size_bytes(record: &LogRecord) -> usize {
    record.value.as_ref().map_or(0, bytes::Bytes::len)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        messages::Route,
        model::{PartitionKey, TopicId},
    };

    fn reading(rows: usize, next_offset: i64) -> Reading {
        let claim = Claim {
            key: PartitionKey {
                pipeline: "p".into(),
                topic: "t".into(),
                partition: 0,
            },
            topic_id: TopicId(uuid::Uuid::nil()),
            epoch: 1,
            route: Route {
                transformer: 0,
                writer: 0,
            },
        };
        let limits = Batch {
            rows,
            bytes: 1 << 20,
            age: Duration::from_millis(200),
        };
        Reading::new(Arc::new(claim), next_offset, limits)
    }

    fn records(offsets: std::ops::Range<i64>) -> Vec<LogRecord> {
        let record = |offset| LogRecord {
            offset,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        offsets.map(record).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_is_cut_and_offsets_follow_without_a_gap() {
        let mut reading = reading(3, 10);
        let cut = reading
            .add(&mut records(10..13), ReadOutcome::More, None, Instant::now())
            .expect("it is full");
        assert_eq!((cut.expected_offset, cut.next_offset, cut.records.len()), (10, 13, 3));
        // 13 is a transaction marker.
        let cut = reading
            .add(&mut records(14..17), ReadOutcome::More, None, Instant::now())
            .expect("it is full");
        assert_eq!((cut.expected_offset, cut.next_offset), (13, 17));
    }

    #[tokio::test(start_paused = true)]
    async fn records_that_come_a_second_time_are_dropped() {
        let mut reading = reading(3, 10);
        let cut = reading.add(&mut records(8..13), ReadOutcome::More, None, Instant::now());
        assert_eq!(cut.expect("it is full").records.len(), 3);
        assert!(
            reading
                .add(&mut records(11..13), ReadOutcome::Empty, None, Instant::now())
                .is_none()
        );
        assert_eq!(reading.due(), None, "nothing new came");
    }

    #[tokio::test(start_paused = true)]
    async fn two_unsettled_batches_hold_the_reader_back() {
        let mut reading = reading(1, 0);
        reading.add(&mut records(0..1), ReadOutcome::More, None, Instant::now());
        assert!(reading.room().is_some());
        reading.add(&mut records(1..2), ReadOutcome::More, None, Instant::now());
        assert!(reading.room().is_none());
        reading.settled();
        assert!(reading.room().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_is_what_was_read_and_is_not_settled() {
        let mut reading = reading(3, 0);
        reading.add(&mut records(0..2), ReadOutcome::More, None, Instant::now());
        assert_eq!((reading.gathered_bytes(), reading.held_bytes()), (512, 512));
        reading.add(&mut records(2..3), ReadOutcome::More, None, Instant::now());
        reading.add(&mut records(3..4), ReadOutcome::More, None, Instant::now());
        assert_eq!((reading.gathered_bytes(), reading.held_bytes()), (256, 1_024));
        reading.settled();
        assert_eq!(reading.held_bytes(), 256);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_is_not_full_goes_when_it_is_old() {
        let mut reading = reading(100, 0);
        let now = Instant::now();
        assert!(reading.add(&mut records(0..2), ReadOutcome::Empty, None, now).is_none());
        let later = now + Duration::from_millis(200);
        assert_eq!(reading.due(), Some(later));
        let cut = reading
            .add(&mut Vec::new(), ReadOutcome::Empty, None, later)
            .expect("it is old");
        assert_eq!(cut.next_offset, 2);
        assert_eq!(reading.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_the_offset_moves_beyond_the_markers() {
        let mut reading = reading(100, 5);
        let now = Instant::now();
        let cut = reading
            .add(&mut records(5..7), ReadOutcome::End, Some(8), now)
            .expect("the end is a batch");
        assert_eq!((cut.expected_offset, cut.next_offset, cut.records.len()), (5, 8, 2));
        let cut = reading
            .add(&mut Vec::new(), ReadOutcome::End, Some(9), now)
            .expect("an aborted transaction");
        assert_eq!((cut.expected_offset, cut.next_offset, cut.records.len()), (8, 9, 0));
        reading.settled();
        assert!(
            reading.add(&mut Vec::new(), ReadOutcome::End, Some(9), now).is_none(),
            "nothing has moved"
        );
    }
}
