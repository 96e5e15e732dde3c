//! Who shares a pipeline out.

use serde::Serialize;

/// One of the daemons that share a pipeline out among them, and what it has been assigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupMember {
    /// `host:pid`.
    pub name: String,
    /// Shards of the source that it fetches.
    pub shards: Vec<i32>,
    /// Partitions of the topic that it loads.
    pub partitions: Vec<i32>,
}
