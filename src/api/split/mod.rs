//! A page's body into records, each a slice of the body: no copy is made, and every number arrives as it was written.
//!
//! The split validates the JSON: what comes out are whole JSON values, and nothing is between them that should not be
//! there. It does so with serde_json's raw values, which are skipped over iteratively: deep nesting takes heap, not stack.
//!
//! | what is wrong | what becomes of it |
//! |---|---|
//! | the body is not JSON, or `records` leads to nothing | [`PageProblem`]: the whole page |
//! | a record is not an object, not UTF-8, or nested too deep | that record alone is refused |
//! | a record has a token that is no JSON: `NaN`, a bare line end in a text, `\x` | that record alone is refused |
//! | the token or the total of the page cannot be read | [`PageProblem`]: it is not taken for the end |

mod general;
mod line;
mod mask;
mod one;
mod path;
mod pick;
mod record;
mod splitter;

pub use line::{Line, LineSplitter};
pub use splitter::{PageProblem, SplitPage, Splitter};

/// A record that is nested deeper than this is refused. What parses JSON recursively gives up at about this depth too.
pub const MAX_DEPTH: usize = 128;
