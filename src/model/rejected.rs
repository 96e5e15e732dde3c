//! A record that cannot be loaded, with the reason: a dead letter in the making.

use bytes::Bytes;

use super::{Header, Position};

/// Where a record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Before the log: too large for the broker, or not an object. It travelled as a reject envelope.
    Ingest,
    /// Its bytes do not decode under the declared schema.
    Decode,
    /// The SQL failed on it.
    Transform,
    /// PostgreSQL refused its row.
    Write,
}

impl Stage {
    /// The name in `aqueduct.dead_letters.stage`.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Ingest => "ingest",
            Stage::Decode => "decode",
            Stage::Transform => "transform",
            Stage::Write => "write",
        }
    }
}

/// One rejected record, ready for `aqueduct.dead_letters`.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Where it lies in the log.
    pub position: Position,
    /// Who refused it.
    pub stage: Stage,
    /// Why, in a sentence without secrets; an SQLSTATE stands in front where PostgreSQL refused it.
    pub reason: String,
    /// The table whose query or constraint refused it, where it was one.
    pub table: Option<String>,
    /// The message key.
    pub key: Option<Bytes>,
    /// The payload as it lies in the log.
    pub payload: Option<Bytes>,
    /// The headers as they lie in the log.
    pub headers: Vec<Header>,
    /// The record's timestamp in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
}
