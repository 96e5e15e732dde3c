//! Reads the partitions that the group gave it and hands their records on, batch by batch.
//!
//! Invariant: reading begins where PostgreSQL says, under a claim that fences every earlier owner; a batch's offsets
//! follow without a gap on those of the batch before; at most two batches of a partition are unsettled.
//!
//! * `actor`: which partitions are ours, what is in flight, who has to let go of what.
//! * `reader`: the thread that polls the group and reads the queues; `batching` is its pure part.
//! * `claims`: the thread that claims partitions in PostgreSQL.
//! * `questions`: the thread that asks the log whether the topic is still the same.
//! * `routes`: which transformer and writer a partition stays with.

mod actor;
mod batching;
mod claims;
mod questions;
mod reader;
mod routes;

pub use actor::{Consumer, ConsumerSettings};
pub use routes::Routes;
