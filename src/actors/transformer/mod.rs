//! Turns one partition's records into rows, by the pipeline's SQL.
//!
//! Invariant: batches of a partition leave in the order in which they came. The transform runs inside the message
//! handler, on an arbiter of the transformer's own: nothing overtakes, and while the writer writes batch n the mailbox
//! hands over batch n+1.

mod actor;
mod rejects;
mod transform;

pub use actor::{Transformer, TransformerSettings};
pub use transform::transform;
