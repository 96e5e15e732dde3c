//! Which page is next, and when a sweep over the pages is over.
//!
//! Pure: settings, shard, committed cursor and the time go in, a request goes out ([`plan`]); the page's facts go in, the
//! cursor after it comes out ([`PageRequest::after`]). A further kind of pagination is a further `kind` of cursor.

mod advance;
mod cursor;
mod plan;
mod shards;

pub use advance::{Advance, PageFacts, SamePage};
pub use cursor::{CursorKind, PageCursor};
pub use plan::{Next, PageRequest, plan};
pub use shards::{ShardScope, shards};
