//! One line of JSON into a record, as a slice of the line.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json_path::JsonPath;

use super::{
    mask::{mask, mask_tokens},
    record::{KeyPath, record},
};
use crate::model::PageRecord;

/// A line and its text, in which bytes that are not UTF-8 are masked one for one.
pub struct Line {
    bytes: Bytes,
    masked: Option<String>,
}

impl Line {
    /// Takes a line without its end.
    pub fn new(bytes: Bytes) -> Self {
        let masked = match mask(&bytes) {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text),
        };
        Self { bytes, masked }
    }

    /// The same line, in which what is no JSON but keeps to its token is masked too: `NaN`, a tab in a text. `None` where
    /// there is nothing of that kind.
    pub fn without_bad_tokens(&self) -> Option<Self> {
        Some(Self {
            bytes: self.bytes.clone(),
            masked: Some(mask_tokens(self.text())?),
        })
    }

    /// The text: as long as the line, byte for byte.
    pub fn text(&self) -> &str {
        match &self.masked {
            Some(text) => text,
            // Where nothing was masked it is UTF-8.
            None => std::str::from_utf8(&self.bytes).unwrap_or_default(),
        }
    }
}

/// Makes records of values in lines.
pub struct LineSplitter {
    key: Option<KeyPath>,
}

impl LineSplitter {
    /// Prepares the path of the key, and its text as written.
    pub fn new(key: Option<(&JsonPath, &str)>) -> Self {
        Self {
            key: key.map(|(path, text)| KeyPath::new(text, path)),
        }
    }

    /// Makes a record of a JSON value; `value` is a part of the line's text.
    pub fn record(&self, line: &Line, value: &str) -> PageRecord {
        let at = value.as_ptr() as usize - line.text().as_ptr() as usize;
        let payload = line.bytes.slice(at..at + value.len());
        record(payload, value, self.key.as_ref())
    }
}
