//! Reads the partitions that the group gave it and hands their records on, batch by batch.
//!
//! Invariant: reading begins where PostgreSQL says, under a claim that fences every earlier owner; a batch's offsets
//! follow without a gap on those of the batch before; at most two batches of a partition are unsettled.
//!
//! * `actor`: which partitions are ours, what is in flight, who has to let go of what; `partitions` and `leaving` are
//!   its state, `news` is what its threads tell it.
//! * `reader`: the thread that polls the group and reads the queues; `batching` is its pure part.
//! * `claims`: the thread that claims partitions in PostgreSQL; `claim` is one claim, and what stops it.
//! * `questions`: the thread that asks the log whether the topic is still the same, and, by `stalls`, whether a partition
//!   has more than its reader gets.
//! * `routes`: which transformer and writer a partition stays with.

mod actor;
mod batching;
mod claim;
mod claims;
mod leaving;
mod news;
mod partitions;
mod questions;
mod reader;
mod routes;
mod settings;
mod stalls;

pub use actor::Consumer;
pub use routes::Routes;
pub use settings::ConsumerSettings;
