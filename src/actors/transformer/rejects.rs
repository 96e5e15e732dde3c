//! From what went wrong with a record to its dead letter.

use crate::{
    model::{IngestReject, LogRecord, PartitionKey, Position, Rejected, Stage},
    sql::{FailedAt, Failure},
};

/// The reason in a reject envelope's headers; `None` for an ordinary record.
pub(super) fn ingest_reason(record: &LogRecord) -> Option<String> {
    let header = record
        .headers
        .iter()
        .find(|header| header.name == IngestReject::REASON_HEADER)?;
    Some(String::from_utf8_lossy(header.value.as_deref().unwrap_or_default()).into_owned())
}

/// What a record's failure becomes.
pub(super) fn rejected(
    key: &PartitionKey,
    record: &LogRecord,
    stage: Stage,
    reason: String,
    table: Option<String>,
) -> Rejected {
    Rejected {
        position: Position {
            topic: key.topic.clone(),
            partition: key.partition,
            offset: record.offset,
        },
        stage,
        reason,
        table,
        key: record.key.clone(),
        payload: record.value.clone(),
        headers: record.headers.clone(),
        timestamp_ms: record.timestamp_ms,
    }
}

/// The stage of an engine's failure.
pub(super) fn stage(failure: &Failure) -> Stage {
    match failure.at {
        FailedAt::Decode => Stage::Decode,
        FailedAt::Transform => Stage::Transform,
    }
}
