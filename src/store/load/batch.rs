//! What one load transaction gets, and what becomes of it.

use std::ops::Range;

use crate::{
    model::{LogRecord, Position, RecordCounts, Rejected, RowCounts, Stage},
    sql::Transformed,
    store::offsets::Fence,
};

/// A batch, or a part of one: the records of `window` and everything that belongs to them.
#[derive(Clone)]
pub struct LoadBatch<'a> {
    /// The right to move the offset, and from where.
    pub fence: Fence,
    /// `next_offset` after the batch.
    pub next_offset: i64,
    /// All records of the transformed batch, in offset order.
    pub records: &'a [LogRecord],
    /// Which of `records` this transaction is about.
    pub window: Range<usize>,
    /// The rows of all records; their lineage points into `records`.
    pub rows: &'a Transformed,
    /// What earlier stages refused. Those outside `window` are left out here.
    pub rejected: &'a [Rejected],
    /// The brake: with more dead letters than this nothing is written and the outcome is [`Outcome::Braked`].
    pub max_dead: usize,
    /// Asked with the number of dead letters just before the offset moves: `false` = [`Outcome::Braked`]. What it has let
    /// through is the caller's to take back, should the transaction not commit.
    pub allow_dead: Option<&'a dyn Fn(usize) -> bool>,
    /// The batch is one record that was tried before: when it is still too much for the server (memory, time), it is
    /// the record's fault.
    pub reject_if_too_large: bool,
}

impl<'a> LoadBatch<'a> {
    /// The whole of a transformed batch.
    pub fn whole(
        fence: Fence,
        next_offset: i64,
        records: &'a [LogRecord],
        rows: &'a Transformed,
        rejected: &'a [Rejected],
    ) -> Self {
        let window = 0..records.len();
        let (max_dead, reject_if_too_large) = (usize::MAX, false);
        Self {
            fence,
            next_offset,
            records,
            window,
            rows,
            rejected,
            max_dead,
            allow_dead: None,
            reject_if_too_large,
        }
    }

    /// Two batches to be written one after the other, where this one is too much for the server at once; `None` where
    /// it has but one record. The first ends at the second's first record.
    pub fn split(&self) -> Option<(Self, Self)> {
        if self.window.len() < 2 {
            return None;
        }
        let middle = self.window.start + self.window.len() / 2;
        let cut = self.records[middle].offset;
        let first = Self {
            next_offset: cut,
            window: self.window.start..middle,
            ..self.clone()
        };
        let second = Self {
            fence: Fence {
                expected: cut,
                ..self.fence.clone()
            },
            window: middle..self.window.end,
            ..self.clone()
        };
        Some((first, second))
    }

    /// The earlier stages' letters for the records of the window. Offsets decide, because letters have no index.
    pub(super) fn earlier_letters(&self) -> impl Iterator<Item = &'a Rejected> + use<'a> {
        let offsets = self.fence.expected..self.next_offset;
        self.rejected
            .iter()
            .filter(move |letter| offsets.contains(&letter.position.offset))
    }

    /// The dead letter of a record that PostgreSQL, or the encoder in its stead, has refused.
    pub(super) fn letter(&self, record: u32, table: &str, reason: String) -> Rejected {
        let record = &self.records[record as usize];
        Rejected {
            position: Position {
                topic: self.fence.key.topic.clone(),
                partition: self.fence.key.partition,
                offset: record.offset,
            },
            stage: Stage::Write,
            reason,
            table: Some(table.to_owned()),
            key: record.key.clone(),
            payload: record.value.clone(),
            headers: record.headers.clone(),
            timestamp_ms: record.timestamp_ms,
        }
    }
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is committed, now or by an earlier attempt.
    Settled {
        /// The partition's `next_offset`.
        next_offset: i64,
        /// What became of its records.
        counts: RecordCounts,
        /// What became of its rows, a table each in the configuration's order.
        rows: Vec<RowCounts>,
        /// The dead letters that went with it, those of earlier stages included, in offset order.
        dead: Vec<Rejected>,
    },
    /// The partition has another owner, or its topic is another one. Nothing was written.
    Lost,
    /// PostgreSQL went back to an earlier offset (a fail-over): claim again. Nothing was written.
    WentBack,
    /// More dead letters than `max_dead`. Nothing was written; these are the first.
    Braked {
        /// Up to `max_dead + 1` letters.
        dead: Vec<Rejected>,
    },
    /// Only after an unknown commit: it did not take effect. Write the batch again.
    NotWritten,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PartitionKey, TopicId};

    fn record(offset: i64) -> LogRecord {
        LogRecord {
            offset,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    #[test]
    fn the_parts_of_a_split_batch_meet_at_a_record_and_lose_none() {
        let records: Vec<_> = [10, 11, 15, 16, 20].into_iter().map(record).collect();
        let rows = Transformed {
            tables: Vec::new(),
            failures: Vec::new(),
        };
        let key = PartitionKey {
            pipeline: "p".into(),
            topic: "t".into(),
            partition: 0,
        };
        let fence = Fence {
            key,
            topic_id: TopicId(uuid::Uuid::nil()),
            epoch: 1,
            expected: 9,
        };
        let whole = LoadBatch::whole(fence, 22, &records, &rows, &[]);
        let letters: Vec<_> = (0..5).map(|index| whole.letter(index, "t", String::new())).collect();
        let whole = LoadBatch {
            rejected: &letters,
            ..whole
        };

        let mut parts = vec![whole];
        while let Some(index) = parts.iter().position(|part| part.split().is_some()) {
            let (first, second) = parts[index].split().unwrap();
            assert_eq!(first.next_offset, second.fence.expected);
            parts.splice(index..=index, [first, second]);
        }
        let moves: Vec<_> = parts
            .iter()
            .map(|part| (part.fence.expected, part.next_offset))
            .collect();
        assert_eq!(moves, [(9, 11), (11, 15), (15, 16), (16, 20), (20, 22)]);
        for (index, part) in parts.iter().enumerate() {
            assert_eq!(part.window, index..index + 1);
            let letters: Vec<_> = part.earlier_letters().map(|letter| letter.position.offset).collect();
            assert_eq!(letters, [records[index].offset]);
        }
    }
}
