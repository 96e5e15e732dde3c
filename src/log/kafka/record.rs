//! Copies a record out of librdkafka's memory, so that it outlives its queue.

use bytes::Bytes;
use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
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
