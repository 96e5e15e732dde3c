//! The position of a shard, as it is committed with the page before it.

use std::fmt;

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
    Offset,
    Cursor,
    NextUrl,
    LinkHeader,
}

impl CursorKind {
    /// The kind that these settings need.
    pub fn of(paginate: &Paginate) -> Self {
        match paginate {
            Paginate::Single => Self::Single,
            Paginate::Page { .. } => Self::Page,
            Paginate::Offset { .. } => Self::Offset,
            Paginate::Cursor { .. } => Self::Cursor,
            Paginate::NextUrl { .. } => Self::NextUrl,
            Paginate::LinkHeader { .. } => Self::LinkHeader,
        }
    }
}

impl fmt::Display for CursorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "single",
            Self::Page => "page",
            Self::Offset => "offset",
            Self::Cursor => "cursor",
            Self::NextUrl => "next_url",
            Self::LinkHeader => "link_header",
        })
    }
}

/// How far a shard has come in its current sweep. What is optional was added later: older cursors lack it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCursor {
    /// The pagination it belongs to.
    pub kind: CursorKind,
    /// The number of the sweep, from 1.
    pub sweep: u64,
    /// When the sweep was started: milliseconds since 1970-01-01 UTC.
    pub started_ms: i64,
    /// The next page's number or offset; where pages have tokens, how many there were, plus one. Of no meaning to `single`.
    pub next: u64,
    /// Records of this sweep in this shard.
    pub records: u64,
    /// Pages of this sweep in this shard.
    #[serde(default)]
    pub pages: u64,
    /// What leads to the next page: the JSON text of a token, or a link (without host where it is the source's own).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// `paginate.limit` of the sweep, by which stripes of offsets are cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Records on the page before, as the API served it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_len: Option<u64>,
    /// A hash of the records of the page before, in hexadecimal digits; none after an empty page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_hash: Option<String>,
    /// A hash of the records of the sweep's first page, where it has more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_hash: Option<String>,
    /// Hashes of the last tokens of the sweep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<String>,
    /// The hash of an older token, by which a long circle is found in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landmark: Option<String>,
    /// Whether the sweep is over.
    pub done: bool,
}

impl PageCursor {
    /// The beginning of a sweep.
    pub(super) fn start(kind: CursorKind, sweep: u64, first: u64, now_ms: i64) -> Self {
        Self {
            kind,
            sweep,
            started_ms: now_ms,
            next: first,
            records: 0,
            pages: 0,
            token: None,
            limit: None,
            last_len: None,
            last_hash: None,
            first_hash: None,
            seen: Vec::new(),
            landmark: None,
            done: false,
        }
    }

    /// Reads a committed cursor; `Null` is the beginning of everything.
    pub fn read(value: &Value) -> Result<Option<Self>, serde_json::Error> {
        Option::<Self>::deserialize(value)
    }

    /// As it is committed.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("numbers, texts and booleans are always JSON")
    }
}
