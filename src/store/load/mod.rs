//! The bulk load: one batch is one transaction of rows, dead letters, counts and offset.
//!
//! Invariant: every record of a batch has its fate in that transaction, or the transaction does not commit. What the
//! server refuses is found by bisection with savepoints *inside* it, so that a bad record never costs its neighbours
//! theirs. A record is refused as a whole: from all tables of its pipeline.

mod batch;
mod bisect;
mod copy;
mod create;
mod gear;
mod identifier;
mod loader;
mod merge;
mod prepared;
mod rows;
mod target;
mod writing;

pub use batch::{LoadBatch, Outcome};
pub use create::creation;
pub use loader::{Loader, Revived, TableSpec};
pub use target::{Target, TargetColumn};
