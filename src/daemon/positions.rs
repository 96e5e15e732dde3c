//! Where each partition of a pipeline stands, and how a person leads one on. Works without a running daemon, too.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    building,
    skipping::{self, SkipTo},
};
use crate::{
    config::settings::Pipeline,
    log::{Bounds, Inspector, Log, LogError, TopicSpec},
    model::{LostRange, PartitionKey, TopicId},
    store::{ConnectInfo, Session, StoreError, offsets, offsets::PartitionState, skips, stops},
    supervision::BoxError,
    topology::Wiring,
};

/// One partition, as `aqueduct offsets show` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionPosition {
    /// The pipeline.
    pub pipeline: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The topic's identity when the partition was first claimed; `None` = never claimed.
    pub topic_id: Option<String>,
    /// `aqueduct.offsets.next_offset`.
    pub next_offset: Option<i64>,
    /// The number of the last claim.
    pub epoch: Option<i64>,
    /// Who made it.
    pub owner: Option<String>,
    /// The first offset that the log holds.
    pub low: Option<i64>,
    /// Where a `read_committed` reader ends.
    pub last_stable: Option<i64>,
    /// Offsets between `next_offset` and `last_stable`, transaction markers included.
    pub lag: Option<i64>,
    /// What it is at, as far as the one who answers knows.
    pub state: String,
    /// What it has lost.
    pub lost: Option<LostRange>,
}

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkipRequest {
    /// The partition.
    pub partition: i32,
    /// Where it shall go on.
    pub to: SkipTo,
    /// Who asks: user and host.
    pub by: String,
}

/// A skip that took effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The pipeline.
    pub pipeline: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where it stood.
    pub from: i64,
    /// Where it goes on.
    pub to: i64,
    /// Skipped records that were still in the log: the ledger counts them as skipped.
    pub num_records: u64,
    /// Skipped offsets that were gone; `None` = not even their number is known.
    pub num_uncounted_offsets: Option<u64>,
}

/// Why nothing was skipped, or moved to another log.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It would be wrong, says the sentence.
    #[error("{0}")]
    Refused(String),
    /// PostgreSQL did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A log did not answer.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The positions of one pipeline.
pub struct Positions {
    connect: Arc<ConnectInfo>,
    log: Arc<dyn Log>,
    spec: TopicSpec,
}

impl Positions {
    pub(super) fn new(wiring: &Wiring) -> Self {
        let (connect, log, spec) = (wiring.connect.clone(), wiring.log.clone(), wiring.spec.clone());
        Self { connect, log, spec }
    }

    pub(super) fn of(pipeline: &Pipeline, connect: Arc<ConnectInfo>, log: Arc<dyn Log>) -> Self {
        // The source's cursors are no matter here.
        let spec = building::spec(pipeline, None);
        Self { connect, log, spec }
    }

    /// The pipeline's name.
    pub fn pipeline(&self) -> &str {
        &self.spec.pipeline
    }

    fn key(&self, partition: i32) -> PartitionKey {
        PartitionKey {
            pipeline: self.spec.pipeline.clone(),
            topic: self.spec.topic.clone(),
            partition,
        }
    }

    /// All partitions, of the topic or of `aqueduct.offsets`. Blocks for milliseconds, or up to some seconds in an outage.
    pub fn show(&self) -> Result<Vec<PartitionPosition>, BoxError> {
        let inspector = self.log.inspector(&self.spec)?;
        let topic = look(inspector.as_ref())?;
        let mut session = Session::connect(&self.connect, "offsets")?;
        let rows = rows(&mut session, &self.spec)?;
        let lost = lost(&mut session, &self.spec, &rows, topic.as_ref())?;
        let num_rows = rows.iter().map(|row| row.key.partition + 1).max().unwrap_or(0);
        let num_partitions = topic.as_ref().map_or(0, |topic| topic.bounds.len());
        let all = 0..num_rows.max(i32::try_from(num_partitions).unwrap_or(i32::MAX));
        let position = |partition: i32| {
            let row = rows.iter().find(|row| row.key.partition == partition);
            let lost = lost.iter().find(|lost| lost.partition == partition);
            let bounds = topic.as_ref().and_then(|topic| topic.bounds(partition));
            PartitionPosition {
                pipeline: self.spec.pipeline.to_string(),
                topic: self.spec.topic.to_string(),
                partition,
                topic_id: row.map(|row| row.topic_id.to_string()),
                next_offset: row.map(|row| row.next_offset),
                epoch: row.map(|row| row.epoch),
                owner: row.map(|row| row.owner.clone()),
                low: bounds.map(|bounds| bounds.low),
                last_stable: bounds.map(|bounds| bounds.last_stable),
                lag: topic.as_ref().and_then(|topic| topic.lag(partition, row)),
                state: match (lost, row) {
                    (Some(lost), _) => format!("stopped: {}", lost.found),
                    (None, Some(_)) => "claimed".into(),
                    (None, None) => "never claimed".into(),
                },
                lost: lost.cloned(),
            }
        };
        Ok(all.map(position).collect())
    }

    /// Leads a partition on. The records of the range that are still there are read to count them, which may take its time.
    pub fn skip(&self, request: &SkipRequest) -> Result<Skipped, ChangeError> {
        let inspector = self.log.inspector(&self.spec)?;
        let (key, partition) = (self.key(request.partition), request.partition);
        let Some(topic) = look(inspector.as_ref())? else {
            return Err(ChangeError::Refused(format!(
                "topic {} does not exist, so there is no offset to go on from; create it (a pipeline that fetches creates it \
                 when it starts), then skip",
                self.spec.topic
            )));
        };
        // A partition that the topic does not have any more goes on where it will begin if it comes back.
        let nowhere = Bounds { low: 0, last_stable: 0 };
        let bounds = topic.bounds(partition).unwrap_or(nowhere);
        let decide = |row: &PartitionState, stop: Option<&LostRange>| {
            skipping::decide(row, stop, topic.id, bounds, request.to).map_err(ChangeError::Refused)
        };
        let mut session = Session::connect(&self.connect, "offsets")?;
        let seen = rows(&mut session, &self.spec)?.into_iter().find(|row| row.key == key);
        let Some(seen) = seen else {
            return Err(ChangeError::Refused(format!(
                "partition {partition} of topic {} was never claimed, so there is nothing to skip; run the pipeline first",
                self.spec.topic
            )));
        };
        // Counted before the row is held: its owner goes on meanwhile.
        let early = decide(&seen, stops::find(&mut session, &key)?.as_ref())?;
        let counted = inspector.count_records(partition, early.count_from, early.to)?;
        let mut from = seen.next_offset;
        let skip = skips::skip(&mut session, &key, &request.by, |row, stop| {
            let late = decide(row, stop)?;
            if late.count_from < early.count_from {
                return Err(ChangeError::Refused(
                    "the partition was moved back meanwhile; ask again".into(),
                ));
            }
            let loaded = inspector.count_records(partition, early.count_from, late.count_from)?;
            from = row.next_offset;
            Ok(skips::Skip {
                topic_id: topic.id,
                to: late.to,
                num_records: counted.saturating_sub(loaded),
                num_uncounted_offsets: late.num_uncounted_offsets,
                reason: stop.map_or_else(|| "it had not stopped".to_owned(), |stop| stop.found.clone()),
            })
        })?;
        Ok(Skipped {
            pipeline: self.spec.pipeline.to_string(),
            topic: self.spec.topic.to_string(),
            partition,
            from,
            to: skip.to,
            num_records: skip.num_records,
            num_uncounted_offsets: skip.num_uncounted_offsets,
        })
    }
}

/// The topic as it is now.
pub(super) struct Topic {
    pub(super) id: TopicId,
    /// By partition.
    pub(super) bounds: Vec<Bounds>,
}

impl Topic {
    pub(super) fn bounds(&self, partition: i32) -> Option<Bounds> {
        self.bounds.get(usize::try_from(partition).ok()?).copied()
    }

    /// Offsets to go. The position in a topic that was replaced says nothing about the new one.
    pub(super) fn lag(&self, partition: i32, row: Option<&PartitionState>) -> Option<i64> {
        let bounds = self.bounds(partition)?;
        let next = row.filter(|row| row.topic_id == self.id).map(|row| row.next_offset);
        Some(bounds.last_stable - next.unwrap_or(bounds.low))
    }
}

/// Asks the log; `None` = there is no such topic.
pub(super) fn look(inspector: &dyn Inspector) -> Result<Option<Topic>, LogError> {
    let ask = || {
        let id = inspector.topic_id()?;
        let bounds = (0..inspector.num_partitions()?).map(|partition| inspector.bounds(partition));
        Ok(Topic {
            id,
            bounds: bounds.collect::<Result<_, _>>()?,
        })
    };
    match ask() {
        Ok(topic) => Ok(Some(topic)),
        Err(LogError::Gone { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The rows of `aqueduct.offsets` for the pipeline's present topic.
pub(super) fn rows(session: &mut Session, spec: &TopicSpec) -> Result<Vec<PartitionState>, StoreError> {
    let mut rows = offsets::read_all(session, &spec.pipeline)?;
    rows.retain(|row| row.key.topic == spec.topic);
    Ok(rows)
}

/// What the partitions have lost: what their owners have written down, and what nobody could claim to find out.
pub(super) fn lost(
    session: &mut Session,
    spec: &TopicSpec,
    rows: &[PartitionState],
    topic: Option<&Topic>,
) -> Result<Vec<LostRange>, StoreError> {
    let stops = stops::read_all(session, &spec.pipeline)?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            let stop = stops
                .iter()
                .find(|stop| *stop.topic == *spec.topic && stop.partition == row.key.partition);
            let Some(topic) = topic else {
                return Some(LostRange::topic_absent(&row.key, row.next_offset));
            };
            if let Some(stop) = stop {
                let low = topic.bounds(row.key.partition).map(|bounds| bounds.low);
                return Some(stop.clone().grown_to(low));
            }
            (row.topic_id != topic.id)
                .then(|| LostRange::topic_replaced(&row.key, row.next_offset, row.topic_id, topic.id))
        })
        .collect())
}
