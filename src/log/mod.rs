//! Where records rest between the two branches: Apache Kafka, or one redb file behind the same traits.
//!
//! All calls of these traits block; they run on threads that a room owns, never on a shared arbiter. An outage is waited
//! out inside the adapter (bounded attempts, back-off) until the call's [`Cancel`] is cancelled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt, Shared};
use tokio_util::sync::CancellationToken;

use crate::model::{CursorRecord, GroupMember, LogRecord, Page, ShardId, TopicId};

pub mod embedded;
mod error;
pub mod kafka;

pub use error::LogError;

/// Ends a blocking call early; checked at least every 100 ms.
pub type Cancel = CancellationToken;

/// The topics of one pipeline and what they should look like if they have to be created.
#[derive(Clone, Debug)]
pub struct TopicSpec {
    /// The pipeline's name; the load branch's consumer group bears it.
    pub pipeline: Arc<str>,
    /// The records' topic.
    pub topic: Arc<str>,
    /// Partitions of the records' topic, if it has to be created.
    pub num_partitions: i32,
    /// Replicas of each topic, if it has to be created.
    pub replication: i32,
    /// The shards of the source: partition `n` of `<pipeline>.cursors` is `shards[n]`. Empty where nothing is fetched.
    pub shards: Arc<[ShardId]>,
}

impl TopicSpec {
    /// The compacted topic with the shards' cursors.
    pub fn cursors_topic(&self) -> String {
        format!("{}.cursors", self.pipeline)
    }
}

/// A log: opens the two sides of it.
pub trait Log: Send + Sync {
    /// Creates the topics that are missing and checks those that are there.
    fn prepare(&self, spec: &TopicSpec, cancel: &Cancel) -> Result<(), LogError>;

    /// Joins the group that shares out the shards. `waker` is called when `poll` has something new.
    fn join_ingest(&self, spec: &TopicSpec, waker: Waker) -> Result<Box<dyn IngestMember>, LogError>;

    /// Opens an owned shard for writing: fences every earlier writer of it and reads its committed cursor.
    fn open_shard(
        &self,
        spec: &TopicSpec,
        shard: &ShardId,
        own: &Ownership,
        cancel: &Cancel,
    ) -> Result<Box<dyn ShardWriter>, LogError>;

    /// Joins the group that shares out the topic's partitions.
    fn join_load(&self, spec: &TopicSpec, waker: Waker) -> Result<Box<dyn LoadMember>, LogError>;

    /// Opens a client that answers questions about the topics.
    fn inspector(&self, spec: &TopicSpec) -> Result<Arc<dyn Inspector>, LogError>;
}

/// Called from any thread, cheap, never blocks: "poll me".
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Whether a shard is still ours. Cleared by the adapter *before* it answers the group's revocation.
#[derive(Clone, Debug, Default)]
pub struct Ownership(Arc<OwnershipState>);

#[derive(Debug, Default)]
struct OwnershipState {
    held: AtomicBool,
    num_polls: AtomicU64,
}

impl Ownership {
    /// A shard that has just been assigned.
    pub fn granted() -> Self {
        let ownership = Self::default();
        ownership.0.held.store(true, Ordering::SeqCst);
        ownership
    }

    /// Whether the shard is ours as far as this process knows.
    pub fn holds(&self) -> bool {
        self.0.held.load(Ordering::SeqCst)
    }

    /// The shard was revoked or lost.
    pub fn clear(&self) {
        self.0.held.store(false, Ordering::SeqCst);
    }

    /// The group member has polled once more: its knowledge is fresh.
    pub fn polled(&self) {
        self.0.num_polls.fetch_add(1, Ordering::SeqCst);
    }

    /// How often the member has polled since the grant. After a fence, re-open only when this has grown.
    pub fn num_polls(&self) -> u64 {
        self.0.num_polls.load(Ordering::SeqCst)
    }
}

/// News for the ingest side.
#[derive(Debug)]
pub enum IngestEvent {
    /// These shards are ours now.
    Assigned(Vec<(ShardId, Ownership)>),
    /// These are not any more; their `Ownership` is already cleared.
    Revoked(Vec<ShardId>),
}

/// A member of the group that shares out the shards; polled for ever by its own thread.
pub trait IngestMember: Send {
    /// Serves the group for at most `wait` and returns what has changed.
    fn poll(&mut self, wait: Duration) -> Result<Vec<IngestEvent>, LogError>;

    /// How long to wait after a fence before the shard may be opened again (one heartbeat).
    fn heartbeat(&self) -> Duration;
}

/// The only writer of one shard, for as long as nobody opens the shard again.
pub trait ShardWriter: Send {
    /// The shard's cursor as last committed; `None` = none yet.
    fn committed(&self) -> Option<&CursorRecord>;

    /// Appends all records of `pages` and then `after`, in one transaction.
    ///
    /// `Err` with [`crate::model::Verdict::Lost`]: fenced, or no longer owner; whether the pages went in is decided by
    /// opening the shard again and reading the cursor. With `Reject`: [`LogError::RecordTooLarge`] names the record, and
    /// nothing was appended.
    fn commit(
        &mut self,
        pages: &[Page],
        after: &CursorRecord,
        own: &Ownership,
        cancel: &Cancel,
    ) -> Result<(), LogError>;

    /// The largest payload that the topic takes, in bytes.
    fn max_record_bytes(&self) -> usize;
}

/// News for the load side.
#[derive(Debug, PartialEq, Eq)]
pub enum LoadEvent {
    /// These partitions are ours: claim them, then `assign` them. Others in the group do not wait for it.
    Assigned(Vec<i32>),
    /// Give these back: settle what is in flight (`lost`: do not), then `release` them. The group waits for it.
    Revoked {
        /// Which.
        partitions: Vec<i32>,
        /// Already somebody else's: no drain.
        lost: bool,
    },
}

/// What a partition's queue had to say after its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// The limit was reached; there may be more.
    More,
    /// Nothing more at the moment.
    Empty,
    /// The end of the partition was reached: [`LoadMember::position`] says where that is.
    End,
    /// The position is outside what the log holds.
    OutOfRange,
}

/// How much one `read` may take.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Records.
    pub records: usize,
    /// Bytes of payloads.
    pub bytes: usize,
}

/// A member of the group that shares out the partitions; used by one thread.
pub trait LoadMember: Send {
    /// Serves the group (never the records) for at most `wait` and returns what has changed.
    fn poll(&mut self, wait: Duration) -> Result<Vec<LoadEvent>, LogError>;

    /// Begins to read these partitions at exactly these offsets.
    fn assign(&mut self, claims: &[(i32, i64)]) -> Result<(), LogError>;

    /// Ends reading; answers a revocation. Partitions that were never assigned are fine.
    fn release(&mut self, partitions: &[i32]) -> Result<(), LogError>;

    /// Takes what is there for this partition, without waiting, in offset order.
    fn read(&mut self, partition: i32, limit: ReadLimit, into: &mut Vec<LogRecord>) -> Result<ReadOutcome, LogError>;

    /// Where the reader of this partition stands, asked right after [`ReadOutcome::End`]: the last stable offset, beyond
    /// the transaction markers that follow the last record. `None` = where it was assigned.
    fn position(&mut self, partition: i32) -> Option<i64>;

    /// Tells the log how far PostgreSQL is, for lag tools only; errors are counted, not returned.
    fn note_settled(&mut self, partition: i32, next_offset: i64);
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that can be read.
    pub low: i64,
    /// The offset below which everything is decided: where a `read_committed` reader ends.
    pub last_stable: i64,
}

/// Answers questions about a pipeline's topics. Calls take milliseconds, or up to 5 s when the log is away.
pub trait Inspector: Send + Sync {
    /// The identity of the records' topic; [`LogError::Gone`] where there is none.
    fn topic_id(&self) -> Result<TopicId, LogError>;

    /// The number of partitions of the records' topic.
    fn num_partitions(&self) -> Result<i32, LogError>;

    /// The bounds of one partition of the records' topic.
    fn bounds(&self, partition: i32) -> Result<Bounds, LogError>;

    /// How many committed records lie from offset `from` on and before `to`, both within the bounds. Reads all of them, unless
    /// the log knows without: as a default, each offset is a record.
    fn count_records(&self, _partition: i32, from: i64, to: i64) -> Result<u64, LogError> {
        Ok(u64::try_from(to - from).unwrap_or(0))
    }

    /// The committed cursors of all shards, for the ledger.
    fn cursors(&self) -> Result<Vec<(ShardId, Option<CursorRecord>)>, LogError>;

    /// The daemons that share the pipeline out among them. None, as a default: a log that serves one process knows no group.
    fn members(&self) -> Result<Vec<GroupMember>, LogError> {
        Ok(Vec::new())
    }
}

/// The answer to "is it still the same topic?", begun after a batch was read and awaited before its commit.
#[derive(Clone)]
pub struct IdentityCheck(Shared<BoxFuture<'static, bool>>);

impl IdentityCheck {
    /// A check that is under way. A dropped sender counts as "no".
    pub fn pending(answer: tokio::sync::oneshot::Receiver<bool>) -> Self {
        Self(async move { answer.await.unwrap_or(false) }.boxed().shared())
    }

    /// For logs whose topics cannot be replaced behind their back.
    pub fn certain() -> Self {
        Self(futures::future::ready(true).boxed().shared())
    }

    /// Whether the topic is still the one that was claimed.
    pub async fn holds(&self) -> bool {
        self.0.clone().await
    }
}
