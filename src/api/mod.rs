//! Where records come from: adapters for sources, without actors.
//!
//! * [`pagination`]: which request is next, and when a sweep over the pages is over. Pure: cursor in, cursor out.
//! * [`split`]: a page's body into records, as slices of the body. Pure.
//! * [`http`]: one page over HTTP, with rate, deadline and repeats.
//! * [`exec`]: pages out of what a program prints.
//! * [`source`]: a source of either kind.
//!
//! Invariant: nothing here remembers a position. The cursor comes from the caller and goes back to it with the page, and
//! is committed together with the page's records.

mod error;
pub mod exec;
pub mod http;
pub mod pagination;
pub mod source;
pub mod split;

pub use error::ApiError;
pub use pagination::shards;
pub use source::{Feed, Next, Request, Source};

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
