//! Appends pages and the cursors after them to the log, as the one poller of the shards that the group gave it.
//!
//! Invariant: a page and the cursor after it are one transaction, and `Delivered` is said after its commit. A fetcher
//! that dies, a producer that dies, a daemon that dies: the next one begins at the committed cursor.
//!
//! * `actor`: who asks for a shard, who has it, who lost it; `news` is what its threads and leases tell it.
//! * `membership`: the thread that polls the group, for ever.
//! * `shard`: one thread a shard; opens it, gathers pages into transactions, and after a fence lets the cursor say
//!   whether the pages went in.
//! * `envelope`: what becomes of a record that the topic does not take.

mod actor;
mod envelope;
mod membership;
mod news;
mod settings;
mod shard;

pub use actor::Producer;
pub use settings::{ProducerSettings, Transaction};
