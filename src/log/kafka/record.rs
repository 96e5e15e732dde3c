//! Records as librdkafka has them: copied out of its memory, so that they outlive their queue; and ours that are none.

use bytes::Bytes;
use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers, OwnedHeaders},
};

use crate::model::{Header, LogRecord};

/// The record as the rooms know it.
pub(super) fn copied(message: &BorrowedMessage<'_>) -> LogRecord {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let owned = |header: rdkafka::message::Header<'_, &[u8]>| Header {
            name: header.key.to_owned(),
            value: header.value.map(Bytes::copy_from_slice),
        };
        headers.iter().map(owned).collect()
    });
    LogRecord {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers,
    }
}

/// Names a record without key and value that is only there for the transaction marker behind it: see
/// [`markers`](super::markers). Readers of ours pass it over.
const MARKER_HEADER: &str = "aqueduct-marker";

/// The headers of such a record.
pub(super) fn marker() -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(1).insert(rdkafka::message::Header {
        key: MARKER_HEADER,
        value: Some("no record"),
    })
}

/// Whether it is one.
pub(super) fn is_marker(message: &BorrowedMessage<'_>) -> bool {
    message.payload().is_none()
        && message
            .headers()
            .is_some_and(|headers| headers.iter().any(|header| header.key == MARKER_HEADER))
}
