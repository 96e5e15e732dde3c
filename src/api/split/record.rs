//! From a raw JSON value to a record, with its key, or to a refusal.

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json_path::JsonPath;

use super::{
    MAX_DEPTH,
    general::query,
    path::{Rest, Segment, SimplePath},
    pick::{Picked, kind, pick},
};
use crate::model::{IngestReject, PageRecord};

/// A refused record keeps this much of its payload: the envelope must always fit into the log.
const KEPT_BYTES: usize = 32 * 1024;

/// Where the message key is in a record.
pub(super) enum KeyPath {
    Simple(Vec<Segment>),
    General(JsonPath),
}

impl KeyPath {
    pub(super) fn new(text: &str, path: &JsonPath) -> Self {
        match SimplePath::parse(text) {
            SimplePath {
                segments,
                rest: Rest::Nothing,
            } => Self::Simple(segments),
            _ => Self::General(path.clone()),
        }
    }

    /// The key: a string's text, any other value's JSON text; none where there is no value, or `null`.
    fn of(&self, record: &str) -> Option<Bytes> {
        let found = match self {
            Self::Simple(segments) => match pick(record, segments, false).ok()? {
                Picked::One(value) => value.get(),
                _ => return None,
            },
            Self::General(path) => *query(record, path).ok()?.first()?,
        };
        match found.as_bytes().first()? {
            b'n' => None,
            // A string that cannot be decoded (half a surrogate pair) keeps its JSON text; the record itself will be
            // refused where it is decoded.
            b'"' => Some(
                serde_json::from_str::<String>(found)
                    .unwrap_or_else(|_| found.to_owned())
                    .into(),
            ),
            _ => Some(Bytes::copy_from_slice(found.as_bytes())),
        }
    }
}

/// Makes a record of one value. `payload` is its slice of the body; `text` is the same as text, masked if need be.
pub(super) fn record(payload: Bytes, text: &str, key: Option<&KeyPath>) -> PageRecord {
    let kind = kind(text);
    let reason = if kind != "an object" {
        Some(format!("record is not a JSON object but {kind}"))
    } else if payload.as_ptr() != text.as_ptr() && payload != text.as_bytes() {
        Some(unmasked_problem(&payload))
    } else if is_too_deep(text) {
        Some(format!("record is nested deeper than {MAX_DEPTH} levels"))
    } else {
        None
    };
    match reason {
        None => PageRecord {
            key: key.and_then(|key| key.of(text)),
            payload,
            reject: None,
        },
        Some(reason) => {
            let reject = IngestReject {
                reason,
                size_bytes: payload.len() as u64,
            };
            let kept = text.floor_char_boundary(KEPT_BYTES);
            PageRecord {
                key: None,
                payload: payload.slice(..kept),
                reject: Some(reject),
            }
        }
    }
}

/// What was masked in a record.
fn unmasked_problem(payload: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(payload) else {
        return "record is not UTF-8".to_owned();
    };
    match serde_json::from_str::<&RawValue>(text) {
        Err(error) => format!("record is not JSON: {error}"),
        Ok(_) => "record is not JSON".to_owned(),
    }
}

fn is_too_deep(text: &str) -> bool {
    // Nearly every record has fewer brackets than levels are allowed, those in its texts included.
    let count = |bracket: char| text.matches(bracket).take(MAX_DEPTH + 1).count();
    if count('{') + count('[') <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}
