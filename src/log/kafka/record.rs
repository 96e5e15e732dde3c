//! Records as librdkafka has them: copied out of its memory, so that they outlive their queue; and ours that are none.

use bytes::{Bytes, BytesMut};
use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers, OwnedHeaders},
};

use crate::model::{Header, LogRecord};

/// How much memory is taken at a time for what records carry.
const CHUNK_BYTES: usize = 256 << 10;

/// Memory for records, a chunk for many: an allocation for each key and each payload, freed by another thread, costs more
/// than the copy, and leaves the heap in shreds. A chunk is freed when the last record in it is.
#[derive(Default)]
pub(super) struct Chunks(BytesMut);

impl Chunks {
    fn copied(&mut self, bytes: &[u8]) -> Bytes {
        // A large one would waste what is left of the chunk, and keep it as long as itself.
        if bytes.len() > CHUNK_BYTES / 8 {
            return Bytes::copy_from_slice(bytes);
        }
        if self.0.capacity() < bytes.len() {
            self.0 = BytesMut::with_capacity(CHUNK_BYTES);
        }
        self.0.extend_from_slice(bytes);
        self.0.split().freeze()
    }
}

/// The record as the rooms know it.
pub(super) fn copied(message: &BorrowedMessage<'_>, chunks: &mut Chunks) -> LogRecord {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let owned = |header: rdkafka::message::Header<'_, &[u8]>| Header {
            name: header.key.to_owned(),
            value: header.value.map(|value| chunks.copied(value)),
        };
        headers.iter().map(owned).collect()
    });
    LogRecord {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(|key| chunks.copied(key)),
        value: message.payload().map(|payload| chunks.copied(payload)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_share_chunks_and_keep_their_bytes() {
        let mut chunks = Chunks::default();
        let texts: Vec<Vec<u8>> = (0..2_000_usize)
            .map(|number| number.to_string().into_bytes().repeat(number % 90))
            .chain([vec![7; CHUNK_BYTES], Vec::new()])
            .collect();
        let copies: Vec<Bytes> = texts.iter().map(|text| chunks.copied(text)).collect();
        assert!(texts.iter().zip(&copies).all(|(text, copy)| *text == copy[..]));
        let neighbours = |pair: &[Bytes]| pair[0].as_ptr().wrapping_add(pair[0].len()) == pair[1].as_ptr();
        let num_neighbours = copies.windows(2).filter(|pair| neighbours(pair)).count();
        assert!(num_neighbours > 1_900, "{num_neighbours}");
    }
}
