//! Writes batches of rows to PostgreSQL, together with the position they came from.
//!
//! Invariant: a position is never committed without its rows. That is why the two share a transaction
//! and why the Consumer may forget a batch as soon as it hears `Settled`.
//!
//! A writer is one connection, on an arbiter of its own that it may block. An outage of PostgreSQL waits here, with
//! back-off, for as long as it lasts; only data goes to the dead letters.
//!
//! * `actor`: one batch at a time, in the order of the mailbox.
//! * `desk`: the loop of one batch: connect, write, decide what an error means.
//! * `brake`: too many dead letters in too short a time park the pipeline.
//! * `meter`: what of a batch is counted.

mod actor;
mod brake;
mod desk;
mod meter;

pub use actor::{Writer, WriterSettings};
pub use brake::Brake;
