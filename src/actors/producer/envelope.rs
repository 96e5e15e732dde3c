//! A record that the topic does not take travels on as a reject envelope, and becomes a dead letter behind the log.

use crate::model::{IngestReject, PageRecord};

/// An envelope keeps this much of the payload, so that a person can see what it was.
const KEPT_BYTES: usize = 64 * 1024;

/// What a record costs beyond key and payload in the broker's own format, with room to spare.
const OVERHEAD_BYTES: usize = 512;

/// Whether the topic is sure to refuse the record.
pub(super) fn is_too_large(record: &PageRecord, max_record_bytes: usize) -> bool {
    size_bytes(record).saturating_add(OVERHEAD_BYTES) > max_record_bytes
}

fn size_bytes(record: &PageRecord) -> usize {
    record.payload.len() + record.key.as_ref().map_or(0, bytes::Bytes::len)
}

/// Turns a record into its envelope: the reason, and a payload that fits.
pub(super) fn wrap_too_large(record: &mut PageRecord, max_record_bytes: usize) {
    let size_bytes = record.payload.len() as u64;
    let kept = KEPT_BYTES.min(max_record_bytes / 2).min(record.payload.len());
    record.payload.truncate(kept);
    if record
        .key
        .as_ref()
        .is_some_and(|key| key.len() > KEPT_BYTES.min(max_record_bytes / 4))
    {
        record.key = None;
    }
    record.reject = Some(IngestReject {
        reason: format!(
            "the record has {size_bytes} bytes and the topic takes {max_record_bytes}; raise max.message.bytes of the topic"
        ),
        size_bytes,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_fits_where_its_record_did_not() {
        let payload = bytes::Bytes::from(vec![b'x'; 300_000]);
        let mut record = PageRecord {
            key: Some(payload.clone()),
            payload,
            reject: None,
        };
        assert!(is_too_large(&record, 100_000));
        wrap_too_large(&mut record, 100_000);
        assert!(!is_too_large(&record, 100_000));
        let reject = record.reject.expect("it is an envelope now");
        assert_eq!(reject.size_bytes, 300_000);
        assert!(reject.reason.contains("300000 bytes"));
    }
}
