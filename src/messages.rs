//! The envelopes between rooms, in flow order, each with its reply.
//!
//! Commands are imperative, replies are past participles, and every reply is awaited: that is the back-pressure. A
//! mailbox's capacity bounds nothing under `send()`; a small number of unanswered messages does.
//!
//! | message | from -> to | reply | the reply means |
//! |---|---|---|---|
//! | [`Lend`] | Fetcher -> Producer | [`Lent`] | the shard is this fetcher's until it drops the lease |
//! | [`Produce`] | Fetcher -> Producer | [`Delivered`] | the page's records and the cursor after it are committed on the broker |
//! | [`Transform`] | Consumer -> Transformer | [`Settled`] | everything up to these offsets is in PostgreSQL or in the dead letters |
//! | [`Write`] | Transformer -> Writer | [`Settled`] | rows, dead letters and offsets are committed together |

use std::sync::Arc;

use actix::Message;

use crate::{
    log::IdentityCheck,
    model::{LogRecord, Page, PartitionKey, Rejected, ShardId, TopicId},
    sql::Transformed,
};

/// Asks the producer for a shard that nobody fetches. Answered when there is one: the request may wait for hours.
#[derive(Message)]
#[rtype(result = "Result<Lent, Refused>")]
pub struct Lend;

/// A shard to fetch, and where to begin.
pub struct Lent {
    /// The shard.
    pub shard: ShardId,
    /// The committed cursor; `None` = nothing was ever fetched.
    pub cursor: Option<serde_json::Value>,
    /// Held while the shard is fetched. Dropping it gives the shard back to the producer, whoever fetches next.
    pub lease: Lease,
}

/// Gives the shard back when it is dropped, and says when the shard was taken away.
pub struct Lease {
    /// Cancelled when the shard has moved to another daemon: fetch no further page for it.
    pub revoked: tokio_util::sync::CancellationToken,
    /// Runs on drop.
    pub give_back: Option<Box<dyn FnOnce() + Send>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(give_back) = self.give_back.take() {
            give_back();
        }
    }
}

/// Appends a page's records and the cursor after it, in one transaction. Pages of one shard are sent in order.
#[derive(Message)]
#[rtype(result = "Result<Delivered, Refused>")]
pub struct Produce(pub Page);

/// The page is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Records appended, reject envelopes included.
    pub num_records: usize,
}

/// Transforms one partition's next records and has them written.
#[derive(Message)]
#[rtype(result = "Result<Settled, Refused>")]
pub struct Transform(pub RawBatch);

/// Writes rows, dead letters, counts and offsets in one transaction.
#[derive(Message)]
#[rtype(result = "Result<Settled, Refused>")]
pub struct Write(pub RowBatch);

/// Everything below `next_offset` has its fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The partition's `aqueduct.offsets.next_offset` after the commit.
    pub next_offset: i64,
    /// How many of the batch's records went to the dead letters.
    pub num_dead: usize,
}

/// Nothing of the message was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another owner has the shard or the partition. Drop the work quietly.
    Lost,
    /// PostgreSQL went back to an earlier offset (a fail-over): claim the partition again and read on from there.
    WentBack,
}

/// The right to move one partition's offset: what the claim in `aqueduct.offsets` said.
#[derive(Debug)]
pub struct Claim {
    /// Which partition.
    pub key: PartitionKey,
    /// The topic's identity at the claim.
    pub topic_id: TopicId,
    /// The fence: the number of this claim. Only the highest may move the offset.
    pub epoch: i64,
    /// The transformer and the writer that the partition stays with, so that its batches stay in order.
    pub route: Route,
}

/// Who handles a partition: indices into the branch's transformers and writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Index of the transformer.
    pub transformer: usize,
    /// Index of the writer.
    pub writer: usize,
}

/// Records of one partition, in offset order.
pub struct RawBatch {
    /// Under which claim they were read.
    pub claim: Arc<Claim>,
    /// `next_offset` before the batch: what the fence row must say.
    pub expected_offset: i64,
    /// `next_offset` after the batch. May lie beyond the last record: transaction markers take offsets too.
    pub next_offset: i64,
    /// The records; empty when only the offset moves (the end of a partition).
    pub records: Vec<LogRecord>,
    /// Is the topic still the one that was claimed? Runs beside the decode; the writer awaits it before its commit.
    pub identity: IdentityCheck,
}

/// A batch after its SQL: rows for each table, and what was refused on the way.
pub struct RowBatch {
    /// Under which claim its records were read.
    pub claim: Arc<Claim>,
    /// As in [`RawBatch`].
    pub expected_offset: i64,
    /// As in [`RawBatch`].
    pub next_offset: i64,
    /// The records themselves: payloads of what PostgreSQL will refuse go to the dead letters.
    pub records: Vec<LogRecord>,
    /// Rows a table, with lineage to `records`.
    pub rows: Transformed,
    /// Refused at ingest, decode or transform, ready for the dead letters.
    pub rejected: Vec<Rejected>,
    /// As in [`RawBatch`].
    pub identity: IdentityCheck,
}
