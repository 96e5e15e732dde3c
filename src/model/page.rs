//! One page of a source, on its way into the log.

use bytes::Bytes;
use serde_json::Value;

use super::ShardId;

/// One record of a page. `payload` is a slice of the page's body: no copy is made between socket and producer.
#[derive(Clone, Debug)]
pub struct PageRecord {
    /// The message key, where `source.key` is given.
    pub key: Option<Bytes>,
    /// The record's JSON text, or what is left of it when it was refused.
    pub payload: Bytes,
    /// Set when the record was refused at ingest: it is produced as a reject envelope.
    pub reject: Option<IngestReject>,
}

/// Why a record was refused before the log. It travels in the record's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestReject {
    /// A sentence.
    pub reason: String,
    /// The full payload's size; the envelope's payload may be truncated.
    pub size_bytes: u64,
}

impl IngestReject {
    /// The header that marks a reject envelope; its value is the reason.
    pub const REASON_HEADER: &'static str = "aqueduct-reject-reason";
    /// The header with the full payload's size in bytes, as decimal text.
    pub const SIZE_HEADER: &'static str = "aqueduct-reject-size";
}

/// The records of one page and the cursor after it: committed together or not at all.
#[derive(Clone, Debug)]
pub struct Page {
    /// Whose page it is.
    pub shard: ShardId,
    /// The position at which the page was fetched; it must equal what the shard has committed.
    pub cursor_before: Value,
    /// The position after it.
    pub cursor_after: Value,
    /// Its records, in the source's order. May be empty: the cursor moves on all the same.
    pub records: Vec<PageRecord>,
}

impl Page {
    /// The sum of payload sizes.
    pub fn size_bytes(&self) -> usize {
        self.records.iter().map(|record| record.payload.len()).sum()
    }
}
