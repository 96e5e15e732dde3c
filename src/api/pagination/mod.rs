//! Which page is next, and when a sweep over the pages is over.
//!
//! Pure: settings, shard, committed cursor and the time go in, a request goes out ([`plan`]); the page's facts go in, the
//! cursor after it comes out ([`PageRequest::after`]). A further kind of pagination is a further `kind` of cursor.
//!
//! Each sweep begins at the first page. The one exception is a feed: where pages have tokens, `stop` is "empty" or "short",
//! and the page that ended the sweep named a token all the same, the next sweep begins with that token.

mod advance;
mod circle;
mod cursor;
mod plan;
mod request;
mod shards;
mod tokens;

pub use advance::{Advance, PageFacts};
pub use circle::Circle;
pub use cursor::{CursorKind, PageCursor};
pub use plan::{Next, plan};
pub use request::PageRequest;
pub use shards::{ShardScope, shards};
