//! The position of a shard, as it is committed with the page before it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::settings::Paginate;

/// Which pagination a cursor belongs to. A cursor of another kind is refused: its numbers would mean something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum CursorKind {
    Single,
    Page,
}

impl CursorKind {
    /// The kind that these settings need.
    pub fn of(paginate: &Paginate) -> Self {
        match paginate {
            Paginate::Single => Self::Single,
            Paginate::Page { .. } => Self::Page,
        }
    }
}

/// How far a shard has come in its current sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCursor {
    /// The pagination it belongs to.
    pub kind: CursorKind,
    /// The number of the sweep, from 1.
    pub sweep: u64,
    /// When the sweep was started: milliseconds since 1970-01-01 UTC.
    pub started_ms: i64,
    /// The next page's number; of no meaning to `single`.
    pub next: u64,
    /// Records of this sweep in this shard.
    pub records: u64,
    /// Records on the page before, as the API served it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_len: Option<u64>,
    /// A hash of the records of the page before, in hexadecimal digits; none after an empty page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_hash: Option<String>,
    /// Whether the sweep is over.
    pub done: bool,
}

impl PageCursor {
    /// Reads a committed cursor; `Null` is the beginning of everything.
    pub fn read(value: &Value) -> Result<Option<Self>, serde_json::Error> {
        Option::<Self>::deserialize(value)
    }

    /// As it is committed.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("numbers, texts and booleans are always JSON")
    }
}
