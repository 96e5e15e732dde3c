//! Where `--once` ends for a topic that others fill.

use std::collections::BTreeMap;

use super::PartitionLag;

/// What was in the topic when it was first looked at. Others may go on filling it: that is for the next run.
#[derive(Debug, Default)]
pub(super) struct Goal {
    /// Last stable offsets by partition; `None` = not looked at yet.
    ends: Option<BTreeMap<i32, i64>>,
}

impl Goal {
    /// Whether all of it is settled. The first call sets the goal.
    pub(super) fn is_reached(&mut self, partitions: &[PartitionLag]) -> bool {
        let now = || partitions.iter().map(|at| (at.partition, at.end_offset)).collect();
        let ends = self.ends.get_or_insert_with(now);
        partitions.iter().all(|at| {
            let end = ends.get(&at.partition);
            at.lag == 0 || end.is_none_or(|end| at.next_offset.is_some_and(|next| next >= *end))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(partition: i32, next_offset: Option<i64>, end_offset: i64) -> PartitionLag {
        PartitionLag {
            partition,
            next_offset,
            end_offset,
            lag: end_offset - next_offset.unwrap_or(0),
            owner: None,
        }
    }

    #[test]
    fn what_comes_after_the_start_is_for_the_next_run() {
        let mut goal = Goal::default();
        assert!(!goal.is_reached(&[partition(0, None, 7), partition(1, None, 0)]));
        assert!(!goal.is_reached(&[partition(0, Some(6), 90), partition(1, None, 0)]));
        assert!(goal.is_reached(&[
            partition(0, Some(7), 95),
            partition(1, Some(0), 3),
            partition(2, None, 9)
        ]));
    }

    #[test]
    fn an_empty_topic_is_at_its_end() {
        assert!(Goal::default().is_reached(&[partition(0, None, 0)]));
    }
}
