//! Fetches pages of the shards that a producer lends it, and sends each on with the cursor after it.
//!
//! Invariant: pages of a shard are sent in order, each from where the one before it ended; at most two transactions'
//! worth of records is unanswered. An outage of the API waits here; a page that does not decode parks the branch.
//!
//! * `actor`: asks every producer for shards, one loop for each that it gets.
//! * `note`: what of a fetch is counted.
//! * `shard`: the loop of one shard: plan, fetch, send, wait.

mod actor;
mod note;
mod shard;

pub use actor::{Fetcher, FetcherSettings, Lender};
