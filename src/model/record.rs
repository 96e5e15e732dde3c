//! A record as the log holds it.

use bytes::Bytes;

/// One record header: a name and an optional value, as in Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The header's name; names may repeat.
    pub name: String,
    /// The header's value; Kafka allows none.
    pub value: Option<Bytes>,
}

/// A record read back from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Offset within its partition.
    pub offset: i64,
    /// Milliseconds since 1970-01-01 UTC, as the producer or the broker set it; `None` where the log has none.
    pub timestamp_ms: Option<i64>,
    /// The message key.
    pub key: Option<Bytes>,
    /// The payload; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in their order.
    pub headers: Vec<Header>,
}
