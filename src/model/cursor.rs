//! How far the fetching of a source has come.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// One shard of a source: its number (= the partition of `<pipeline>.cursors`) and its content, by which cursors are keyed.
///
/// The content is canonical JSON: `{"stripe":0,"of":4}` or a declared parameter set. When the operator changes the
/// shards, another content means another cursor, so that no shard goes on from a position that was never its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ShardId {
    /// The partition of the cursors topic that stands for this shard.
    pub number: i32,
    /// What the shard covers; the key of its cursor records.
    pub content: Arc<str>,
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)
    }
}

/// The value of a record in `<pipeline>.cursors`: the position after the page, and the ledger's ingest side so far.
///
/// It is committed in one transaction with the page's records, so the two cannot disagree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CursorRecord {
    /// The source's own position; opaque to the log.
    pub cursor: serde_json::Value,
    /// Records that the source has served to this shard, in all committed pages.
    pub fetched: u64,
    /// Records that were appended to the topic for them (reject envelopes included).
    pub produced: u64,
    /// How many of `produced` are reject envelopes.
    pub rejected: u64,
    /// Pages committed.
    pub pages: u64,
}
