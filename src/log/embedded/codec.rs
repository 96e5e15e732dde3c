//! How the records of one transaction lie in one value.
//!
//! `version u8 | timestamp_ms i64 | count u32 | count x (key, value, num_headers u16, headers x (name, value))`, integers
//! in little-endian order, byte strings as `length u32 | bytes`, an absent one as the length `u32::MAX`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::{Header, IngestReject, LogRecord, PageRecord};

const VERSION: u8 = 1;
const ABSENT: u32 = u32::MAX;
const HEAD_LEN: usize = 1 + 8 + 4;

/// Builds the value of one partition.
pub(super) struct ValueBuilder {
    buffer: BytesMut,
    count: u32,
}

impl ValueBuilder {
    pub(super) fn new(timestamp_ms: i64) -> Self {
        let mut buffer = BytesMut::new();
        buffer.put_u8(VERSION);
        buffer.put_i64_le(timestamp_ms);
        buffer.put_u32_le(0);
        Self { buffer, count: 0 }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn push(&mut self, record: &PageRecord) {
        self.count += 1;
        put_bytes(&mut self.buffer, record.key.as_deref());
        put_bytes(&mut self.buffer, Some(&record.payload));
        match &record.reject {
            None => self.buffer.put_u16_le(0),
            Some(reject) => {
                self.buffer.put_u16_le(2);
                put_bytes(&mut self.buffer, Some(IngestReject::REASON_HEADER.as_bytes()));
                put_bytes(&mut self.buffer, Some(reject.reason.as_bytes()));
                put_bytes(&mut self.buffer, Some(IngestReject::SIZE_HEADER.as_bytes()));
                put_bytes(&mut self.buffer, Some(reject.size_bytes.to_string().as_bytes()));
            }
        }
    }

    pub(super) fn finish(mut self) -> Bytes {
        self.buffer[9..HEAD_LEN].copy_from_slice(&self.count.to_le_bytes());
        self.buffer.freeze()
    }
}

fn put_bytes(buffer: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => buffer.put_u32_le(ABSENT),
        Some(bytes) => {
            buffer.put_u32_le(u32::try_from(bytes.len()).expect("a payload is bounded by the page's size limit"));
            buffer.put_slice(bytes);
        }
    }
}

/// The timestamp and the number of records of a value; `None` when it is not one of ours.
pub(super) fn head(value: &[u8]) -> Option<(i64, u32)> {
    let head = value.get(..HEAD_LEN).filter(|head| head[0] == VERSION)?;
    Some((
        i64::from_le_bytes(head[1..9].try_into().ok()?),
        u32::from_le_bytes(head[9..].try_into().ok()?),
    ))
}

/// Decodes a value whose first record has offset `base`. Payloads are slices of it. `None` when it is damaged.
pub(super) fn decode(base: i64, value: &Bytes) -> Option<Vec<LogRecord>> {
    let (timestamp_ms, count) = head(value)?;
    let mut reader = Reader { value, at: HEAD_LEN };
    (0..i64::from(count))
        .map(|index| {
            let key = reader.bytes()?;
            let payload = reader.bytes()?;
            let num_headers = u16::from_le_bytes(reader.take(2)?.as_ref().try_into().ok()?);
            let headers = (0..num_headers)
                .map(|_| {
                    let name = String::from_utf8(reader.bytes()??.to_vec()).ok()?;
                    Some(Header {
                        name,
                        value: reader.bytes()?,
                    })
                })
                .collect::<Option<Vec<_>>>()?;
            Some(LogRecord {
                offset: base + index,
                timestamp_ms: Some(timestamp_ms),
                key,
                value: payload,
                headers,
            })
        })
        .collect()
}

struct Reader<'a> {
    value: &'a Bytes,
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, len: usize) -> Option<Bytes> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.value.len())?;
        let slice = self.value.slice(self.at..end);
        self.at = end;
        Some(slice)
    }

    /// Outer `None` = damaged, inner `None` = absent.
    fn bytes(&mut self) -> Option<Option<Bytes>> {
        let len = u32::from_le_bytes(self.take(4)?.as_ref().try_into().ok()?);
        if len == ABSENT {
            Some(None)
        } else {
            self.take(len as usize).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_record(key: Option<&str>, payload: &str, reject: Option<&str>) -> PageRecord {
        PageRecord {
            key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            reject: reject.map(|reason| IngestReject {
                reason: reason.into(),
                size_bytes: 7,
            }),
        }
    }

    #[test]
    fn records_come_back_as_they_went_in() {
        let mut builder = ValueBuilder::new(1_700_000_000_123);
        builder.push(&page_record(Some("k"), r#"{"a":1}"#, None));
        builder.push(&page_record(None, "", Some("not an object")));
        let value = builder.finish();
        let records = decode(40, &value).expect("a whole value");
        assert_eq!(head(&value), Some((1_700_000_000_123, 2)));
        assert_eq!(records[0].offset, 40);
        assert_eq!(records[0].key.as_deref(), Some(b"k".as_slice()));
        assert_eq!(records[0].value.as_deref(), Some(br#"{"a":1}"#.as_slice()));
        assert_eq!(records[1].key, None);
        assert_eq!(records[1].headers[0].name, IngestReject::REASON_HEADER);
        assert_eq!(records[1].headers[1].value.as_deref(), Some(b"7".as_slice()));
    }

    #[test]
    fn a_damaged_value_is_no_panic() {
        let mut builder = ValueBuilder::new(0);
        builder.push(&page_record(Some("k"), "payload", None));
        let value = builder.finish();
        for len in 0..value.len() {
            assert!(decode(0, &value.slice(..len)).is_none(), "cut at {len}");
        }
    }
}
