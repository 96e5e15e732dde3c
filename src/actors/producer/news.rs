//! What the producer's threads and leases tell it.

use std::time::Duration;

use serde_json::Value;

use crate::{log::Ownership, model::ShardId};

/// Something has happened in a thread, or a lease was dropped.
pub(super) enum News {
    Assigned {
        shards: Vec<(ShardId, Ownership)>,
        heartbeat: Duration,
    },
    Revoked(Vec<ShardId>),
    /// The shard is open, everything before is settled: it may be lent, beginning at this cursor.
    Idle {
        shard: i32,
        grant: u64,
        cursor: Option<Value>,
    },
    /// Whoever fetched it has let go.
    GivenBack {
        shard: i32,
        lease: u64,
    },
}
