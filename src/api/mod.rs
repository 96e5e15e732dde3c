//! Where records come from: adapters for sources, without actors.
//!
//! * [`pagination`]: which request is next, and when a sweep over the pages is over. Pure: cursor in, cursor out.
//! * [`split`]: a page's body into records, as slices of the body. Pure.
//! * [`http`]: one page over HTTP, with rate, deadline and repeats.
//!
//! Invariant: nothing here remembers a position. The cursor comes from the caller and goes back to it with the page, and
//! is committed together with the page's records.

mod error;
pub mod http;
pub mod pagination;
pub mod split;

pub use error::ApiError;
pub use pagination::shards;
