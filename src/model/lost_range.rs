//! Offsets that were never loaded and cannot be read any more. Who finds one stops; only a person goes on.

use serde::{Deserialize, Serialize};

use super::{PartitionKey, TopicId};

/// How a position was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The log has deleted records before they were loaded.
    Retention,
    /// The log ends before the position: it has lost its end, or PostgreSQL comes from a later time than the log.
    LogEnd,
    /// The topic was deleted and created again: the same numbers mean other records.
    TopicReplaced,
    /// The topic does not exist.
    TopicAbsent,
}

impl Loss {
    /// The name in `aqueduct.stops` and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::LogEnd => "log_end",
            Self::TopicReplaced => "topic_replaced",
            Self::TopicAbsent => "topic_absent",
        }
    }

    /// The loss with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Retention, Self::LogEnd, Self::TopicReplaced, Self::TopicAbsent]
            .into_iter()
            .find(|loss| loss.name() == name)
    }
}

/// What a partition has lost, and how a person leads it on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRange {
    /// The pipeline.
    pub pipeline: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first lost offset: everything below is loaded.
    pub from: i64,
    /// The last lost offset; `None` = unknown.
    pub to: Option<i64>,
    /// How it was lost.
    pub reason: Loss,
    /// Where the log ended when [`Loss::LogEnd`] was found: what comes at this offset and later is new.
    pub log_end: Option<i64>,
    /// What was seen, in a sentence.
    pub found: String,
    /// What to do, with the exact command.
    pub remedy: String,
}

impl LostRange {
    /// A loss as it was found or written down, with its remedy.
    pub fn new(
        key: &PartitionKey,
        reason: Loss,
        from: i64,
        to: Option<i64>,
        log_end: Option<i64>,
        found: String,
    ) -> Self {
        let target = log_end.map_or_else(|| "--to-low".to_owned(), |end| format!("--to {end}"));
        let command = format!(
            "aqueduct offsets skip --pipeline {} --partition {} {target}",
            key.pipeline, key.partition
        );
        let remedy = match reason {
            Loss::TopicAbsent => format!("create the topic again, then: {command}"),
            _ => command,
        };
        Self {
            pipeline: key.pipeline.to_string(),
            topic: key.topic.to_string(),
            partition: key.partition,
            from,
            to,
            reason,
            log_end,
            found,
            remedy,
        }
    }

    /// The topic is another one than the one that was claimed.
    pub fn topic_replaced(key: &PartitionKey, next_offset: i64, recorded: TopicId, found: TopicId) -> Self {
        let sentence = format!(
            "topic {} was deleted and created again (its identity was {recorded} and is {found}): what the old one held from \
             offset {next_offset} on is lost to this pipeline",
            key.topic
        );
        Self::new(key, Loss::TopicReplaced, next_offset, None, None, sentence)
    }

    /// The topic is gone.
    pub fn topic_absent(key: &PartitionKey, next_offset: i64) -> Self {
        let sentence = format!(
            "topic {} does not exist any more: what it held from offset {next_offset} on is lost to this pipeline",
            key.topic
        );
        Self::new(key, Loss::TopicAbsent, next_offset, None, None, sentence)
    }

    /// What is wrong with a position in a log that holds the offsets from `low` up to, without it, `last_stable`.
    pub fn of_position(key: &PartitionKey, next_offset: i64, low: i64, last_stable: i64) -> Option<Self> {
        if next_offset < low {
            let to = low - 1;
            let sentence =
                format!("offsets {next_offset} to {to} are gone: retention has passed them before they were loaded");
            Some(Self::new(key, Loss::Retention, next_offset, Some(to), None, sentence))
        } else if next_offset > last_stable {
            let sentence = format!(
                "the log ends at offset {last_stable} but {next_offset} was loaded already: the log has lost its end, and \
                 what it held from offset {next_offset} on is lost to this pipeline"
            );
            Some(Self::new(
                key,
                Loss::LogEnd,
                next_offset,
                None,
                Some(last_stable),
                sentence,
            ))
        } else {
            None
        }
    }

    /// What retention has taken by now, where the log begins at `low`: it goes on while the partition stands still.
    pub fn grown_to(self, low: Option<i64>) -> Self {
        let key = PartitionKey {
            pipeline: self.pipeline.as_str().into(),
            topic: self.topic.as_str().into(),
            partition: self.partition,
        };
        match low {
            Some(low) if self.reason == Loss::Retention => {
                Self::of_position(&key, self.from, low, i64::MAX).unwrap_or(self)
            }
            _ => self,
        }
    }

    /// `offsets 5 to 19`, `offsets from 5 on (to: unknown)`.
    pub fn offsets(&self) -> String {
        match self.to {
            Some(to) => format!("offsets {} to {to}", self.from),
            None => format!("offsets from {} on (to: unknown)", self.from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PartitionKey {
        PartitionKey {
            pipeline: "p".into(),
            topic: "t".into(),
            partition: 2,
        }
    }

    #[test]
    fn a_position_within_the_log_is_not_lost() {
        for next in [5, 7, 9] {
            assert_eq!(LostRange::of_position(&key(), next, 5, 9), None, "{next}");
        }
    }

    #[test]
    fn each_loss_names_its_range_and_the_command_that_leads_on() {
        let retention = LostRange::of_position(&key(), 4, 9, 20).unwrap();
        assert_eq!(
            (retention.from, retention.to, retention.reason),
            (4, Some(8), Loss::Retention)
        );
        assert_eq!(
            retention.remedy,
            "aqueduct offsets skip --pipeline p --partition 2 --to-low"
        );
        let log_end = LostRange::of_position(&key(), 30, 9, 20).unwrap();
        assert_eq!((log_end.from, log_end.to, log_end.reason), (30, None, Loss::LogEnd));
        assert!(log_end.remedy.ends_with(" --partition 2 --to 20"), "{}", log_end.remedy);
        let absent = LostRange::topic_absent(&key(), 3);
        assert!(
            absent
                .remedy
                .starts_with("create the topic again, then: aqueduct offsets skip")
        );
        assert_eq!(absent.offsets(), "offsets from 3 on (to: unknown)");
    }

    #[test]
    fn each_loss_is_found_by_its_name() {
        for loss in [Loss::Retention, Loss::LogEnd, Loss::TopicReplaced, Loss::TopicAbsent] {
            assert_eq!(Loss::named(loss.name()), Some(loss));
            assert_eq!(serde_json::to_value(loss).unwrap(), loss.name());
        }
        assert_eq!(Loss::named("theft"), None);
    }
}
