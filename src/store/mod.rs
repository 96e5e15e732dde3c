//! PostgreSQL, through diesel: sessions, the fence, the dead letters, the counts, the migrations, a server of our own.
//!
//! Invariant: rows, dead letters, counts and `next_offset` are committed together or not at all. Everything here that
//! moves an offset therefore takes a [`Session`] and works inside the caller's transaction.

pub mod audit;
mod connect_info;
pub mod dead_letters;
pub mod embedded;
mod error;
pub mod ledger;
pub mod load;
mod migrate;
pub mod offsets;
#[allow(missing_docs)]
pub mod schema;
mod server_error;
mod session;
pub mod skips;
mod sqlstate;
pub mod stops;
mod types;
mod verdicts;

pub use connect_info::{ConnectInfo, SessionLimits};
pub use embedded::{EmbeddedError, EmbeddedPostgres};
pub use error::StoreError;
pub use migrate::{migrate, pending, redo};
pub use server_error::ServerError;
pub use session::Session;
pub use verdicts::Remedy;
