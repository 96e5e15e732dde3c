//! Whether a partition may go on at an offset, and what that leaves out. Pure.

use std::str::FromStr;

use crate::{
    log::Bounds,
    model::{LostRange, TopicId},
    store::offsets::PartitionState,
};

/// Where a partition shall go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipTo {
    /// At this offset.
    Offset(i64),
    /// At the first offset that the log holds.
    Low,
    /// At the end: past everything that the log holds now.
    End,
}

impl FromStr for SkipTo {
    type Err = String;

    /// `low`, `end` or an offset.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "low" => Ok(Self::Low),
            "end" => Ok(Self::End),
            _ => match text.parse() {
                Ok(offset) if offset >= 0 => Ok(Self::Offset(offset)),
                _ => Err(format!(
                    "{text:?} is no offset; give a number from 0 on, `low` or `end`"
                )),
            },
        }
    }
}

impl std::fmt::Display for SkipTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Offset(offset) => offset.fmt(f),
            Self::Low => f.write_str("low"),
            Self::End => f.write_str("end"),
        }
    }
}

/// A skip that may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decided {
    /// Where the partition goes on.
    pub(super) to: i64,
    /// Records from here on and before `to` are in the log, and skipped.
    pub(super) count_from: i64,
    /// Skipped offsets that are gone; `None` = nobody knows how many.
    pub(super) num_uncounted_offsets: Option<u64>,
}

/// Decides, or refuses with a sentence.
pub(super) fn decide(
    row: &PartitionState,
    stop: Option<&LostRange>,
    topic_id: TopicId,
    bounds: Bounds,
    to: SkipTo,
) -> Result<Decided, String> {
    let Bounds { low, last_stable } = bounds;
    let (next, place) = (row.next_offset, format!("{}[{}]", row.key.topic, row.key.partition));
    let to = match to {
        SkipTo::Offset(offset) => offset,
        SkipTo::Low => low,
        SkipTo::End => last_stable,
    };
    // Where a log that has lost its end ended: what lies there and later is new.
    let first_new = stop
        .and_then(|stop| stop.log_end)
        .or((next > last_stable).then_some(last_stable));
    let is_replaced = row.topic_id != topic_id;
    let is_new = is_replaced || first_new.is_some_and(|first_new| to >= first_new);
    if to < next && !is_new {
        return Err(if next < low || to >= low {
            format!(
                "{place} is loaded up to offset {next}: going on at {to} would read records twice. To load records again, use \
                 a topic or a pipeline of another name"
            )
        } else {
            format!("{place} is loaded up to offset {next}, and the log begins at {low} anyhow: {to} leads nowhere")
        });
    }
    if to < low {
        return Err(format!(
            "offset {to} of {place} is gone: the log begins at {low}; use --to-low"
        ));
    }
    if to > last_stable {
        return Err(format!(
            "offset {to} of {place} is not there yet: the log ends at {last_stable}; use --to-end"
        ));
    }
    let decided = |count_from: i64, num_uncounted_offsets| {
        Ok(Decided {
            to,
            count_from: count_from.min(to),
            num_uncounted_offsets,
        })
    };
    match first_new {
        _ if is_replaced => decided(low, None),
        // The operator knows that the log is whole again, or leaves what grew there: nobody can tell, so nobody counts.
        Some(_) if to == next => decided(to, None),
        Some(first_new) => decided(first_new.max(low), None),
        None if next < low => decided(low, Some((low - next).cast_unsigned())),
        None if to == next && stop.is_none() => Err(format!("{place} stands at offset {next} already")),
        None => decided(next, Some(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PartitionKey, RecordCounts};

    const OLD: TopicId = TopicId(uuid::Uuid::from_u128(1));
    const NEW: TopicId = TopicId(uuid::Uuid::from_u128(2));

    fn row(next_offset: i64) -> PartitionState {
        PartitionState {
            key: PartitionKey {
                pipeline: "p".into(),
                topic: "t".into(),
                partition: 0,
            },
            topic_id: OLD,
            epoch: 3,
            next_offset,
            owner: "somebody".into(),
            counts: RecordCounts::default(),
            updated_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    fn ask(next: i64, topic_id: TopicId, log: (i64, i64), to: SkipTo) -> Result<Decided, String> {
        let (low, last_stable) = log;
        let stop = LostRange::of_position(&row(next).key, next, low, last_stable);
        decide(&row(next), stop.as_ref(), topic_id, Bounds { low, last_stable }, to)
    }

    fn done(to: i64, count_from: i64, num_uncounted_offsets: Option<u64>) -> Result<Decided, String> {
        Ok(Decided {
            to,
            count_from,
            num_uncounted_offsets,
        })
    }

    #[test]
    fn what_retention_has_taken_is_left_out_and_what_is_there_is_counted() {
        assert_eq!(ask(50, OLD, (80, 90), SkipTo::Low), done(80, 80, Some(30)));
        assert_eq!(ask(50, OLD, (80, 90), SkipTo::Offset(85)), done(85, 80, Some(30)));
        assert_eq!(ask(50, OLD, (80, 90), SkipTo::End), done(90, 80, Some(30)));
        assert!(
            ask(50, OLD, (80, 90), SkipTo::Offset(79))
                .unwrap_err()
                .contains("begins at 80")
        );
        assert!(
            ask(50, OLD, (80, 90), SkipTo::Offset(91))
                .unwrap_err()
                .contains("ends at 90")
        );
    }

    #[test]
    fn nothing_is_read_twice() {
        for to in [SkipTo::Low, SkipTo::Offset(49)] {
            let refused = ask(50, OLD, (0, 90), to).unwrap_err();
            assert!(refused.contains("would read records twice"), "{refused}");
        }
        assert!(
            ask(50, OLD, (0, 90), SkipTo::Offset(50))
                .unwrap_err()
                .contains("already")
        );
        assert_eq!(ask(50, OLD, (0, 90), SkipTo::Offset(51)), done(51, 50, Some(0)));
    }

    #[test]
    fn a_topic_made_again_goes_on_anywhere_in_the_new_one() {
        assert_eq!(ask(50, NEW, (0, 90), SkipTo::Low), done(0, 0, None));
        assert_eq!(ask(50, NEW, (0, 10), SkipTo::End), done(10, 0, None));
        assert!(ask(50, NEW, (0, 10), SkipTo::Offset(50)).is_err());
    }

    #[test]
    fn a_log_that_lost_its_end_goes_on_where_it_ended_then() {
        assert_eq!(ask(80, OLD, (0, 50), SkipTo::Offset(50)), done(50, 50, None));
        assert!(ask(80, OLD, (0, 50), SkipTo::Offset(49)).unwrap_err().contains("twice"));
        assert!(ask(80, OLD, (0, 50), SkipTo::Offset(80)).is_err());
        // It has grown since.
        let stop = LostRange::of_position(&row(80).key, 80, 0, 50);
        let grown = |to| {
            let bounds = Bounds {
                low: 0,
                last_stable: 95,
            };
            decide(&row(80), stop.as_ref(), OLD, bounds, to)
        };
        assert_eq!(grown(SkipTo::Offset(50)), done(50, 50, None));
        assert_eq!(grown(SkipTo::Offset(60)), done(60, 50, None));
        assert_eq!(grown(SkipTo::Offset(80)), done(80, 80, None));
        assert_eq!(grown(SkipTo::End), done(95, 50, None));
        assert!(grown(SkipTo::Offset(49)).unwrap_err().contains("twice"));
    }

    #[test]
    fn targets_are_read_from_text() {
        assert_eq!("low".parse(), Ok(SkipTo::Low));
        assert_eq!("end".parse(), Ok(SkipTo::End));
        assert_eq!("17".parse(), Ok(SkipTo::Offset(17)));
        assert!("-1".parse::<SkipTo>().is_err() && "soon".parse::<SkipTo>().is_err());
    }
}
