//! What the answers said, and whether anything moves by them.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::{
    log::Bounds,
    model::{RecordCounts, RowCounts},
};

/// What the last answers said.
#[derive(Default)]
pub(super) struct Found {
    pub(super) bounds: BTreeMap<i32, Bounds>,
    pub(super) fetched_and_produced: Option<(u64, u64)>,
    pub(super) next_offsets: BTreeMap<i32, i64>,
    pub(super) records: RecordCounts,
    pub(super) tables: BTreeMap<String, RowCounts>,
    moved: Option<Moved>,
    moved_partitions: BTreeMap<i32, Moved>,
}

/// When the load side, or one partition, was last seen to get on.
struct Moved {
    sum: i64,
    at: Instant,
    since: DateTime<Utc>,
}

impl Moved {
    fn now(sum: i64) -> Self {
        let (at, since) = (Instant::now(), Utc::now());
        Self { sum, at, since }
    }
}

/// Records that wait while nothing is settled.
#[derive(Debug)]
pub(in crate::daemon) struct Still {
    /// `None` = of no partition.
    pub(in crate::daemon) partition: Option<i32>,
    pub(in crate::daemon) since: DateTime<Utc>,
    pub(in crate::daemon) lag: i64,
}

/// A partition as last seen by the pulse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenPartition {
    /// Its number.
    pub partition: i32,
    /// Everything below it is settled.
    pub next_offset: i64,
    /// Offsets up to the last stable one.
    pub lag: i64,
}

impl Found {
    pub(super) fn partitions(&self) -> impl Iterator<Item = SeenPartition> {
        self.bounds.iter().map(|(partition, bounds)| {
            let next_offset = self.next_offsets.get(partition).copied().unwrap_or(bounds.low);
            SeenPartition {
                partition: *partition,
                next_offset,
                lag: (bounds.last_stable - next_offset).max(0),
            }
        })
    }

    pub(super) fn lag(&self) -> i64 {
        self.partitions().map(|partition| partition.lag).sum()
    }

    /// Whether PostgreSQL has answered yet.
    pub(super) fn has_looked(&self) -> bool {
        self.moved.is_some()
    }

    /// Records moved, or there was nothing to move.
    pub(super) fn look(&mut self) {
        let sum = self.next_offsets.values().sum();
        let has_moved = self.lag() == 0 || self.moved.as_ref().is_none_or(|moved| moved.sum != sum);
        if has_moved {
            self.moved = Some(Moved::now(sum));
        }
        let seen: Vec<_> = self.partitions().collect();
        self.moved_partitions
            .retain(|partition, _| seen.iter().any(|seen| seen.partition == *partition));
        for SeenPartition {
            partition,
            next_offset,
            lag,
        } in seen
        {
            let known = self.moved_partitions.get(&partition);
            if lag == 0 || known.is_none_or(|moved| moved.sum != next_offset) {
                self.moved_partitions.insert(partition, Moved::now(next_offset));
            }
        }
    }

    /// Where nothing was settled for longer than `limit`, or in one partition for longer than `partition_limit`.
    pub(super) fn still(&self, limit: Duration, partition_limit: Duration) -> Vec<Still> {
        let lag = self.lag();
        let everywhere = self
            .moved
            .as_ref()
            .filter(|moved| lag > 0 && moved.at.elapsed() > limit);
        if let Some(Moved { since, .. }) = everywhere {
            let (partition, since) = (None, *since);
            return vec![Still { partition, since, lag }];
        }
        let of_partition = |seen: SeenPartition| {
            let moved = self.moved_partitions.get(&seen.partition)?;
            (seen.lag > 0 && moved.at.elapsed() > partition_limit).then_some(Still {
                partition: Some(seen.partition),
                since: moved.since,
                lag: seen.lag,
            })
        };
        self.partitions().filter_map(of_partition).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(120));

    fn found(next_offsets: [i64; 2]) -> Found {
        let bounds = |last_stable| Bounds { low: 0, last_stable };
        Found {
            bounds: BTreeMap::from([(0, bounds(1_000)), (1, bounds(10))]),
            next_offsets: BTreeMap::from([(0, next_offsets[0]), (1, next_offsets[1])]),
            ..Found::default()
        }
    }

    fn places(found: &Found) -> Vec<Option<i32>> {
        let still = found.still(LIMITS.0, LIMITS.1);
        still.into_iter().map(|still| still.partition).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_stands_still_is_seen_beside_one_that_moves_and_an_idle_one_never_is() {
        let mut found = found([0, 3]);
        for second in 0..=120 {
            found.next_offsets.insert(0, second);
            found.look();
            assert_eq!(places(&found), [], "after {second} s");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(places(&found), [Some(1)]);
        // At its end it may rest for hours.
        found.next_offsets.insert(1, 10);
        for hour in 0..24 {
            found.next_offsets.insert(0, 500 + hour);
            found.look();
            assert_eq!(places(&found), []);
            tokio::time::advance(Duration::from_secs(100)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_moves_at_all_it_is_said_once_and_sooner() {
        let mut found = found([5, 3]);
        found.look();
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(places(&found), [None]);
    }
}
