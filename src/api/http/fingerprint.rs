//! A hash of a page's records, by which two pages in a row are known to be the same.

use crate::model::PageRecord;

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;

/// Hashes the payloads. Stable over builds and machines, because it lies in committed cursors; eight bytes a step,
/// because every record passes through it; no defence against a server that wants collisions.
pub(super) fn fingerprint(records: &[PageRecord]) -> u64 {
    records.iter().fold(SEED, |hash, record| {
        let (words, rest) = record.payload.as_chunks::<8>();
        let hash = words
            .iter()
            .fold(hash, |hash, word| step(hash, u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        step(step(hash, u64::from_le_bytes(last)), record.payload.len() as u64)
    })
}

fn step(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(MULTIPLIER);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn hash(payloads: &[&'static str]) -> u64 {
        let record = |text: &&'static str| PageRecord {
            key: None,
            payload: Bytes::from_static(text.as_bytes()),
            reject: None,
        };
        fingerprint(&payloads.iter().map(record).collect::<Vec<_>>())
    }

    #[test]
    fn it_tells_pages_apart_and_never_changes() {
        let pages: [&[&'static str]; 7] = [
            &[],
            &["{}"],
            &["{}", "{}"],
            &["{\"a\":1}"],
            &["{\"a\":2}"],
            &["ab", "c"],
            &["a", "bc"],
        ];
        let mut hashes = pages.map(hash).to_vec();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), pages.len());
        assert_eq!(hash(&["{\"id\":12345678}"]), 9_977_720_378_573_295_334);
    }
}
