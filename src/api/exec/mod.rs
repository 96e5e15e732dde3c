//! Reads records from a program: any program that prints JSON lines, cursors between them, or Singer messages.
//!
//! | file | what it is |
//! |---|---|
//! | `source` | one pipeline's program: its shards, and what a shard does next |
//! | `cursor` | what is committed with a page: the program's own state, and the records after it |
//! | `feed` | one shard's run: starts it, reads it page by page, repeats it when it fails |
//! | `assembly` | which records may be committed with which state. Pure |
//! | `output` | a printed line into a record or a state. Pure |
//! | `lines` | bytes into lines, within a limit |
//! | `child` | the process, its group, and the guard that outlives this daemon |
//! | `stderr` | what the program says to people |
//! | `trial` | `check --live` |
//!
//! Invariant: records that a state follows are committed with that state, so a run that begins there repeats none of
//! them; records that no state follows wait, as far as a page holds (docs/decisions/0011-exec-sources.md).

mod assembly;
mod child;
mod cursor;
mod error;
mod feed;
mod lines;
mod output;
mod redact;
mod source;
mod stderr;
mod trial;

pub use cursor::RunRequest;
pub use error::RunError;
pub use feed::ExecFeed;
pub use source::{ExecSource, Limits};
